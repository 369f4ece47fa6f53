"""What a vendor's callback says, in our words."""

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from alerts import clean
from workflows.messages import Answer

NAME_CHARS, NOTE_CHARS, ID_CHARS = 200, 2_000, 150


@dataclass(frozen=True)
class Said:
    """An answer, and which incident it is about: by our key, or by an id of the vendor's that came with our key before.

    Without an answer it only tells that the vendor's id goes with our key.
    """

    answer: Answer | None
    key: str = ""
    vendor_id: str = ""
    email: str = ""
    """Of the person, where the vendor vouches for it: their role is the one that TOCSIN_API_TOKENS gives this name."""
    reply_to: str = ""
    """Where the person can be told that it changed nothing."""


Read = Callable[[Mapping[str, Any]], Said | str]
"""From a callback's payload to what it says, or to why that is nothing to us."""
Check = Callable[[Mapping[str, str], bytes, Iterable[str]], str | None]
"""None where a callback is authentic, else why it is not."""


@dataclass(frozen=True)
class Vendor:
    """``name`` is the destination's type, ``path`` the endpoint, ``setting`` the variable that holds the secrets."""

    name: str
    path: str
    setting: str
    check: Check
    read: Read
    example: Mapping[str, Any]
    form_field: str = ""
    """The field of a form that holds the JSON, where the body is a form."""
    always_200: bool = False


def within(value: Any, *path: str) -> Any:
    """What stands at that path in nested maps, or None."""
    for key in path:
        value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return value


def text(value: Any, limit: int = NAME_CHARS) -> str:
    """One line of it, without what could misbehave in a terminal or a log."""
    return clean(value, limit) if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def check_token(setting: str) -> Check:
    """For vendors that sign nothing, and send a header that one sets: ``Authorization: Bearer <secret>``."""

    def check(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
        del body
        shown = headers.get("authorization", "").removeprefix("Bearer ").encode("utf-8", "surrogateescape")
        if not shown:
            return "Authorization was not sent: have the vendor send Authorization: Bearer and the secret"
        fits = [hmac.compare_digest(secret.encode(), shown) for secret in secrets]
        return None if any(fits) else f"the token in Authorization is not one of {setting}"

    return check
