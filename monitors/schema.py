"""The shape of a monitors file. ``load`` then checks it against the policy, and ``resolve`` against the tenant."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from monitors.vocabulary import (
    LOWER_OPERATORS,
    UPPER_OPERATORS,
    Calculation,
    Category,
    DataQualityMetric,
    Day,
    DriftMetric,
    FilterOperator,
    Kind,
    ModelEnvironment,
    Operator,
    PerformanceMetric,
    Phase,
    TracingCategory,
    TracingMetric,
)
from policy.durations import Duration
from policy.schema import Identifier

_HOUR, _DAY = 3600, 86_400


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not value.isprintable():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("the text has half a character, such as \\ud83d without its second half") from None
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | float | bool)]
"""A text that YAML may read as a number or a truth value."""


def _one_word(value: str) -> str:
    if value.split() not in ([], [value]):
        raise ValueError(f"found {value[:60]!r}; a word without spaces is needed")
    return value


Word = Annotated[Text, AfterValidator(_one_word), Field(json_schema_extra={"pattern": r"^\S*$"})]


class LimitConfig(_Strict):
    """One side of a range: a number, an objective of the model, or a number of standard deviations."""

    operator: Operator | None = Field(default=None, description="`lower`: `greater_than`; `upper`: `less_than`.")
    value: float | None = Field(default=None, description="A number.")
    slo: str = Field(default="", description="The name of an objective in the model's `slo`; its number is used.")
    multiplier: float | None = Field(default=None, gt=0, description="Deviations from the usual value: dynamic.")


class ThresholdConfig(LimitConfig):
    """When the monitor triggers: an `operator` with one limit, or a range that is healthy between two limits."""

    operator: Operator | None = Field(default=None, description="Triggers if the metric compares so with the limit.")
    calculation: Calculation | None = Field(default=None, description="Of a dynamic threshold: `stdev` (default).")
    lower: LimitConfig | None = Field(default=None, description="The lower end of the healthy range.")
    upper: LimitConfig | None = Field(default=None, description="The upper end of the healthy range.")

    @model_validator(mode="after")
    def _is_complete(self) -> "ThresholdConfig":
        if self.lower or self.upper:
            if not (self.lower and self.upper):
                raise ValueError("a range needs both lower and upper")
            if self.operator or _limits(self):
                raise ValueError("a range has lower and upper, and no operator, value, slo or multiplier of its own")
            _check_range(self.lower, self.upper)
        else:
            if len(_limits(self)) != 1:
                raise ValueError("exactly one of value, slo and multiplier is needed, or a range: lower and upper")
            if self.operator is None:
                raise ValueError("needs an operator, such as greater_than")
        if self.calculation and not self.is_dynamic:
            raise ValueError("calculation belongs to a dynamic threshold, which has a multiplier")
        return self

    @property
    def is_dynamic(self) -> bool:
        return (self.lower or self).multiplier is not None


def _limits(limit: LimitConfig) -> list[str]:
    return [name for name in ("value", "slo", "multiplier") if getattr(limit, name) not in {None, ""}]


def _check_range(lower: LimitConfig, upper: LimitConfig) -> None:
    for name, limit, allowed in (("lower", lower, LOWER_OPERATORS), ("upper", upper, UPPER_OPERATORS)):
        if len(_limits(limit)) != 1:
            raise ValueError(f"{name} needs exactly one of value, slo and multiplier")
        if limit.operator and limit.operator not in allowed:
            raise ValueError(f"the operator of {name} must be {' or '.join(allowed)}")
    if (lower.multiplier is None) != (upper.multiplier is None):
        raise ValueError("either both ends of a range have a multiplier, or none")


class _DimensionConfig(_Strict):
    name: Text = Field(default="", description="The field's name; some categories, such as `predictions`, have none.")


class DimensionConfig(_DimensionConfig):
    """What the metric is computed from."""

    category: Category = Field(description="Such as `span_attribute`, `llm_eval` or `feature_label`.")


class TracingDimensionConfig(_DimensionConfig):
    """What the metric of a tracing monitor is computed from."""

    category: TracingCategory = Field(description="`span_attribute`, `llm_eval` or `user_annotation`.")


class FilterConfig(_Strict):
    """Restricts the monitor to a part of the data."""

    category: Category = Field(description="As of a dimension.")
    name: Text = Field(default="", description="The field's name.")
    operator: FilterOperator = Field(default="equals", description="How the field compares with the values.")
    values: tuple[Text, ...] = Field(default=(), description="The values to compare with.")


class DowntimeConfig(_Strict):
    """Regular times without evaluation."""

    start: datetime = Field(description="The first time, such as `2026-12-06T02:00:00Z`; UTC if it names no zone.")
    duration: Duration = Field(description="Whole hours, such as `2h`.")
    every: Duration = Field(description="Whole days, such as `7d`.")

    @model_validator(mode="after")
    def _fits_arize(self) -> "DowntimeConfig":
        if self.duration % _HOUR or not self.duration:
            raise ValueError("the duration of a downtime is in whole hours, such as 2h")
        if self.every % _DAY or not self.every:
            raise ValueError("a downtime repeats after whole days, such as 7d")
        return self

    @property
    def start_utc(self) -> datetime:
        return (self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)).astimezone(UTC)


class ContactConfig(_Strict):
    """What Arize itself notifies: an email address, an integration, or a webhook."""

    email: str = Field(default="", max_length=320, description="An email address.")
    integration: str = Field(default="", description="The name of a Slack, PagerDuty or Opsgenie integration in Arize.")
    webhook: str = Field(
        default="", description="The URL of a webhook. Arize's API cannot attach it: the plan says how."
    )

    @model_validator(mode="after")
    def _is_one(self) -> "ContactConfig":
        if sum(map(bool, (self.email, self.integration, self.webhook))) != 1:
            raise ValueError("a contact is exactly one of email, integration and webhook")
        if self.email and "@" not in self.email:
            raise ValueError("an email address has an @")
        return self


class CommonConfig(_Strict):
    """Keys of every monitor that ``defaults`` may also have."""

    model: str = Field(default="", description="A model of the policy's catalogue; its Arize project is monitored.")
    project: str = Field(default="", description="The Arize project, by name or id, if `model` does not name just one.")
    window: Duration | None = Field(
        default=None, gt=0, description="The evaluation window: `72h`, or `24h` for a tracing monitor, by default."
    )
    delay: Duration = Field(default=0.0, description="How much later a window is evaluated, for late data.")
    cadence: Duration | None = Field(default=None, gt=0, description="How often it is evaluated; hourly by default.")
    days: tuple[Day, ...] = Field(default=(), description="The days on which it is evaluated; needs `cadence`.")
    filters: tuple[FilterConfig, ...] = Field(default=(), description="The part of the data that is monitored.")
    downtime: DowntimeConfig | None = Field(default=None, description="Regular times without evaluation.")
    tags: tuple[str, ...] | None = Field(
        default=None, description="All tags of the monitor. Without this key, tags are not managed."
    )
    contacts: tuple[ContactConfig, ...] = Field(default=(), description="Notified by Arize itself, by the `phase`.")
    phase: Phase = Field(
        default="page",
        description="`observe`: no contact is notified; `warn`: none that pages (PagerDuty, Opsgenie); `page`: all.",
    )
    owner: Word = Field(default="", description="The owner, a word without spaces, for the notes.")
    runbook: Word = Field(default="", description="The runbook's URL, for the notes.")


class MonitorConfig(CommonConfig):
    """Keys of every monitor."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)] = Field(
        default="", description="The name in Arize; the monitor's key by default."
    )
    id: str = Field(default="", description="The Arize id of an existing monitor that this entry takes over.")
    threshold: ThresholdConfig = Field(description="When it triggers.")
    notes: str = Field(
        default="", max_length=10_000, description="Free text. Tocsin appends owner, runbook and its mark."
    )

    @model_validator(mode="after")
    def _days_need_a_cadence(self) -> "MonitorConfig":
        if self.days and self.cadence is None:
            raise ValueError("days needs a cadence beside it")
        return self


