"""The policy file's shape. What passes here is well-formed; ``compile`` then checks that it means something."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from policy.decision import Tier
from policy.destinations import SecretSetting
from policy.durations import Duration

ROLES = ("viewer", "responder", "compliance", "admin")
"""From least to most trusted. The API's tokens carry them; ``governance.closed_by`` names one."""

NOT_BUILT = {
    "rollout": "phases of a rollout",
    "noise": "fingerprints, flapping, page budgets and maintenance windows of your own",
    "enrichment": "context from enrichers",
    "intake": "foreign shapes of alert",
    "rules[].inhibits": "inhibition",
    "models.*.enrich": "enrichers",
    "governance.evidence": "evidence export",
}
"""Keys of the contract whose shape is checked and whose behaviour does not exist yet: using one is an error, never
silently ignored."""


MEANT = {
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
"""What other tools call it, and what it is called here."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Names = tuple[str, ...]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


OneOrMore = Annotated[Names, BeforeValidator(_listed, json_schema_input_type=str | Names)]
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
Identifier = Annotated[str, Field(pattern=NAME)]


class StepConfig(_Strict):
    """One rung of a tier's escalation."""

    notify: Names = Field(description="Destinations that are paged or posted to, all of them.")
    after: Duration | None = Field(default=None, description="Since the tier's first step, without an acknowledgement.")
    repeat: int = Field(
        default=0,
        ge=0,
        le=20,
        description="How many times more, each as long after as this step after the one before.",
    )


class TierConfig(_Strict):
    """How loudly and how soon; a rule says which tier an alert has."""

    steps: tuple[StepConfig, ...] = Field(
        default=(), description="The first at once, the others while nobody acknowledges."
    )
    fallback: Names = Field(default=(), description="Told when a step's destination cannot be reached at all.")
    remind: Duration | None = Field(default=None, description="Acknowledged, yet still open after this long.")
    respond_within: Duration | None = Field(
        default=None, description="Unanswered by then: the next tier up, or the fallback."
    )
    digest: Names = Field(default=(), description="Destinations whose digests it stands in.")


class TiersConfig(_Strict):
    """All three are needed; critical must page somebody."""

    critical: TierConfig
    high: TierConfig
    low: TierConfig

    def __getitem__(self, tier: Tier) -> TierConfig:
        return {"critical": self.critical, "high": self.high, "low": self.low}[tier]


class EnrichConfig(_Strict):
    """Where context about a model is found; each part has its type, and the keys of that type."""

    vector_store: dict[str, Any] | None = None
    llm_provider: dict[str, Any] | None = None
    gateway: dict[str, Any] | None = None
    deploys: dict[str, Any] | None = None


class ModelConfig(_Strict):
    """One entry of the catalogue. A field that an entry leaves out has the value of ``models.defaults``."""

    team: str = Field(default="", description="As model.team in conditions, in messages and in reports.")
    owner: str = Field(default="", description="Who is told by notify_owner: best the name of a destination.")
    customer_facing: bool = Field(default=False, description="Whether customers see what it says.")
    regulated: bool = Field(default=False, description="Whether a person must close its incidents, by governance.")
    retriever: bool = Field(default=False, description="Whether it answers from documents that it looks up.")
    service: str = Field(default="", description="The service it is part of.")
    runbook: str = Field(default="", description="An address; it stands in every message.")
    arize: dict[str, str] = Field(default={}, description="Where it is found in Arize.")
    links: dict[str, str] = Field(default={}, description="By name: what else a responder may want to open.")
    slo: dict[str, float] = Field(default={}, description="By metric: the objective, as model.slo.* in conditions.")
    enrich: EnrichConfig | None = None

    def over(self, defaults: "ModelConfig") -> "ModelConfig":
        stated = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("slo", "links", "arize"):
            stated[name] = {**getattr(defaults, name), **getattr(self, name)}
        return defaults.model_copy(update=stated)


class OutcomeConfig(_Strict):
    """What a matching rule sets. Whatever it leaves out is as its tier says."""

    tier: Tier = Field(description="How loudly.")
    hold: Duration | None = Field(default=None, description="Act only if it is still triggered after this long.")
    priority: str = Field(default="", max_length=40, description="As your vendor calls it, such as P2.")
    tags: Names = Field(default=(), description="Added to the messages.")
    notify: Names | None = Field(default=None, description="Instead of the tier's first step; [] notifies nobody.")
    notify_owner: bool = Field(default=False, description="The first step also tells the model's owner.")
    ticket: OneOrMore = Field(default=(), description="Where a ticket is opened.")
    digest: Names | None = Field(default=None, description="Instead of the tier's digests.")
    respond_within: Duration | None = Field(default=None, description="Instead of the tier's.")


class RuleConfig(OutcomeConfig):
    """A condition, and what it sets where it holds."""

    name: Identifier = Field(description="Small letters, digits, - and _; decisions and tests name the rule by it.")
    when: str = Field(
        min_length=1, max_length=4000, description="A condition in CEL; the first rule whose holds decides."
    )
    inhibits: Literal["same_model"] | None = Field(
        default=None, description="While open, lesser alerts of the same model join it."
    )


class GovernanceConfig(_Strict):
    """Which incidents a person must close, and who."""

    regulated: str = Field(default="model.regulated", description="A condition: whether a person must close it.")
    ticket: OneOrMore = Field(default=(), description="Always opened for a regulated one, whatever the tier.")
    closed_by: Literal["responder", "compliance", "admin"] = Field(
        default="compliance", description="The role that may close a regulated one; never the machine."
    )
    evidence: Names = ()


class HeartbeatConfig(_Strict):
    """A dead man's switch, such as healthchecks.io or Dead Man's Snitch: it alarms when nobody asks for its address."""

    url: SecretSetting = Field(description="The address that is asked for; whoever has it can silence the alarm.")
    every: Duration = Field(default=60.0, description="How often.")


class DrillConfig(_Strict):
    """A fire drill that has to come out at the other end; it tells whom its rule tells."""

    rule: str = Field(description="The rule that is drilled: best one of its own, that tells a quiet place.")
    every: Duration = Field(default=86_400.0, description="How often.")
    within: Duration = Field(default=120.0, description="Until when its rule's destination must have taken it.")


class WatchdogConfig(_Strict):
    """Who hears of it when Tocsin itself is not well, by a way that does not need what is broken."""

    notify: Names = Field(min_length=1, description="Destinations that are told, without Temporal and without workers.")
    after: Duration = Field(default=120.0, description="For how long something must be wrong before they are.")
    heartbeat: HeartbeatConfig | None = Field(default=None, description="An outside alarm for the watchdog itself.")
    drill: DrillConfig | None = Field(default=None, description="A regular fire drill, from end to end.")


Phase = Literal["observe", "warn", "page"]


class RolloutException(_Strict):
    when: str
    phase: Phase


class RolloutConfig(_Strict):
    """How much is live. observe: decide and record only; warn: never louder than a post; page: everything."""

    phase: Phase = "page"
    exceptions: tuple[RolloutException, ...] = ()


class FlappingConfig(_Strict):
    changes: int = Field(ge=2, le=1000)
    within: Duration
    until_stable: Duration


class PageBudgetConfig(_Strict):
    per: str
    pages: int = Field(ge=1, le=10_000)
    within: Duration


class MaintenanceConfig(_Strict):
    when: str
    cron: str
    duration: Duration
    timezone: str = "UTC"
    reason: str = ""


class NoiseConfig(_Strict):
    fingerprint: Names = ()
    flapping: FlappingConfig | None = None
    page_budget: PageBudgetConfig | None = None
    maintenance: tuple[MaintenanceConfig, ...] = ()


class EnrichmentConfig(_Strict):
    budget: Duration | None = None
    recent_changes: Duration | None = None


class IntakeConfig(_Strict):
    when: str
    alert: dict[str, str]


class PolicyFile(_Strict):
    version: Literal[1] = Field(description="Of this shape.")
    destinations: dict[Identifier, dict[str, Any]] = Field(description="Where a message can go, by name.")
    tiers: TiersConfig = Field(description="How loudly, how soon.")
    models: dict[str, ModelConfig] = Field(default={}, description="The catalogue; defaults is for what a model lacks.")
    rules: tuple[RuleConfig, ...] = Field(default=(), description="The first rule whose condition holds decides.")
    otherwise: OutcomeConfig = Field(default=OutcomeConfig(tier="low"), description="Where no rule's condition holds.")
    governance: GovernanceConfig | None = Field(default=None, description="Who must close it.")
    watchdog: WatchdogConfig | None = Field(default=None, description="Who hears of it when Tocsin is not well.")
    rollout: RolloutConfig | None = None
    noise: NoiseConfig | None = None
    enrichment: EnrichmentConfig | None = None
    intake: tuple[IntakeConfig, ...] = ()
