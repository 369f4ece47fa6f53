"""API tokens and their roles."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import structlog

from alerts import TocsinError, clean, normal_address
from gateway.problems import Problem
from gateway.security.secret_file import FileVersion, file_version
from policy import ROLES, Role

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_log = structlog.get_logger()


class TokenFileError(TocsinError):
    """The file of API tokens cannot be read, or a line of it is not valid."""

    code = "invalid_token_file"


@dataclass(frozen=True)
class Caller:
    """The owner of an API token. Each role includes the rights of the roles before it."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)

    def acting_for(self, other: str) -> str:
        """The name of who acts: the token's owner, and beside it the name that a request gives, which nothing proves.

        ``carol``, or ``carol (for The Board)``.
        """
        named = clean(re.sub(r"[()]", " ", other), 100)
        return self.name if named.casefold() in {"", self.name.casefold()} else f"{self.name} (for {named})"


class Tokens:
    """The API tokens, as SHA-256 hashes only: a dump of the process shows no token."""

    def __init__(self, callers: Mapping[str, Caller], in_clear: Sequence[str] = ()) -> None:
        """
        Args:
            callers: by ``hash_token`` of their tokens.
            in_clear: the names of those whose file has the token itself instead of its hash.
        """
        self._callers = dict(callers)
        self.in_clear = tuple(in_clear)
        self.problem = ""
        """Why the file of tokens was not read again; empty if all is well."""

    @classmethod
    def read(cls, path: Path) -> "Tokens":
        """Read a file with a line for each token: ``<role> <name> <token, or sha256:HEX of it>``.

        Empty lines, and lines that begin with #, are skipped. Every name and every token appears once: a name says who
        acted, so two people, or two roles, cannot share it.

        Raises:
            TokenFileError: with the line's number.
        """
        callers: dict[str, Caller] = {}
        in_clear: list[str] = []
        lines_of_names: dict[str, int] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise TokenFileError(f"{path} cannot be read: {reason}") from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            caller, token, is_clear = _read_line(line, f"{path}:{number}")
            first = lines_of_names.setdefault(caller.name.casefold(), number)
            if first != number:
                raise TokenFileError(
                    f"{path}:{number}: the name {caller.name} is in line {first} already: give each token a name of "
                    "its own, or remove the older line"
                )
            if token in callers:
                raise TokenFileError(
                    f"{path}:{number}: {caller.name} has the token of {callers[token].name}: create another one with "
                    "`tocsin token new`"
                )
            callers[token] = caller
            if is_clear:
                in_clear.append(caller.name)
        return cls(callers, in_clear)

    def require(self, authorization: str, role: Role) -> Caller:
        """The caller of this ``Authorization`` header.

        Raises:
            Problem: 401 without a valid token, 403 without the role.
        """
        caller = self.caller(authorization)
        if caller is None:
            raise Problem(401, self._why_refused(authorization), headers=_CHALLENGE)
        require_role(caller, role)
        return caller

    def known(self) -> Mapping[str, Caller]:
        """The tokens that are valid now, by the hash of each."""
        return self._callers

    def owner(self, digest: str) -> Caller | None:
        """The owner of the token with this hash, or None if there is no such token any more."""
        return self.known().get(digest)

    def role_of(self, address: str) -> Role | Literal[""]:
        """The highest role of the tokens whose name is this e-mail address; empty if there is none.

        Args:
            address: one that a vendor has verified; a name that is no address has no role.
        """
        wanted = normal_address(address)
        if not wanted:
            return ""
        held = {caller.role for caller in self.known().values() if normal_address(caller.name) == wanted}
        for role in reversed(ROLES):
            if role in held:
                return role
        return ""

    def caller(self, authorization: str) -> Caller | None:
        """The caller of this ``Authorization`` header, or None."""
        token = _bearer_token(authorization)
        return self.owner(self.find(token)) if token else None

    def find(self, token: str) -> str:
        """The hash of a valid token; empty if it is not valid."""
        sent = hash_token(token)
        found = ""
        for known in self.known():  # compares every token: the time shows nothing
            if hmac.compare_digest(known, sent):
                found = known
        return found

    def _why_refused(self, authorization: str) -> str:
        if not authorization.strip():
            return "no API token was sent: send Authorization: Bearer and a token of TOCSIN_API_TOKENS"
        if not _bearer_token(authorization):
            return "Authorization holds no bearer token: write Bearer, a space and a token of TOCSIN_API_TOKENS"
        if not self.known():
            return "this gateway knows no API token: `tocsin token new` adds one to the file of TOCSIN_API_TOKENS"
        return "the API token is wrong: it is not, or no longer, in the file of TOCSIN_API_TOKENS"


class TokenFile(Tokens):
    """The tokens that the file holds now. It is read again when it changes, so a token that is removed ends at once.

    While the file is not valid, the last valid one counts, and ``problem`` and the log say so.
    """

    def __init__(self, path: Path) -> None:
        """Raises TokenFileError."""
        self._path = path
        self._version = file_version(path)
        first = Tokens.read(path)
        super().__init__(first.known(), first.in_clear)

    def known(self) -> Mapping[str, Caller]:
        if file_version(self._path) != self._version:
            self.reload()
        return self._callers

    def reload(self) -> None:
        """Read the file now: the meaning of SIGHUP."""
        self._version: FileVersion = file_version(self._path)
        try:
            read = Tokens.read(self._path)
        except TokenFileError as error:
            self.problem = str(error)
            _log.error("api_tokens_rejected", error=str(error), tokens=len(self._callers))
            return
        self.problem = ""
        if read.known() != self._callers:
            self._callers, self.in_clear = dict(read.known()), read.in_clear
            _log.warning("api_tokens_reloaded", file=str(self._path), tokens=len(self._callers))


def require_role(caller: Caller, role: Role) -> None:
    """Raises Problem 403."""
    if not caller.may(role):
        raise Problem(403, f"this needs the role {role}; {caller.name} has {caller.role}")


def _read_line(line: str, place: str) -> tuple[Caller, str, bool]:
    """The owner, the token's hash, and whether the line has the token itself. Raises TokenFileError."""
    parts = line.split()
    if len(parts) != 3 or parts[0] not in ROLES:
        raise TokenFileError(
            f"{place}: expected <role> <name> <token or sha256:HEX>, with a role of {', '.join(ROLES)}"
        )
    role, name, token = parts
    if not token.startswith("sha256:"):
        return Caller(name, cast("Role", role)), hash_token(token), True
    if not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", token):
        raise TokenFileError(f"{place}: sha256: must be followed by 64 hexadecimal digits")
    return Caller(name, cast("Role", role)), token.removeprefix("sha256:").lower(), False


def _bearer_token(authorization: str) -> str:
    """The token of ``Bearer <token>``, however the word is written; empty if there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else ""


def hash_token(token: str) -> str:
    """SHA-256 in hex, as it stands in the file after ``sha256:``."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