class DataQualityConfig(MonitorConfig):
    """A data quality monitor of a model."""

    kind: Literal["data_quality"] = Field(description="What Arize calls the monitor's type.")
    metric: DataQualityMetric = Field(description="What is computed.")
    dimension: DimensionConfig = Field(description="What it is computed from.")
    model_environment: ModelEnvironment = Field(default="production", description="Arize's environment of the data.")

    @model_validator(mode="after")
    def _is_not_of_spans(self) -> "DataQualityConfig":
        if self.dimension.category in get_args(TracingCategory):
            raise ValueError(f"a monitor of {self.dimension.category} is of the kind tracing")
        return self


class TracingConfig(MonitorConfig):
    """A monitor of spans, evaluations or annotations."""

    kind: Literal["tracing"] = Field(description="What Arize calls the monitor's type.")
    metric: TracingMetric = Field(description="What is computed.")
    dimension: TracingDimensionConfig = Field(description="What it is computed from.")


class PerformanceConfig(MonitorConfig):
    """A performance monitor of a model."""

    kind: Literal["performance"] = Field(description="What Arize calls the monitor's type.")
    metric: PerformanceMetric = Field(description="What is computed.")
    model_environment: ModelEnvironment = Field(default="production", description="Arize's environment of the data.")
    positive_class: Text = Field(default="", description="The positive class of a classification metric.")
    prediction_class: Word = Field(default="", description="The class of a multi-class metric.")
    ranking_k: int | None = Field(default=None, ge=1, description="The k of a ranking metric, such as NDCG at 10.")
    top_k_percentile: float | None = Field(default=None, gt=0, le=100, description="Only the top of the predictions.")


class DriftConfig(MonitorConfig):
    """A drift monitor of a model."""

    kind: Literal["drift"] = Field(description="What Arize calls the monitor's type.")
    metric: DriftMetric = Field(default="psi", description="What is computed.")
    dimension: DimensionConfig = Field(description="What it is computed from.")
    baseline: Literal["model", "unmanaged"] = Field(
        default="model",
        description="`model`: the model's baseline; `unmanaged`: the one that was set in Arize by hand.",
    )


class CustomMetricConfig(MonitorConfig):
    """A monitor of a custom metric."""

    kind: Literal["custom_metric"] = Field(description="What Arize calls the monitor's type.")
    custom_metric: str = Field(min_length=1, description="The name (or id) of a custom metric of the project.")
    model_environment: ModelEnvironment = Field(default="production", description="Arize's environment of the data.")


AnyMonitorConfig = DataQualityConfig | PerformanceConfig | DriftConfig | CustomMetricConfig | TracingConfig
KINDS: dict[Kind, type[AnyMonitorConfig]] = {
    "data_quality": DataQualityConfig,
    "performance": PerformanceConfig,
    "drift": DriftConfig,
    "custom_metric": CustomMetricConfig,
    "tracing": TracingConfig,
}


class MonitorsFile(_Strict):
    version: Literal[1] = Field(description="The version of this format.")
    namespace: Identifier | None = Field(
        default=None,
        description="Separates the monitors of several repositories in one tenant: each manages only its own.",
    )
    defaults: CommonConfig = Field(default=CommonConfig(), description="Values for keys that a monitor omits.")
    monitors: dict[Identifier, dict[str, Any]] = Field(default={}, description="The monitors, by key.")
