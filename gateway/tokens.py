"""API tokens and their roles."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from gateway.problems import Problem
from workflows.messages import Role

_ORDER: tuple[Role, ...] = ("viewer", "responder", "compliance", "admin")


@dataclass(frozen=True)
class Caller:
    """Who showed a token. A role may do all that the roles before it may."""

    name: str
    role: Role

    def may(self, needed: Role) -> bool:
        return _ORDER.index(self.role) >= _ORDER.index(needed)


class TokenFileError(ValueError):
    """The tokens' file is not readable as one."""


class Tokens:
    """Only hashes are kept, so that a dump of this process shows no token."""

    def __init__(self, callers: Mapping[str, Caller], in_clear: Sequence[str] = ()) -> None:
        self._callers = dict(callers)
        self.in_clear = tuple(in_clear)
        """The names of those whose tokens stand in the file themselves, and not their hashes."""

    @classmethod
    def read(cls, path: Path) -> "Tokens":
        """Read a file with a line for each token: ``<role> <name> <token, or sha256:HEX of it>``.

        Empty lines and lines that begin with # are skipped. Raises TokenFileError with the line's number.
        """
        callers: dict[str, Caller] = {}
        in_clear: list[str] = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise TokenFileError(f"{path} cannot be read: {error.strerror}") from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            parts = line.split()
            if len(parts) != 3 or parts[0] not in _ORDER:
                raise TokenFileError(
                    f"{path}:{number}: expected <role> <name> <token or sha256:HEX>, with a role of {', '.join(_ORDER)}"
                )
            role, name, token = parts
            if not token.startswith("sha256:"):
                token = f"sha256:{_hash(token)}"
                in_clear.append(name)
            elif not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", token):
                raise TokenFileError(f"{path}:{number}: sha256: is followed by 64 hexadecimal digits")
            callers[token.removeprefix("sha256:").lower()] = Caller(name, cast("Role", role))
        return cls(callers, in_clear)

    def require(self, authorization: str, needed: Role) -> Caller:
        """Who shows this header. Raises Problem where it is nobody, or somebody who may not do that."""
        found = self.caller(authorization)
        if found is None:
            raise Problem(
                401, "a bearer token is needed: see TOCSIN_API_TOKENS", headers={"WWW-Authenticate": "Bearer"}
            )
        if not found.may(needed):
            raise Problem(403, f"this needs the role {needed}; {found.name} has {found.role}")
        return found

    def holds(self, name: str, needed: Role) -> bool:
        """Whether a token of that name has the role, or a higher one."""
        return any(one.name == name and one.may(needed) for one in self._callers.values())

    def role_of(self, name: str) -> Role | Literal[""]:
        """The role of whoever a vendor vouches for by this name, an e-mail address; the highest of several."""
        held = {one.role for one in self._callers.values() if one.name.casefold() == name.casefold()}
        for role in reversed(_ORDER):
            if role in held:
                return role
        return ""

    def caller(self, authorization: str) -> Caller | None:
        """Who shows this Authorization header, or None."""
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer" or not token.strip():
            return None
        shown = _hash(token.strip())
        found = None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, shown):
                found = caller
        return found


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
