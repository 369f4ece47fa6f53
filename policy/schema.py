"""The shape of a policy file. ``compile`` then checks names, conditions and contradictions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from policy.decision import Tier
from policy.destinations import SecretSetting
from policy.durations import PATTERN, SECONDS, Duration, Interval, format_duration, parse_duration
from policy.noise_schema import NoiseConfig
from policy.numbers import Number, Whole, parse_whole
from policy.rewrite import has_mark
from policy.rollout_schema import RolloutConfig

KEY_ALIASES = {
    "escalation": "steps",
    "escalations": "steps",
    "escalate": "steps",
    "levels": "steps",
    "condition": "when",
    "match": "when",
    "expr": "when",
    "if": "when",
    "for": "hold",
    "delay": "after",
    "wait": "after",
    "receiver": "notify",
    "receivers": "notify",
    "destination": "notify",
    "channels": "destinations",
    "integrations": "destinations",
    "severity": "tier",
    "level": "tier",
    "severities": "tiers",
    "reminder": "remind",
    "timeout": "respond_within",
    "due": "respond_within",
    "labels": "tags",
    "default": "otherwise",
    "else": "otherwise",
    "catalogue": "models",
    "catalog": "models",
    "compliance": "governance",
    "closer": "closed_by",
    "issue": "ticket",
    "tickets": "ticket",
}
"""Names that other tools use for a key, for suggestions in error messages."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


Names = tuple[str, ...]
LONGEST_WAIT = 10.0  # seconds


def _parse_wait(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds > LONGEST_WAIT:
        raise ValueError(f"found {value!r}; at most {format_duration(LONGEST_WAIT)}: a page waits for it")
    return seconds


DescribeWait = Annotated[
    float,
    SECONDS,
    BeforeValidator(_parse_wait, json_schema_input_type=Annotated[str, Field(pattern=PATTERN)]),
]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class DestinationsMark:
    """Marks a key that names destinations, so that unknown names are found even if the file is invalid elsewhere."""


DESTINATIONS = DestinationsMark()
DestinationNames = Annotated[Names, DESTINATIONS]
OneOrMore = Annotated[Names, DESTINATIONS, BeforeValidator(_listed, json_schema_input_type=str | Names)]
"""Names of destinations; a single one may be written without a list."""
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
Identifier = Annotated[str, Field(pattern=NAME)]
MetricName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,62}$")]


class StepConfig(_Strict):
    """One step of a tier's escalation."""

    notify: DestinationNames = Field(description="The destinations to notify.")
    after: Duration | None = Field(
        default=None, description="How long after the first step, if nobody has acknowledged."
    )
    repeat: Whole = Field(
        default=0,
        ge=0,
        le=20,
        description="How often the step is repeated, each time after the same interval as before this step.",
    )


class TierConfig(_Strict):
    """The destinations that an alert of this tier notifies, and when. A rule sets the tier."""

    steps: tuple[StepConfig, ...] = Field(
        default=(),
        description="The escalation: the first step is immediate, the others follow while nobody acknowledges.",
    )
    fallback: DestinationNames = Field(
        default=(), description="Destinations to notify if one of a step cannot be reached."
    )
    remind: Interval | None = Field(
        default=None,
        description="How often the first step is notified again while an acknowledged incident stays open.",
    )
    respond_within: Interval | None = Field(
        default=None,
        description="Without an acknowledgement by then, the next tier applies; for critical, the fallback.",
    )
    digest: DestinationNames = Field(default=(), description="Destinations whose digests list the incident.")


class TiersConfig(_Strict):
    """All three tiers are required; critical must page."""

    critical: TierConfig
    high: TierConfig
    low: TierConfig

    def __getitem__(self, tier: Tier) -> TierConfig:
        return {"critical": self.critical, "high": self.high, "low": self.low}[tier]


class ArizeModelConfig(_Strict):
    """What a model is in Arize."""

    projects: Names = Field(
        default=(), description="The names or ids of the Arize projects that are this model; in any case."
    )


