"""Opsgenie, through the Alert API: create, acknowledge and close by alias.

Contract: https://docs.opsgenie.com/docs/alert-api (fields and their limits; a request is taken with 202 and processed
soon after; an open alert with the same alias takes the new one in and notifies nobody).
"""

from typing import Any, ClassVar, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from activities.contracts import Brief, Delivery, Receipt
from activities.destinations.base import Secrets, cut, in_lines
from activities.destinations.over_http import HttpDestination
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

ROOT = "https://api.opsgenie.com"
MAX_MESSAGE = 130  # characters, docs: "Create Alert", each of these
MAX_ALIAS = 512
MAX_DESCRIPTION = 15_000
MAX_ENTITY = 512
MAX_DETAILS = 8_000  # of all keys and values
MAX_TAGS, MAX_TAG = 20, 50
MAX_NOTE = 25_000
MAX_USER = 100
_PRIORITY: dict[str, Literal["P1", "P2", "P4"]] = {"critical": "P1", "high": "P2", "low": "P4"}


class Responder(BaseModel):
    """Whom Opsgenie notifies: one of the four, by name; a user by their e-mail address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    team: str = ""
    user: str = ""
    escalation: str = ""
    schedule: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a responder is one of team, user, escalation and schedule, such as {team: sre}")
        return self

    def sent(self) -> dict[str, str]:
        (kind,) = self.model_fields_set
        return {"type": kind, "username" if kind == "user" else "name": getattr(self, kind)}


class OpsgenieConfig(DestinationConfig):
    kind: ClassVar[Kind] = "page"

    api_key: SecretSetting = Field(description="An API integration's key, with the right to create and update alerts.")
    responders: tuple[Responder, ...] = Field(
        default=(), max_length=50, description="Whom it notifies: {team: …}, {user: …}, {escalation: …}, {schedule: …}."
    )

    def where(self) -> str:
        return ", ".join(
            f"{kind} {name}" for one in self.responders for kind, name in one.model_dump(exclude_defaults=True).items()
        )


class OpsgenieDestination(HttpDestination):
    """The ``alias`` is the incident's key: a repeated create notifies nobody."""

    type_name = "opsgenie"
    has_buttons = True
    config = OpsgenieConfig
    vendor = "Opsgenie"
    remedy = "check the destination's api_key, its rights, and base_url (https://api.eu.opsgenie.com in the EU)"

    def __init__(self, name: str, config: OpsgenieConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._config = config

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        alias = delivery.alarm[:MAX_ALIAS]
        alerts = f"{self._config.root(ROOT)}/v2/alerts"
        headers = {"Authorization": f"GenieKey {self.secrets['api_key']}"}
        if delivery.verb in {"acknowledge", "resolve"}:
            action = "acknowledge" if delivery.verb == "acknowledge" else "close"
            url = f"{alerts}/{quote(alias, safe='')}/{action}?identifierType=alias"
            await self.post(url, {"source": "Tocsin", "note": cut(delivery.note, MAX_NOTE)}, headers)
        else:
            await self.post(alerts, self._alert(delivery, alias), headers)
        return self.receipt(delivery.key, alias)

    def _alert(self, delivery: Delivery, alias: str) -> dict[str, Any]:
        brief = delivery.brief
        reminder = "REMINDER " if delivery.verb == "remind" else ""
        alert: dict[str, Any] = {
            "message": cut(f"{reminder}{brief.headline}", MAX_MESSAGE),
            "alias": alias,
            # Opsgenie shows HTML in a description: these two look the same, and begin no tag.
            "description": cut(in_lines(delivery).replace("<", "‹").replace(">", "›"), MAX_DESCRIPTION),
            "responders": [one.sent() for one in self._config.responders],
            "tags": [cut(tag, MAX_TAG) for tag in brief.tags[:MAX_TAGS]],
            "details": _details(brief),
            "entity": cut(brief.model or brief.component, MAX_ENTITY),
            "source": "Tocsin",
            "priority": brief.priority if brief.priority in {"P1", "P2", "P3", "P4", "P5"} else _PRIORITY[brief.tier],
        }
        return {key: value for key, value in alert.items() if value}


def _details(brief: Brief) -> dict[str, str]:
    """What an integration may want to read, as long as all of it stays within what Opsgenie takes."""
    details: dict[str, str] = {}
    room = MAX_DETAILS
    for label, value in [("Incident", brief.incident), *((fact.label, fact.value) for fact in brief.facts)]:
        room -= len(label) + len(value)
        if room < 0:
            break  # the description has them all
        details[label] = value
    return details
