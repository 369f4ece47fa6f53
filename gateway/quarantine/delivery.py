"""A delivery that is authentic and cannot be read, as the quarantine holds it."""

import base64
import binascii
import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from alerts import Alert, Shape, clean

State = Literal["quarantined", "replaying", "replayed"]
_HEADER_CHARS = 200


class Delivery(BaseModel):
    """A request to a webhook: its exact body, the headers that matter, and why nothing reads it."""

    model_config = ConfigDict(frozen=True)

    id: str
    received_at: datetime
    body: str
    """Base64 of the exact bytes."""
    event_id: str = ""
    event: str = ""
    content_type: str = ""
    signed: bool = False
    """The sender signed the body, and not the headers."""
    shape: str
    """The digest of the body's shape."""
    label: str
    reasons: tuple[str, ...] = ()

    @property
    def raw(self) -> bytes:
        """The exact body."""
        try:
            return base64.b64decode(self.body)
        except binascii.Error:
            return b""

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)


@dataclass(frozen=True)
class Received:
    """What the gateway received: the body, and the headers that matter."""

    body: bytes
    event_id: str
    event: str
    content_type: str
    received_at: datetime
    signed: bool = False
    """The sender signed the body, and not the headers."""

    def delivery(self, shape: Shape, reasons: tuple[str, ...]) -> Delivery:
        """A redelivery of the same event has the same id. Without the sender's id, each delivery has its own."""
        event_id = clean(self.event_id, _HEADER_CHARS)
        identity = self.event_id.encode() + b"\0" + self.body if event_id else uuid.uuid4().bytes
        return Delivery(
            id=f"q-{hashlib.sha256(identity).hexdigest()[:20]}",
            received_at=self.received_at,
            body=base64.b64encode(self.body).decode(),
            event_id=event_id,
            event=clean(self.event, _HEADER_CHARS),
            content_type=clean(self.content_type, _HEADER_CHARS),
            signed=self.signed,
            shape=shape.digest,
            label=shape.label,
            reasons=tuple(clean(reason, 1000) for reason in reasons[:20]),
        )


class Plan(BaseModel):
    """What a replay makes of a delivery. It is stored before anything is sent, so that no second attempt differs."""

    model_config = ConfigDict(frozen=True)

    alert: Alert


@dataclass(frozen=True)
class Quarantined:
    """A row of the quarantine."""

    id: str
    number: int
    shape: str
    """The digest of the shape that its incident stands for."""
    received_at: datetime
    size: int
    """Of the body, in bytes."""
    state: State
    replayed_at: datetime | None
    replayed_by: str
    replayed_role: str
    incident: str
    """The incident that a replay turned it into; empty before."""
    outcome: str
    """How it reached that incident: started, joined, …"""
    delivery: Delivery | None
    """None if it cannot be decrypted."""
    plan: Plan | None
    fault: str = ""
    """Why ``delivery`` is None."""