class ModelConfig(_Strict):
    """One entry of the catalogue. Keys that an entry omits have the values of ``models.defaults``."""

    environment: str = Field(
        default="",
        description="The environment of an alert that states none; `production` if the defaults omit it too.",
    )
    team: str = Field(default="", description="The team, for conditions (`model.team`), messages and reports.")
    owner: str = Field(
        default="",
        description="The destination of `notify_owner`. Any other name is only shown in messages.",
    )
    customer_facing: bool = Field(default=False, description="Whether customers see its answers.")
    regulated: bool = Field(default=False, description="Whether a person must close its incidents (see Governance).")
    retriever: bool = Field(default=False, description="Whether it answers from retrieved documents.")
    service: str = Field(default="", description="The service it is part of.")
    runbook: str = Field(default="", description="A URL that every message links to.")
    arize: ArizeModelConfig = Field(default=ArizeModelConfig(), description="What the model is in Arize.")
    links: dict[str, str] = Field(default={}, description="Further links for messages, by name.")
    slo: dict[str, Number] = Field(default={}, description="Objectives by metric, for conditions (`model.slo.*`).")

    def over(self, defaults: "ModelConfig") -> "ModelConfig":
        """This entry with ``defaults`` for the keys that it omits; maps are merged key by key."""
        stated = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("slo", "links"):
            stated[name] = {**getattr(defaults, name), **getattr(self, name)}
        return defaults.model_copy(update=stated)


class MetricConfig(_Strict):
    """What a monitor measures. An entry adds to the built-in names, and wins over them.

    Its key is the name that rules use as `alert.metric`, and counts as one of its names.
    """

    names: Names = Field(
        default=(),
        description="Names of custom metrics, dimensions or evaluations in Arize, compared without case, spaces, `_`, "
        "`-` and `.`.",
    )
    match: str = Field(
        default="",
        max_length=4000,
        description="A condition in CEL on `alert.*`, for a metric that has no name of its own.",
    )
    kind: str = Field(default="", max_length=40, description="The kind of alert, such as `cost` or `business`.")
    unit: Literal["ratio", "percent", "ms", "s", "usd", "eur", "tokens", "count", "distance", "score"] | None = Field(
        default=None,
        description="The unit, for messages. The numbers of a `ratio` whose name says percent are divided by 100.",
    )
    better: Literal["higher", "lower"] | None = Field(
        default=None, description="Which direction is an improvement; gives the sign of a `change` that states none."
    )


class OutcomeConfig(_Strict):
    """What applies to an alert. Keys that are omitted have the values of the tier."""

    tier: Tier = Field(description="The tier.")
    hold: Duration | None = Field(
        default=None, description="Notify only if the alert is still triggered after this long."
    )
    priority: str = Field(default="", max_length=40, description="A priority for the vendors, such as `P2`.")
    tags: Names = Field(default=(), description="Tags that are added to messages.")
    notify: DestinationNames | None = Field(
        default=None, description="Replaces the destinations of the tier's first step; with `[]` there are no steps."
    )
    notify_owner: bool = Field(default=False, description="The first step also notifies the model's owner.")
    ticket: OneOrMore = Field(default=(), description="Destinations in which a ticket is opened.")
    digest: DestinationNames | None = Field(default=None, description="Replaces the tier's digests.")
    respond_within: Interval | None = Field(default=None, description="Replaces the tier's `respond_within`.")


class InhibitsConfig(_Strict):
    """Which lesser incidents notify nobody while an incident of this rule is open. They are listed in it."""

    same: tuple[str, ...] = Field(
        min_length=1, description="Fields such as `alert.model` whose values must be the same; a missing one is not."
    )
    tiers: tuple[Tier, ...] = Field(min_length=1, description="Their tiers, which are lower than the rule's own.")


class RuleConfig(OutcomeConfig):
    """A condition, and what applies to an alert that matches it."""

    name: Identifier = Field(
        description="Lower-case letters, digits, `-` and `_`; decisions and tests refer to the rule by it."
    )
    when: str = Field(
        min_length=1, max_length=4000, description="A condition in CEL. The first rule that matches decides."
    )
    inhibits: tuple[InhibitsConfig, ...] = Field(default=(), description="What is not notified while it is open.")


class GovernanceConfig(_Strict):
    """Which incidents only a person may close, and with which role."""

    regulated: str = Field(default="model.regulated", description="A condition: whether the incident is regulated.")
    ticket: OneOrMore = Field(
        default=(),
        description="Destinations in which a ticket is opened for every regulated incident, whatever its tier.",
    )
    closed_by: Literal["responder", "compliance", "admin"] = Field(
        default="compliance", description="The role that a person needs to close a regulated incident."
    )


