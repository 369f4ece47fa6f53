"""E-mail addresses have one normal form; what is no address has none, and stands for nobody."""

import re
import unicodedata

MAX_LOCAL, MAX_ADDRESS = 64, 254
"""Octets. Source: RFC 5321, 4.5.3.1.1 and 4.5.3.1.3 (with erratum 1690)."""
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")


def normal_address(text: object) -> str:
    """The normal form of an e-mail address: ``Carol@EXAMPLE.com`` is ``carol@example.com``.

    The domain is in its ASCII form (IDNA). Letters outside ASCII are not folded: two addresses that only look alike
    stay two. Nothing is removed from a text to make an address of it.

    Returns:
        An empty string for anything that is not exactly one address: a name, a list, a hidden character.
    """
    if not isinstance(text, str) or any(map(_is_hidden, text)) or not unicodedata.is_normalized("NFC", text):
        return ""
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local.encode()) > MAX_LOCAL:
        return ""
    ascii_domain = domain_to_ascii(domain)
    lowered = "".join(char.lower() if char.isascii() else char for char in local)
    found = f"{lowered}@{ascii_domain}"
    return found if ascii_domain and len(found.encode()) <= MAX_ADDRESS else ""


def domain_to_ascii(domain: str) -> str:
    """A host name as DNS has it: ``xn--bcher-kva.example`` for ``bücher.example``; empty if it is none."""
    import idna  # its tables take long to import, and few processes need them

    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return ""


def _is_hidden(char: str) -> bool:
    """Whether a person cannot see a character: it may make one address look like another one."""
    return char.isspace() or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
