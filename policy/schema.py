"""The policy file's shape. What passes here is well-formed; ``compile`` then checks that it means something."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from policy.decision import Tier
from policy.durations import Duration

ROLES = ("viewer", "responder", "compliance", "admin")
"""From least to most trusted. The API's tokens carry them; ``governance.closed_by`` names one."""

NOT_BUILT = {
    "rollout": "phases of a rollout",
    "noise": "fingerprints, flapping, page budgets and maintenance windows of your own",
    "enrichment": "context from enrichers",
    "intake": "foreign shapes of alert",
    "rules[].inhibits": "inhibition",
    "rules[].notify_owner": "notifying the catalogue's owner",
    "models.*.enrich": "enrichers",
    "governance.evidence": "evidence export",
}
"""Keys of the contract whose behaviour does not exist yet: using one is an error, never silently ignored."""

TYPES_NOT_BUILT = frozenset({"opsgenie", "splunk_oncall", "teams", "email", "servicenow", "webhook"})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Names = tuple[str, ...]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class StepConfig(_Strict):
    notify: Names
    after: Duration | None = Field(default=None, description="Since the tier's first step, without an acknowledgement.")
    repeat: int = Field(
        default=0,
        ge=0,
        le=20,
        description="How many times more, each as long after as this step after the one before.",
    )


class TierConfig(_Strict):
    steps: tuple[StepConfig, ...] = ()
    fallback: Names = Field(default=(), description="Told when a step's destination cannot be reached at all.")
    remind: Duration | None = Field(default=None, description="Acknowledged, yet still open after this long.")
    respond_within: Duration | None = Field(
        default=None, description="Unanswered by then: the next tier up, or the fallback."
    )
    digest: Names = ()


class TiersConfig(_Strict):
    critical: TierConfig
    high: TierConfig
    low: TierConfig

    def __getitem__(self, tier: Tier) -> TierConfig:
        return {"critical": self.critical, "high": self.high, "low": self.low}[tier]


class ModelConfig(_Strict):
    """One entry of the catalogue. A field that an entry leaves out has the value of ``models.defaults``."""

    team: str = ""
    owner: str = ""
    customer_facing: bool = False
    regulated: bool = False
    retriever: bool = False
    service: str = ""
    runbook: str = ""
    arize: dict[str, str] = {}
    links: dict[str, str] = {}
    slo: dict[str, float] = {}

    def over(self, defaults: "ModelConfig") -> "ModelConfig":
        stated = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("slo", "links", "arize"):
            stated[name] = {**getattr(defaults, name), **getattr(self, name)}
        return defaults.model_copy(update=stated)


class OutcomeConfig(_Strict):
    """What a matching rule sets. Whatever it leaves out is as its tier says."""

    tier: Tier
    hold: Duration | None = Field(default=None, description="Act only if it is still triggered after this long.")
    priority: str = Field(default="", max_length=40)
    tags: Names = ()
    notify: Names | None = Field(default=None, description="Instead of the tier's first step; [] notifies nobody.")
    ticket: str | Names = ()
    digest: Names | None = None
    respond_within: Duration | None = None


class RuleConfig(OutcomeConfig):
    name: Identifier
    when: str = Field(min_length=1, max_length=4000)


class GovernanceConfig(_Strict):
    regulated: str = Field(default="model.regulated", description="A condition: whether a person must close it.")
    ticket: str | Names = Field(default=(), description="Always opened for a regulated one, whatever the tier.")
    closed_by: Literal["responder", "compliance", "admin"] = "compliance"


class PolicyFile(_Strict):
    version: Literal[1]
    destinations: dict[Identifier, dict[str, Any]]
    tiers: TiersConfig
    models: dict[str, ModelConfig] = {}
    rules: tuple[RuleConfig, ...] = ()
    otherwise: OutcomeConfig = OutcomeConfig(tier="low")
    governance: GovernanceConfig | None = None
