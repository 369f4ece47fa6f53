"""The keys of an Opsgenie destination in a policy."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.opsgenie.limits import MAX_RESPONDERS
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class Responder(BaseModel):
    """A responder in Opsgenie: a team, an escalation or a schedule by name, or a user by e-mail address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    team: str = ""
    user: str = ""
    escalation: str = ""
    schedule: str = ""

    @model_validator(mode="after")
    def _exactly_one_key(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a responder has one key: team, user, escalation or schedule, such as {team: sre}")
        return self

    def to_json(self) -> dict[str, str]:
        """As the Alert API takes it."""
        (kind,) = self.model_fields_set
        return {"type": kind, "username" if kind == "user" else "name": getattr(self, kind)}


class OpsgenieConfig(DestinationConfig):
    kind: ClassVar[Kind] = "page"
    callback_variable: ClassVar[str] = "OPSGENIE_WEBHOOK_SECRET"
    header_secrets: ClassVar[frozenset[str]] = frozenset({"api_key"})

    api_key: SecretSetting = Field(description="The key of an API integration that may create and update alerts.")
    responders: tuple[Responder, ...] = Field(
        default=(),
        max_length=MAX_RESPONDERS,
        description="The responders: {team: …}, {user: …}, {escalation: …} or {schedule: …}.",
    )

    def label(self) -> str:
        return ", ".join(
            f"{kind} {name}"
            for responder in self.responders
            for kind, name in responder.model_dump(exclude_defaults=True).items()
        )
