"""The normalised alert: everything behind the gateway reads only this."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["triggered", "cleared", "no_data"]


class Alert(BaseModel):
    """One normalised message about one monitor.

    Texts contain no control or direction-changing characters, and are truncated to a length that every vendor accepts.
    A field that the body does not have is ``""``, ``None`` or empty. Numbers are finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: str = Field(default="", description="The sender's id of this event; the same on a redelivery.")
    monitor: str = Field(description="The monitor's name, or its id if it has none.")
    monitor_id: str = Field(default="", description="The monitor's id in Arize.")
    kind: str = Field(
        default="",
        description="drift, performance, data_quality, custom_metric, tracing, evaluation, cost or business.",
    )
    metric: str = Field(default="", description="In snake case: error_rate, embedding_drift, p95_latency_ms.")
    value: float | None = Field(default=None, description="In the metric's own unit.")
    threshold: float | None = Field(default=None, description="The monitor's limit, if it is a single number.")
    operator: str = Field(default="", description="How value and threshold compare when triggered: greater_than, …")
    baseline: float | None = Field(default=None, description="The value that it is compared with.")
    change: float | None = Field(
        default=None,
        description="Relative change against the baseline, or the threshold without one: -0.3 is a 30 % drop.",
    )
    severity: str = Field(default="", description="The sender's severity; the policy decides.")
    model: str = Field(default="", description="The model's or project's name.")
    model_version: str = ""
    prompt_version: str = ""
    environment: str = Field(default="", description="In lower case: production, staging.")
    region: str = ""
    segment: dict[str, str] = Field(
        default_factory=dict[str, str], description="The slice of the data, by dimension: customer_tier."
    )
    tags: dict[str, str] = Field(default_factory=dict[str, str], description="The monitor's tags.")
    status: Status = Field(default="triggered", description="triggered, cleared or no_data.")
    url: str = Field(default="", description="The monitor's page in Arize, an http or https URL.")
    notes: str = Field(default="", description="The sender's notes.")
    occurred_at: datetime | None = Field(default=None, description="In UTC, by the sender's clock.")
    window_seconds: int | None = Field(default=None, description="The monitor's evaluation window.")
    identity: tuple[str, ...] = Field(
        default=(),
        description="The parts of the fingerprint, as the sender stated them.",
    )
    drill: str = Field(
        default="",
        description="The rule of a fire drill. Never read from a body: only the API starts a drill.",
    )
    raw: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="The body as it was sent, with unknown fields."
    )
