"""The normalised alert: everything behind the gateway reads only this."""

from datetime import datetime, timedelta
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
    metric: str = Field(
        default="",
        description="What is measured, by `metrics` and the built-in names: error_rate, embedding_drift, "
        "p95_latency_ms.",
    )
    aggregation: str = Field(default="", description="Arize's own metric in lower case: p95, avg, psi, accuracy, …")
    dimension: str = Field(default="", description="The dimension that is aggregated: latency_ms, Answer Relevance.")
    dimension_category: str = Field(
        default="", description="As Arize says, in lower case: span_attribute, llm_eval, feature_label, …"
    )
    dimension_type: str = Field(default="", description="The dimension's data type in lower case: embedding, double, …")
    custom_metric: str = Field(default="", description="The name of the custom metric.")
    custom_metric_id: str = Field(default="", description="The id of the custom metric in Arize.")
    formula: str = Field(default="", description="The custom metric's formula in Arize's query language.")
    mapped: bool = Field(default=False, description="Whether `metrics` or the built-in names know the metric.")
    unit: str = Field(
        default="", description="The unit of value, threshold and baseline: ratio, percent, ms, usd, tokens, count, …"
    )
    value: float | None = Field(default=None, description="In the metric's own unit.")
    threshold: float | None = Field(default=None, description="The monitor's limit, if it is a single number.")
    dynamic_threshold: bool = Field(
        default=False, description="Whether Arize computes the limit; then only its API knows the number."
    )
    operator: str = Field(default="", description="How value and threshold compare when triggered: greater_than, …")
    baseline: float | None = Field(default=None, description="The value that it is compared with.")
    change: float | None = Field(
        default=None,
        description="Relative change against the baseline, or the threshold without one: -0.3 is a 30 % drop.",
    )
    severity: str = Field(default="", description="The sender's severity; the policy decides.")
    model: str = Field(default="", description="The model's name in the catalogue, or the project's name.")
    project: str = Field(default="", description="The name of the project in Arize.")
    project_id: str = Field(default="", description="The id of the project in Arize.")
    model_version: str = ""
    prompt_version: str = ""
    environment: str = Field(
        default="", description="In lower case: production, staging. An alert that states none has its model's."
    )
    region: str = ""
    segment: dict[str, str] = Field(
        default_factory=dict[str, str], description="The slice of the data, by dimension: customer_tier."
    )
    excluded: dict[str, str] = Field(
        default_factory=dict[str, str], description="What the monitor's filters exclude, by dimension."
    )
    tags: dict[str, str] = Field(
        default_factory=dict[str, str], description="The tags of the monitor and its project, and words of its notes."
    )
    status: Status = Field(default="triggered", description="triggered, cleared or no_data.")
    stated_status: bool = Field(default=True, description="Whether the body states the status. If not, it is assumed.")
    url: str = Field(default="", description="The monitor's page in Arize, an http or https URL.")
    notes: str = Field(default="", description="The sender's notes.")
    occurred_at: datetime | None = Field(default=None, description="In UTC, by the sender's clock.")
    local_time: bool = Field(
        default=False,
        description="Whether it states that time without a time zone: it may be of any.",
        exclude_if=lambda value: not value,
    )
    window_seconds: int | None = Field(default=None, description="The monitor's evaluation window.")
    delay_seconds: int | None = Field(
        default=None, description="How long before the evaluation the window ends, for data that arrives late."
    )
    cadence_seconds: int | None = Field(default=None, description="How often Arize evaluates the monitor.")
    identity: tuple[str, ...] = Field(
        default=(),
        description="The parts of the fingerprint, as the sender stated them.",
    )
    drill: str = Field(
        default="",
        description="The rule of a fire drill. Never read from a body: only the API starts a drill.",
    )
    interpreted: str = Field(
        default="", description="The digest of the policy that set metric, kind, unit, model and environment."
    )
    unread: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="What is no number although it should be, by the field: value, threshold, baseline.",
        exclude_if=lambda value: not value,
    )
    stated: dict[str, str | float | bool | None] = Field(
        default_factory=dict[str, str | float | bool | None],
        description="What the interpretation replaced: the fields as they were read.",
    )
    undescribed: str = Field(
        default="", description="Why Arize's description of the monitor is missing; empty if none is needed."
    )
    quarantined: str = Field(
        default="",
        description="The id of a delivery that could not be read. Never read from a body: only the gateway sets it.",
    )
    raw: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="The body as it was sent, with unknown fields."
    )

    def as_read(self) -> "Alert":
        """The alert before a policy interpreted it."""
        return self.model_copy(update={**self.stated, "interpreted": "", "stated": {}}) if self.interpreted else self

    @property
    def ordering_time(self) -> datetime | None:
        """When it happened, to be compared with other alerts. Without ``tzinfo`` it is of an unknown time zone, and
        compares with its like only."""
        return self.occurred_at.replace(tzinfo=None) if self.occurred_at and self.local_time else self.occurred_at

    def failing_window(self) -> tuple[datetime, datetime] | None:
        """The time whose data Arize evaluated: ``[at - delay - window, at - delay]``; None if a part is unknown."""
        if self.occurred_at is None or not self.window_seconds:
            return None
        end = self.occurred_at - timedelta(seconds=self.delay_seconds or 0)
        return end - timedelta(seconds=self.window_seconds), end
