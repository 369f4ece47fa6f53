"""The contract of a destination."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Generic

from typing_extensions import TypeVar  # a parameter with a default is in typing from Python 3.13 on

from incident.change import Change
from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.errors import IntegrationError, PermanentError
from policy import DestinationConfig

TIMEOUT = 10.0
"""Seconds for one request to a vendor."""
USER_AGENT = f"tocsin/{version('tocsin')}"

Secrets = Mapping[str, str]
"""A destination's secrets, by the key that names them in its configuration."""
ConfigT = TypeVar("ConfigT", bound=DestinationConfig, default=DestinationConfig, covariant=True)
"""The class of the configuration. ``Destination`` alone is one with any configuration."""


class Destination(ABC, Generic[ConfigT]):
    """A named place that receives notifications.

    A process opens one instance for each destination of its policy. An instance may keep a connection pool.
    """

    supports_ack: bool = False
    """The vendor's own product acknowledges an incident, so a message needs no link for that."""
    receives_changes: bool = False
    """``send_change_event`` is called for the changes that Arize reports."""

    def __init__(self, name: str, config: ConfigT, secrets: Secrets) -> None:
        """
        Args:
            name: the destination's name in the policy.
            config: the destination's keys in the policy.
            secrets: the values of ``config.secrets()``, by the same keys.
        """
        self.name = name
        self.config = config
        self.secrets = secrets

    @abstractmethod
    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        """Send one notification.

        Idempotent by ``notification.key``: an earlier attempt may have reached the vendor although no response arrived.

        Args:
            notification: what to send.
            attempt: counts from 1.

        Raises:
            PermanentError: a retry cannot succeed.
            TemporaryError: a retry may succeed.
        """

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        """Send a digest. Idempotent by ``digest.key``. Raises as ``deliver`` does."""
        del digest, attempt
        raise PermanentError(f"{self.name} is of type {self.config.type}, which cannot receive digests")

    async def send_change_event(self, change: Change) -> Receipt:
        """Send a change, such as a new version of a prompt. It pages nobody. Raises as ``deliver`` does."""
        del change
        raise PermanentError(f"{self.name} is of type {self.config.type}, which cannot receive changes")

    async def close(self) -> None:  # most destinations hold nothing
        """Close the connections."""

    def redacted(self, error: IntegrationError) -> IntegrationError:
        """The error without this destination's secrets: a vendor's response may repeat what it received."""
        text = error.message
        for secret in sorted(self.secrets.values(), key=len, reverse=True):
            text = text.replace(secret, "…")
        return error.with_message(text)

    def receipt(self, key: str, vendor_id: str, url: str = "", location: str = "") -> Receipt:
        """The receipt of a message that the vendor accepted just now.

        Args:
            key: the idempotency key of the notification or digest.
            vendor_id: the vendor's id of the message.
            url: the message's address for people.
            location: where the vendor keeps the message, such as a channel's id.
        """
        return Receipt(
            destination=self.name,
            type=self.config.type,
            id=vendor_id,
            at=datetime.now(UTC),
            key=key,
            url=url,
            location=location,
        )
