"""Splunk On-Call (VictorOps), through its REST endpoint: CRITICAL, ACKNOWLEDGEMENT and RECOVERY by entity.

Contract: https://help.victorops.com/knowledge-base/rest-endpoint-integration-guide/ (fields; the keys stand in the
address; an open incident with the same entity_id takes the new message in).
"""

from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from activities.contracts import Delivery, Receipt, Verb
from activities.destinations.base import Secrets, cut, in_lines
from activities.destinations.over_http import HttpDestination
from activities.failures import temporary
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

ROOT = "https://alert.victorops.com"
PATH = "/integrations/generic/20131114/alert"
MAX_ENTITY = 512  # characters, docs: "Recommended REST endpoint integration fields"
MAX_NAME = 1024
MAX_MESSAGE = 20_480
_TYPES: dict[Verb, str] = {"acknowledge": "ACKNOWLEDGEMENT", "resolve": "RECOVERY"}


class SplunkOnCallConfig(DestinationConfig):
    kind: ClassVar[Kind] = "page"

    api_key: SecretSetting = Field(
        description="The REST integration's key: the part of its address before the routing key."
    )
    routing_key: str = Field(pattern=r"^[\w.-]{1,100}$", description="Which escalation policy it reaches.")

    def where(self) -> str:
        return self.routing_key


class SplunkOnCallDestination(HttpDestination):
    """The ``entity_id`` is the incident's key: a repeated CRITICAL pages nobody."""

    type_name = "splunk_oncall"
    has_buttons = True
    config = SplunkOnCallConfig
    vendor = "Splunk On-Call"
    remedy = "check the destination's api_key and routing_key, and that the REST integration is enabled"

    def __init__(self, name: str, config: SplunkOnCallConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._config = config

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        entity = delivery.alarm[:MAX_ENTITY]
        key = quote(self.secrets["api_key"], safe="")
        answer = await self.post(
            f"{self._config.root(ROOT)}{PATH}/{key}/{self._config.routing_key}", _message(delivery, entity)
        )
        # It answers 200 to what it did not take, too.
        if '"success"' not in answer.text:
            raise temporary(f"{self.vendor} did not take it: {answer.text[:200] or 'nothing more'}")
        return self.receipt(delivery.key, entity)


def _message(delivery: Delivery, entity: str) -> dict[str, Any]:
    brief = delivery.brief
    message: dict[str, Any] = {
        "message_type": _TYPES.get(delivery.verb, "CRITICAL"),
        "entity_id": entity,
        "entity_display_name": cut(
            f"REMINDER {brief.headline}" if delivery.verb == "remind" else brief.headline, MAX_NAME
        ),
        "state_message": cut(in_lines(delivery, headline=False, links=False), MAX_MESSAGE),
        "monitoring_tool": "Tocsin",
    }
    if brief.since and delivery.verb == "notify":
        message["state_start_time"] = int(brief.since.timestamp())
    for link in brief.links[:10]:
        message[f"vo_annotate.u.{link.text}"] = link.url
    return message