class HeartbeatConfig(_Strict):
    """A dead man's switch, such as healthchecks.io or Dead Man's Snitch: it alarms when requests stop."""

    url: SecretSetting = Field(
        description="The URL that is requested. It is a secret: anyone who knows it can keep the alarm silent."
    )
    every: Interval = Field(default=60.0, description="The interval.")


class DrillConfig(_Strict):
    """A regular fire drill through the whole system; it notifies the destinations of its rule."""

    rule: str = Field(description="The rule to drill. Use a rule of its own that notifies a channel for drills.")
    every: Interval = Field(default=86_400.0, description="The interval.")
    within: Interval = Field(default=120.0, description="How soon the rule's destination must have received it.")


class WatchdogConfig(_Strict):
    """The watchdog, which reports problems of Tocsin itself without Temporal, workers or the gateway."""

    notify: DestinationNames = Field(min_length=1, description="The destinations to notify.")
    after: Duration = Field(default=120.0, description="How long a problem must last before they are notified.")
    heartbeat: HeartbeatConfig | None = Field(default=None, description="An outside alarm for the watchdog itself.")
    drill: DrillConfig | None = Field(default=None, description="A regular fire drill.")


class DescribeConfig(_Strict):
    """How Arize's description of a monitor is read."""

    wait: DescribeWait = Field(
        default=3.0,
        description="How long a first decision may wait for the description of a monitor that is not known yet; "
        "at most 10s. Without it, the decision is made in doubt, and revisited when Arize answers.",
    )


class MappingConfig(_Strict):
    """How to read a body whose format is not Arize's as an alert. Expressions are CEL on `payload`, the parsed body."""

    name: Identifier = Field(description="Lower-case letters, digits, `-` and `_`; messages refer to it.")
    when: str = Field(
        min_length=1, max_length=4000, description="A condition on `payload`: whether this mapping reads the body."
    )
    alert: dict[str, str] = Field(
        min_length=1,
        description="By field of the alert: the expression for its value. `monitor`, `monitor_id` or `model` is "
        "required. A field whose expression is `null` is left out.",
    )


class IntakeConfig(_Strict):
    """What happens to what is sent to the webhooks."""

    unreadable: OutcomeConfig = Field(
        default=OutcomeConfig(tier="high"),
        description="What applies to authentic deliveries that nothing can read. They are kept, and one incident "
        "reports those of one shape.",
    )
    mappings: tuple[MappingConfig, ...] = Field(
        default=(), description="How to read other formats. The first mapping that matches reads the body."
    )
    describe: DescribeConfig = Field(default=DescribeConfig(), description="How monitors are described.")


class PolicyFile(_Strict):
    version: Annotated[Literal[1], BeforeValidator(parse_whole)] = Field(description="The version of this format.")
    destinations: dict[Identifier, dict[str, Any]] = Field(description="The places that messages are sent to, by name.")
    tiers: TiersConfig = Field(description="The destinations that are notified, and when, by urgency.")
    models: dict[str, ModelConfig] = Field(
        default={}, description="The catalogue of models. `defaults` applies to all, and to unknown models."
    )
    metrics: dict[MetricName, MetricConfig] = Field(
        default={}, description="What Arize's monitors measure, by the name that rules use."
    )
    rules: tuple[RuleConfig, ...] = Field(
        default=(), description="What an alert means. The first rule that matches decides."
    )
    unmapped: OutcomeConfig = Field(
        default=OutcomeConfig(tier="high"),
        description="What applies to a triggered metric that no rule names, if no rule matches.",
    )
    otherwise: OutcomeConfig = Field(default=OutcomeConfig(tier="low"), description="What applies if no rule matches.")
    intake: IntakeConfig = Field(default=IntakeConfig(), description="How webhooks are read.")
    governance: GovernanceConfig | None = Field(default=None, description="Incidents that only a person may close.")
    noise: NoiseConfig | None = Field(default=None, description="What makes several alerts one page.")
    rollout: RolloutConfig = Field(default=RolloutConfig(), description="How much of the policy is live.")
    watchdog: WatchdogConfig | None = Field(default=None, description="Reports problems of Tocsin itself.")


def destination_keys() -> frozenset[str]:
    """The keys of the schema that name destinations, such as ``notify``."""

    def keys(model: type[BaseModel]) -> set[str]:
        own = {
            name
            for name, field in model.model_fields.items()
            if DESTINATIONS in field.metadata or has_mark(field.annotation, DESTINATIONS)
        }
        return own.union(*(keys(child) for child in model.__subclasses__()))

    return frozenset(keys(_Strict))
