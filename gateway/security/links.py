"""Signed links to an incident's page, for the people who are notified."""

from itsdangerous import BadSignature, URLSafeTimedSerializer

from incident.dedup_key import parse_dedup_key

MAX_AGE = 30 * 86_400  # seconds in which a link can acknowledge
SETTING = "TOCSIN_LINK_SECRET"


class Links:
    """Workers make the links and the gateway reads them, so both have the secrets; the first one signs."""

    def __init__(self, public_url: str, secrets: tuple[str, ...]) -> None:
        self.root = public_url.rstrip("/")
        # itsdangerous signs with the last of its keys, and accepts all of them.
        self._serializer = URLSafeTimedSerializer(list(reversed(secrets)), salt="incident") if secrets else None

    def page(self, dedup_key: str) -> str:
        """The URL of the page of one run of an incident; empty without a secret."""
        if self._serializer is None:
            return ""
        return f"{self.root}/incidents/{self._serializer.dumps(dedup_key)}"

    def read(self, token: str, *, to_act: bool = False) -> tuple[str, str] | None:
        """The incident and the beginning of its first run id that a link is for.

        Args:
            token: from the URL.
            to_act: accept only links of the last 30 days. Older ones still show the incident.

        Returns:
            None for a token that no secret signed, or that is too old.
        """
        if self._serializer is None:
            return None
        try:
            return parse_dedup_key(str(self._serializer.loads(token, max_age=MAX_AGE if to_act else None)))
        except BadSignature:
            return None
