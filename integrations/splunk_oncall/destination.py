"""Splunk On-Call (VictorOps), through its REST endpoint: CRITICAL, ACKNOWLEDGEMENT and RECOVERY by entity.

Contract: https://help.victorops.com/knowledge-base/rest-endpoint-integration-guide/ (fields; the keys are part of the
URL; an open incident with the same entity_id absorbs the new message).
"""

from typing import Any
from urllib.parse import quote

from incident.notification import Notification
from incident.receipt import Receipt, Verb
from integrations.base.errors import TemporaryError
from integrations.base.http import HttpDestination
from integrations.base.text import plain_text, shorten_key, truncate
from integrations.splunk_oncall.config import SplunkOnCallConfig
from integrations.splunk_oncall.limits import MAX_ENTITY, MAX_LINK_TEXT, MAX_LINKS, MAX_MESSAGE, MAX_NAME

ROOT = "https://alert.victorops.com"
PATH = "/integrations/generic/20131114/alert"
_MESSAGE_TYPES: dict[Verb, str] = {"acknowledge": "ACKNOWLEDGEMENT", "resolve": "RECOVERY"}


class SplunkOnCallDestination(HttpDestination[SplunkOnCallConfig]):
    """The ``entity_id`` is the incident's dedup key: a repeated CRITICAL pages nobody."""

    supports_ack = True
    vendor = "Splunk On-Call"
    remedy = "check the destination's api_key and routing_key, and that the REST integration is enabled"

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        entity = shorten_key(notification.pager_dedup_key, MAX_ENTITY)
        api_key = quote(self.secrets["api_key"], safe="")
        url = f"{self.config.root(ROOT)}{PATH}/{api_key}/{self.config.routing_key}"
        response = await self.post(url, _message(notification, entity))
        # It answers 200 also to a message that it did not accept.
        if '"success"' not in response.text:
            raise TemporaryError(f"{self.vendor} did not accept it: {response.text[:200] or 'empty body'}")
        return self.receipt(notification.key, entity)


def _message(notification: Notification, entity: str) -> dict[str, Any]:
    content = notification.content
    headline = f"REMINDER {content.headline}" if notification.verb == "remind" else content.headline
    message: dict[str, Any] = {
        "message_type": _MESSAGE_TYPES.get(notification.verb, "CRITICAL"),
        "entity_id": entity,
        "entity_display_name": truncate(headline, MAX_NAME),
        "state_message": truncate(plain_text(notification, headline=False, links=False), MAX_MESSAGE),
        "monitoring_tool": "Tocsin",
    }
    if content.since and notification.verb == "notify":
        message["state_start_time"] = int(content.since.timestamp())
    for link in content.links[:MAX_LINKS]:
        message[f"vo_annotate.u.{truncate(link.text, MAX_LINK_TEXT)}"] = link.url
    return message
