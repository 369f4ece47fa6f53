"""Opsgenie, through the Alert API: create, acknowledge and close by alias.

Contract: https://docs.opsgenie.com/docs/alert-api (fields and their limits; a request is accepted with 202 and
processed soon after; an open alert with the same alias absorbs the new one and notifies nobody).
"""

from typing import Any, Literal
from urllib.parse import quote

from incident.message import MessageContent
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.http import HttpDestination
from integrations.base.text import plain_text, shorten_key, text_length, truncate
from integrations.opsgenie.config import OpsgenieConfig
from integrations.opsgenie.limits import (
    MAX_ALIAS,
    MAX_DESCRIPTION,
    MAX_DETAILS,
    MAX_ENTITY,
    MAX_MESSAGE,
    MAX_NOTE,
    MAX_TAG,
    MAX_TAGS,
)

ROOT = "https://api.opsgenie.com"
_PRIORITIES: dict[str, Literal["P1", "P2", "P4"]] = {"critical": "P1", "high": "P2", "low": "P4"}
_OPSGENIE_PRIORITIES = frozenset({"P1", "P2", "P3", "P4", "P5"})


class OpsgenieDestination(HttpDestination[OpsgenieConfig]):
    """The ``alias`` is the incident's dedup key: a repeated create notifies nobody."""

    supports_ack = True
    vendor = "Opsgenie"
    remedy = "check the destination's api_key, its rights, and base_url (https://api.eu.opsgenie.com in the EU)"

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        alias = shorten_key(notification.pager_dedup_key, MAX_ALIAS)
        alerts = f"{self.config.root(ROOT)}/v2/alerts"
        headers = {"Authorization": f"GenieKey {self.secrets['api_key']}"}
        if notification.verb in {"acknowledge", "resolve"}:
            action = "acknowledge" if notification.verb == "acknowledge" else "close"
            url = f"{alerts}/{quote(alias, safe='')}/{action}?identifierType=alias"
            await self.post(url, {"source": "Tocsin", "note": truncate(notification.note, MAX_NOTE)}, headers)
        else:
            await self.post(alerts, self._alert(notification, alias), headers)
        return self.receipt(notification.key, alias)

    def _alert(self, notification: Notification, alias: str) -> dict[str, Any]:
        content = notification.content
        reminder = "REMINDER " if notification.verb == "remind" else ""
        # Opsgenie renders HTML in a description: these two look alike, and begin no tag.
        description = plain_text(notification).replace("<", "‹").replace(">", "›")
        has_priority = content.priority in _OPSGENIE_PRIORITIES
        alert: dict[str, Any] = {
            "message": truncate(f"{reminder}{content.headline}", MAX_MESSAGE),
            "alias": alias,
            "description": truncate(description, MAX_DESCRIPTION),
            "responders": [responder.to_json() for responder in self.config.responders],
            "tags": [truncate(tag, MAX_TAG) for tag in content.tags[:MAX_TAGS]],
            "details": _details(content),
            "entity": truncate(content.model or content.component, MAX_ENTITY),
            "source": "Tocsin",
            "priority": content.priority if has_priority else _PRIORITIES[content.tier],
        }
        return {key: value for key, value in alert.items() if value}


def _details(content: MessageContent) -> dict[str, str]:
    """The incident and its facts, for other tools to read, up to Opsgenie's limit. The description has all of them."""
    details: dict[str, str] = {}
    remaining = MAX_DETAILS
    for label, value in [("Incident", content.incident), *((fact.label, fact.value) for fact in content.facts)]:
        remaining -= text_length(label) + text_length(value)
        if remaining < 0:
            break
        details[label] = value
    return details
