"""Browser sessions of the codec server: a signed cookie that identifies the API token it was opened with."""

import hashlib

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from gateway.security.encryption import Keyring
from gateway.security.tokens import Tokens, require_role
from incident.events import Role

COOKIE = "tocsin_codec"
PATH = "/codec"
MAX_AGE = 12 * 3600  # seconds


class CodecSessions:
    """Authenticates the codec server's clients, by a session or a bearer token."""

    def __init__(self, keys: Keyring, tokens: Tokens, *, secure: bool) -> None:
        """
        Args:
            keys: sign the cookies; a new first key ends the sessions.
            tokens: the API tokens.
            secure: whether the browser sends the cookie over HTTPS only.
        """
        secret = hashlib.sha256(b"tocsin codec sessions" + keys.seed).digest()
        self._serializer = URLSafeTimedSerializer(secret, salt="codec")
        self._tokens, self._secure = tokens, secure

    def require(self, request: Request, role: Role) -> None:
        """Raises Problem: 401 without a session or token, 403 without the role."""
        authorization = request.headers.get("authorization", "")
        if cookie := request.cookies.get(COOKIE, ""):
            try:
                digest = str(self._serializer.loads(cookie, max_age=MAX_AGE))
            except BadSignature:
                digest = ""
            # The file of tokens decides at each request: removing a token from it ends its sessions, and a new token
            # of the same name does not revive them.
            caller = self._tokens.owner(digest)
            if caller is not None and not authorization:
                require_role(caller, role)
                return
        self._tokens.require(authorization, role)

    def open(self, response: Response, digest: str) -> None:
        """Set the cookie of a session for the API token with this hash."""
        # Strict: pages of other sites cannot use the cookie. The Temporal UI belongs to the same site.
        response.set_cookie(
            COOKIE,
            str(self._serializer.dumps(digest)),
            max_age=MAX_AGE,
            path=PATH,
            httponly=True,
            secure=self._secure,
            samesite="strict",
        )
