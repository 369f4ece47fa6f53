"""API tokens and their roles."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from alerts import TocsinError
from gateway.problems import Problem
from incident.events import ROLES, Role


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

    @classmethod
    def read(cls, path: Path) -> "Tokens":
        """Read a file with a line for each token: ``<role> <name> <token, or sha256:HEX of it>``.

        Empty lines, and lines that begin with #, are skipped.

        Raises:
            TokenFileError: with the line's number.
        """
        callers: dict[str, Caller] = {}
        in_clear: list[str] = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise TokenFileError(f"{path} cannot be read: {reason}") from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            parts = line.split()
            if len(parts) != 3 or parts[0] not in ROLES:
                raise TokenFileError(
                    f"{path}:{number}: expected <role> <name> <token or sha256:HEX>, with a role of {', '.join(ROLES)}"
                )
            role, name, token = parts
            if not token.startswith("sha256:"):
                token = f"sha256:{hash_token(token)}"
                in_clear.append(name)
            elif not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", token):
                raise TokenFileError(f"{path}:{number}: sha256: must be followed by 64 hexadecimal digits")
            callers[token.removeprefix("sha256:").lower()] = Caller(name, cast("Role", role))
        return cls(callers, in_clear)

    def require(self, authorization: str, role: Role) -> Caller:
        """The caller of this ``Authorization`` header.

        Raises:
            Problem: 401 without a valid token, 403 without the role.
        """
        caller = self.caller(authorization)
        if caller is None:
            detail = "a bearer token is needed: see TOCSIN_API_TOKENS"
            raise Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
        if not caller.may(role):
            raise Problem(403, f"this needs the role {role}; {caller.name} has {caller.role}")
        return caller

    def holds(self, name: str, role: Role) -> bool:
        """Whether a token of that name has the role, or a higher one."""
        return any(caller.name == name and caller.may(role) for caller in self._callers.values())

    def role_of(self, name: str) -> Role | Literal[""]:
        """The highest role of the tokens of that name, in any case; empty if there is none.

        Args:
            name: an e-mail address that a vendor vouches for.
        """
        held = {caller.role for caller in self._callers.values() if caller.name.casefold() == name.casefold()}
        for role in reversed(ROLES):
            if role in held:
                return role
        return ""

    def caller(self, authorization: str) -> Caller | None:
        """The caller of this ``Authorization`` header, or None."""
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer" or not token.strip():
            return None
        sent = hash_token(token.strip())
        found = None
        for known, caller in self._callers.items():  # compares every token: the time shows nothing
            if hmac.compare_digest(known, sent):
                found = caller
        return found


def hash_token(token: str) -> str:
    """SHA-256 in hex, as it stands in the file after ``sha256:``."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
