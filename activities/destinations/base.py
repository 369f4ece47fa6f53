"""The contract of a destination."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from temporalio.exceptions import ApplicationError

from activities.contracts import Change, Delivery, DigestIssue, Receipt
from activities.failures import permanent
from policy import DestinationConfig

TIMEOUT = 10.0  # seconds for one request to a vendor
USER_AGENT = "tocsin/0.2"

Secrets = Mapping[str, str]
"""A destination's secrets by the key that names them in its configuration."""


def cut(text: str, limit: int) -> str:
    """At most so many characters; where something is missing at the end, it shows."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def in_lines(delivery: Delivery, *, headline: bool = True, links: bool = True) -> str:
    """The whole message as plain text, a line a thing, for vendors that show no more than that."""
    brief = delivery.brief
    lines = [
        brief.headline if headline else "",
        delivery.note,
        *(f"{fact.label}: {fact.value}" for fact in brief.facts),
    ]
    lines += [f"{one.source}: {one.text} {one.url}".rstrip() for one in brief.findings]
    lines.append(brief.why)
    if links:
        lines += [f"{link.text}: {link.url}" for link in brief.links]
    return "\n".join(line for line in [*lines, brief.incident] if line)


def key_label(key: str) -> str:
    """A key as one word that a reader need not read: what marks a ticket or a comment as ours, and as that one."""
    return f"tocsin-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


class Destination(ABC):
    """One place a message can go. One instance a process and destination; it may keep a connection pool."""

    type_name: ClassVar[str]
    """What a policy writes as ``type``."""
    config: ClassVar[type[DestinationConfig]]
    has_buttons: bool = False
    """An incident is acknowledged in the message itself, or in the vendor's own app: it needs no link for that."""

    hears_changes: bool = False
    """It is told of changes that Arize reports, too."""

    def __init__(self, name: str, secrets: Secrets, public_url: str) -> None:
        self.name = name
        self.secrets = secrets
        self.public_url = public_url

    @abstractmethod
    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        """Carry out one delivery; ``attempt`` counts from 1.

        Idempotent by ``delivery.key``: whatever an earlier attempt may have done is not done twice.
        Raises ``failures.permanent`` or ``failures.temporary``.
        """

    async def send_digest(self, issue: DigestIssue, attempt: int) -> Receipt:
        """Send one issue of a digest."""
        del issue, attempt
        raise permanent(f"{self.name} is of type {self.type_name}, which takes no digests")

    async def tell_change(self, change: Change) -> Receipt:
        """Tell of a change, such as a new version of a prompt. It pages nobody."""
        del change
        raise permanent(f"{self.name} is of type {self.type_name}, which is told of no changes")

    async def close(self) -> None:  # noqa: B027  # most have nothing to let go of
        """Let go of connections."""

    def scrubbed(self, error: ApplicationError) -> ApplicationError:
        """The same without this destination's secrets: a vendor's answer may repeat what it was sent."""
        text = error.message
        for secret in sorted(self.secrets.values(), key=len, reverse=True):
            text = text.replace(secret, "…")
        if text == error.message:
            return error
        return ApplicationError(
            text, type=error.type, non_retryable=error.non_retryable, next_retry_delay=error.next_retry_delay
        )

    def receipt(self, key: str, vendor_id: str, url: str = "", place: str = "") -> Receipt:
        return Receipt(
            destination=self.name,
            type=self.type_name,
            id=vendor_id,
            at=datetime.now(UTC),
            key=key,
            url=url,
            place=place,
        )
