"""The addresses of an e-mail destination: ``ops@example.com`` or ``Ops; night <ops@example.com>``.

One text is one recipient. It is never joined with others into a list that a server or a library would split again: the
envelope's recipients are these addresses, one by one, and headers are made of ``email.headerregistry.Address``, which
quotes display names (RFC 5322, 3.4).
"""

import unicodedata
from dataclasses import dataclass
from email.headerregistry import Address as HeaderAddress

from alerts import domain_to_ascii
from integrations.email.limits import MAX_DOMAIN, MAX_LOCAL, MAX_NAME

_SPECIALS = frozenset('<>@,;:\\"()[] ')


class AddressError(ValueError):
    """A text that is not exactly one address; the message says why."""


@dataclass(frozen=True)
class Mailbox:
    """A recipient or sender. ``domain`` is in its ASCII form; ``local`` may need SMTPUTF8 (RFC 6531)."""

    name: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        """For the envelope."""
        return f"{self.local}@{self.domain}"

    @property
    def header(self) -> HeaderAddress:
        """For a header."""
        return HeaderAddress(self.name, self.local, self.domain)


def read_mailbox(text: str) -> Mailbox:
    """Read one address, with or without a display name.

    A display name may contain commas and semicolons without quotes, as people write it.

    Raises:
        AddressError: it is no address, or several, or a group.
    """
    stripped = text.strip()
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in stripped):
        raise AddressError("an address has no line breaks and no invisible characters")
    name, address = _name_and_address(stripped)
    local, at, domain = address.rpartition("@")
    if not at or not local:
        raise AddressError(
            f"{stripped[:80]!r} is no e-mail address: write name@example.com, or Name <name@example.com>"
        )
    if "," in address or ";" in address:
        raise AddressError("several addresses in one text: write one entry for each")
    if _SPECIALS & set(local) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise AddressError(f"{local[:80]!r} cannot stand before the @ of an address")
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"at most {MAX_LOCAL} octets stand before the @ of an address")
    ascii_domain = domain_to_ascii(domain)
    if not ascii_domain or len(ascii_domain) > MAX_DOMAIN:
        raise AddressError(f"{domain[:80]!r} is no domain")
    return Mailbox(name, unicodedata.normalize("NFC", local), ascii_domain)


def _name_and_address(text: str) -> tuple[str, str]:
    """``Ops; night <n@example.com>`` as its two parts. Raises AddressError."""
    if not text.endswith(">"):
        if "<" in text or (text.endswith(";") and ":" in text):
            raise AddressError("a group, or a name in the wrong place: write one entry for each address")
        return "", text
    name, _, address = text[:-1].rpartition("<")
    name = name.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    elif "@" in name or "<" in name or ">" in name:
        raise AddressError("several addresses in one text: write one entry for each")
    if len(name) > MAX_NAME:
        raise AddressError(f"a name has at most {MAX_NAME} characters")
    return name, address.strip()
