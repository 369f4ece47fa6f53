"""The shape of a policy file. ``compile`` then checks names, conditions and contradictions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from policy.decision import Tier
from policy.destinations import SecretSetting
from policy.durations import Duration
from policy.rewrite import has_mark

ROLES = ("viewer", "responder", "compliance", "admin")
"""Each role includes the rights of the roles before it. ``governance.closed_by`` names one."""

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


class StepConfig(_Strict):
    """One step of a tier's escalation."""

    notify: DestinationNames = Field(description="The destinations to notify.")
    after: Duration | None = Field(
        default=None, description="How long after the first step, if nobody has acknowledged."
    )
    repeat: int = Field(
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
    remind: Duration | None = Field(
        default=None,
        description="How often the first step is notified again while an acknowledged incident stays open.",
    )
    respond_within: Duration | None = Field(
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


class ModelConfig(_Strict):
    """One entry of the catalogue. Keys that an entry omits have the values of ``models.defaults``."""

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
    links: dict[str, str] = Field(default={}, description="Further links for messages, by name.")
    slo: dict[str, float] = Field(default={}, description="Objectives by metric, for conditions (`model.slo.*`).")

    def over(self, defaults: "ModelConfig") -> "ModelConfig":
        """This entry with ``defaults`` for the keys that it omits; maps are merged key by key."""
        stated = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("slo", "links"):
            stated[name] = {**getattr(defaults, name), **getattr(self, name)}
        return defaults.model_copy(update=stated)


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
    respond_within: Duration | None = Field(default=None, description="Replaces the tier's `respond_within`.")


class RuleConfig(OutcomeConfig):
    """A condition, and what applies to an alert that matches it."""

    name: Identifier = Field(
        description="Lower-case letters, digits, `-` and `_`; decisions and tests refer to the rule by it."
    )
    when: str = Field(
        min_length=1, max_length=4000, description="A condition in CEL. The first rule that matches decides."
    )


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
    every: Duration = Field(default=60.0, description="The interval.")


class DrillConfig(_Strict):
    """A regular fire drill through the whole system; it notifies the destinations of its rule."""

    rule: str = Field(description="The rule to drill. Use a rule of its own that notifies a channel for drills.")
    every: Duration = Field(default=86_400.0, description="The interval.")
    within: Duration = Field(default=120.0, description="How soon the rule's destination must have received it.")


class WatchdogConfig(_Strict):
    """The watchdog, which reports problems of Tocsin itself without Temporal, workers or the gateway."""

    notify: DestinationNames = Field(min_length=1, description="The destinations to notify.")
    after: Duration = Field(default=120.0, description="How long a problem must last before they are notified.")
    heartbeat: HeartbeatConfig | None = Field(default=None, description="An outside alarm for the watchdog itself.")
    drill: DrillConfig | None = Field(default=None, description="A regular fire drill.")


class PolicyFile(_Strict):
    version: Literal[1] = Field(description="The version of this format.")
    destinations: dict[Identifier, dict[str, Any]] = Field(description="The places that messages are sent to, by name.")
    tiers: TiersConfig = Field(description="The destinations that are notified, and when, by urgency.")
    models: dict[str, ModelConfig] = Field(
        default={}, description="The catalogue of models. `defaults` applies to all, and to unknown models."
    )
    rules: tuple[RuleConfig, ...] = Field(
        default=(), description="What an alert means. The first rule that matches decides."
    )
    otherwise: OutcomeConfig = Field(default=OutcomeConfig(tier="low"), description="What applies if no rule matches.")
    governance: GovernanceConfig | None = Field(default=None, description="Incidents that only a person may close.")
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
