"""The contract of a callback: a vendor's webhook that reports what a person did there."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from alerts import clean
from alerts.values import moment
from incident.events import ResponderAction
from integrations.base.signatures import bare_token

NAME_CHARS = 200
"""The longest name of a person or an id."""
NOTE_CHARS = 2_000
"""The longest note."""
KEY_CHARS = 500
"""The longest dedup key or URL."""


@dataclass(frozen=True)
class ParsedCallback:
    """A responder action, and the incident that it is about: by its dedup key, by its ticket or by the vendor's own id.

    Without an action, it only reports that ``vendor_id`` belongs to ``dedup_key``. A later callback may then name the
    vendor's id alone. An action in a ticket names the ticket: ``dedup_key`` finds the incident, and proves nothing.
    """

    action: ResponderAction | None
    dedup_key: str = ""
    vendor_id: str = ""
    """The vendor's own id of its incident."""
    email: str = ""
    """The normal form of the person's e-mail address (``normal_address``), if the vendor has verified that it is
    theirs. TOCSIN_API_TOKENS gives a token of that name its role. Empty otherwise: a name vouches for nobody."""
    reply_url: str = ""
    """Where the person is informed that the action changed nothing."""


Parse = Callable[[Mapping[str, Any]], ParsedCallback | str]
"""From a callback's payload to its action, or to the reason why it is ignored."""
Authenticate = Callable[[Mapping[str, str], bytes, Iterable[str]], str | None]
"""From headers (lower case), body and secrets to None for an authentic callback, else to the reason why it is not."""


@dataclass(frozen=True)
class Callback:
    """The callback of one vendor. ``callback.py`` defines one instance at the module's top level.

    The gateway serves it at ``POST /webhooks/<path>``. It is the integration's, so ``name`` is the integration's type.
    """

    name: str
    path: str
    setting: str
    """The environment variable with the secrets, separated by commas."""
    setting_description: str
    """What the secret is, in one sentence, for ``docs/settings.md``."""
    authenticate: Authenticate
    parse: Parse
    example: Mapping[str, Any]
    """A body, for the gateway's OpenAPI description."""
    form_field: str = ""
    """The form field that contains the JSON, if the body is a form."""
    always_200: bool = False
    """The vendor expects 200, and treats 202 as a failure."""


def nested(value: Any, *path: str) -> Any:
    """The value at a path in nested objects, or None."""
    for key in path:
        value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return value


def one_line(value: Any, limit: int = NAME_CHARS) -> str:
    """The value as one line of text, without characters that change how a terminal or a log shows what is around it."""
    return clean(value, limit) if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def happened_at(value: Any) -> datetime | None:
    """When something happened, from the text or the number of a vendor; None if it states no usable time.

    Opsgenie's ``updatedAt`` is in nanoseconds in some payloads, and in milliseconds in others.
    """
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if len(digits) in {16, 19} and digits.isascii() and digits.isdigit():  # microseconds, nanoseconds
        value = int(digits[:13])
    return moment(value)


def action_id(vendor: str, *parts: object) -> str:
    """The idempotency key of an action: a hash of everything that distinguishes it, at whatever length.

    Args:
        vendor: begins the key, for people.
        parts: the incident, what was done, when, and the text: two comments of one second are two.
    """
    digest = hashlib.sha256(repr([str(part) for part in parts]).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{vendor}-{digest}"


def bearer_token(setting: str) -> Authenticate:
    """For vendors that sign nothing, but send a header that their user sets: ``Authorization: Bearer <secret>``."""

    def authenticate(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
        del body
        sent = bare_token(headers.get("authorization", "")).encode("utf-8", "surrogateescape")
        if not sent:
            return "Authorization is missing: have the vendor send Authorization: Bearer and the secret"
        known = [bare for secret in secrets if (bare := bare_token(secret))]
        matches = [hmac.compare_digest(secret.encode(), sent) for secret in known]
        return None if any(matches) else f"the token in Authorization is not one of {setting}"

    return authenticate
