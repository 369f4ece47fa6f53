"""The content of a message: the same for every vendor. Each destination renders it within its vendor's limits."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from incident.text import Line, RequiredLine, Text, WebAddress
from policy import Tier

TRIGGERED = "Triggered"
"""``MessageContent.state`` of an incident that waits for an acknowledgement."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Frozen):
    """A labelled value. Facts without a label or a value are dropped from a message."""

    label: Line
    value: Line


def _complete_facts(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if fact.label and fact.value)


class Link(_Frozen):
    """A link. Links without a URL are dropped from a message."""

    text: RequiredLine
    url: WebAddress


def _complete_links(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple(link for link in links if link.url)


class MessageContent(_Frozen):
    """What a message says about an incident."""

    headline: RequiredLine
    """Tier, model, metric, value, place. The first 60 characters fit a lock screen."""
    state: RequiredLine
    tier: Tier
    priority: Line = ""
    incident: RequiredLine
    model: Line = ""
    team: Line = ""
    environment: Line = ""
    component: Line = ""
    metric: Line = ""
    since: datetime | None = None
    respond_by: datetime | None = Field(default=None, description="When a response is due, by the policy.")
    facts: Annotated[tuple[Fact, ...], AfterValidator(_complete_facts)] = ()
    reason: Text = Field(default="", description="The rule that decided, and the values that made it match.")
    links: Annotated[tuple[Link, ...], AfterValidator(_complete_links)] = ()
    tags: tuple[Line, ...] = ()
    incident_url: WebAddress = Field(default="", description="The incident's page; set when the message is sent.")
    closed_by: str = Field(default="", description="The only role that may close it; empty when anyone may.")
    drill: bool = Field(default=False, description="A fire drill: marked in every message, excluded from every count.")
