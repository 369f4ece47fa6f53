"""The one shape that everything behind the gateway knows."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["triggered", "cleared", "no_data"]


class Alert(BaseModel):
    """One message from Arize, normalised.

    Texts are free of control and direction-changing characters and cut to a length that every vendor
    takes. A field that the body lacked is ``""``, ``None`` or empty. Numbers are finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: str = Field(default="", description="The sender's id of this event; the same on a redelivery.")
    monitor: str = Field(description="The monitor's name, or its id where it has none.")
    monitor_id: str = Field(default="", description="The monitor's id in Arize.")
    kind: str = Field(
        default="",
        description="drift, performance, data_quality, custom_metric, tracing, evaluation, cost or business.",
    )
    metric: str = Field(default="", description="In snake case: error_rate, embedding_drift, p95_latency_ms.")
    value: float | None = Field(default=None, description="In the metric's own unit.")
    threshold: float | None = Field(default=None, description="The monitor's limit, where it is a single number.")
    operator: str = Field(default="", description="How value and threshold compare when triggered: greater_than, …")
    baseline: float | None = Field(default=None, description="What the value is measured against.")
    change: float | None = Field(
        default=None,
        description="Relative change against the baseline, or else the threshold: -0.3 is a 30 % drop.",
    )
    severity: str = Field(default="", description="What the sender called it; the policy decides.")
    model: str = Field(default="", description="The model's or project's name.")
    model_version: str = ""
    prompt_version: str = ""
    environment: str = Field(default="", description="In small letters: production, staging.")
    region: str = ""
    segment: dict[str, str] = Field(
        default_factory=dict[str, str], description="The slice that it is about, by dimension: customer_tier."
    )
    tags: dict[str, str] = Field(default_factory=dict[str, str], description="What the monitor is tagged with.")
    status: Status = Field(default="triggered", description="triggered, cleared or no_data.")
    url: str = Field(default="", description="The monitor's page in Arize; http or https, or nothing.")
    notes: str = Field(default="", description="What the sender wrote.")
    occurred_at: datetime | None = Field(default=None, description="In UTC, by the sender's clock.")
    window_seconds: int | None = Field(default=None, description="The monitor's evaluation window.")
    identity: tuple[str, ...] = Field(
        default=(),
        description="What makes two alerts the same problem, as stated by the sender; see fingerprint().",
    )
    drill: str = Field(
        default="",
        description="The rule that a fire drill is of; never read from a body: a drill is begun through the API.",
    )
    raw: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="The body as it was sent, unknown fields and all."
    )
