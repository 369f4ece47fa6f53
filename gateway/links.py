"""Links by which whoever was told of an incident sees and acknowledges it: signed, for one opening of it."""

from itsdangerous import BadSignature, URLSafeTimedSerializer

from gateway.keys import ours

KEPT = 30 * 86_400  # seconds
SETTING = "TOCSIN_LINK_SECRET"


class Links:
    """The worker makes them and the gateway reads them, so both have the secrets; the first one signs."""

    def __init__(self, public_url: str, secrets: tuple[str, ...]) -> None:
        self.root = public_url.rstrip("/")
        # itsdangerous signs with the last of its keys, and takes any of them.
        self._serializer = URLSafeTimedSerializer(list(reversed(secrets)), salt="incident") if secrets else None

    def page(self, opening: str) -> str:
        """The address for an incident's opening; nothing where there is no secret to sign with."""
        if self._serializer is None:
            return ""
        return f"{self.root}/incidents/{self._serializer.dumps(opening)}"

    def read(self, token: str, *, to_act: bool = False) -> tuple[str, str] | None:
        """The incident and the opening that a link of ours is for; None for any other.

        By one that is older than 30 days nothing can be done any more, though it still shows.
        """
        if self._serializer is None:
            return None
        try:
            return ours(str(self._serializer.loads(token, max_age=KEPT if to_act else None)))
        except BadSignature:
            return None
