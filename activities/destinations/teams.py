"""Microsoft Teams, through a webhook of its Workflows app: an Adaptive Card in a channel or chat.

Contract: https://support.microsoft.com/office/create-incoming-webhooks-with-workflows (what is posted and answered; the
older connectors are retired), https://adaptivecards.io/explorer/ (each element), and
https://learn.microsoft.com/microsoftteams/limits-specifications-teams (28 KB a message). A webhook can neither change
nor thread what it posted, and it knows no key: what happens later is a short card of its own.
"""

import json
from typing import Any, ClassVar

import httpx
from pydantic import Field

from activities.contracts import Delivery, DigestIssue, Receipt
from activities.destinations.base import Secrets, cut
from activities.destinations.over_http import HttpDestination
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

MAX_BYTES = 25_000  # of 28 KB: what Teams adds around a card counts too
MAX_TEXT = 2_000  # characters, ours
MAX_ACTIONS = 6
_COLOUR = {"critical": "attention", "high": "warning", "low": "accent"}
_CUT = "This message was cut to what Teams takes; the incident's page has the rest."

Run = dict[str, Any]


class TeamsConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"

    webhook_url: SecretSetting = Field(description="The address that the workflow shows; whoever has it can post.")


class TeamsDestination(HttpDestination):
    """Text stands in RichTextBlocks, which know no markup. A retry after a lost answer may show a card twice."""

    type_name = "teams"
    config = TeamsConfig
    vendor = "Teams"
    remedy = "check the destination's webhook_url: the workflow may be turned off, deleted, or owned by nobody"

    def __init__(self, name: str, config: TeamsConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._base_url = config.base_url

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        whole = delivery.verb in {"notify", "remind"} or delivery.first is None
        return await self._post(delivery.key, _incident(delivery) if whole else _line(delivery))

    async def send_digest(self, issue: DigestIssue, attempt: int) -> Receipt:
        title = f"Digest: {len(issue.counted)} since {issue.since:%Y-%m-%d %H:%M} UTC"
        lines = [_text(_run(f"• {line}")) for line in issue.lines]
        return await self._post(issue.key, _card([_text(_run(title, bold=True)), *lines], [], title))

    async def _post(self, key: str, card: dict[str, Any]) -> Receipt:
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        answer = await self.post(self._address(), {"type": "message", "attachments": [attachment]})
        # The workflow's run, as its own log calls it; there is no id of the message.
        return self.receipt(key, answer.headers.get("x-ms-workflow-run-id") or f"accepted-{answer.status_code}")

    def _address(self) -> str:
        url = httpx.URL(self.secrets["webhook_url"])
        if self._base_url is None:
            return str(url)
        base = httpx.URL(str(self._base_url))
        return str(url.copy_with(scheme=base.scheme, host=base.host, port=base.port))


def _incident(delivery: Delivery) -> dict[str, Any]:
    brief = delivery.brief
    headline = f"REMINDER {brief.headline}" if delivery.verb == "remind" else brief.headline
    state = [_run(brief.state, bold=True), *([_run(f" · {delivery.note}")] if delivery.note else [])]
    body = [
        {
            "type": "Container",
            "style": _COLOUR[brief.tier],
            "bleed": True,
            "items": [_text(_run(headline, bold=True, size="medium"))],
        },
        _text(*state),
        *(_text(_run(f"{fact.label}: ", bold=True), _run(fact.value)) for fact in brief.facts),
        *(_text(_run(f"{one.source}: ", bold=True), _run(one.text)) for one in brief.findings),
    ]
    if brief.why:
        body.append(_text(_run(brief.why, subtle=True)))
    body.append(_text(_run(brief.incident, subtle=True)))
    links = [(link.text, link.url) for link in brief.links]
    links += [(one.source, one.url) for one in brief.findings if one.url]
    actions = [{"type": "Action.OpenUrl", "title": cut(text, 60), "url": url} for text, url in links[:MAX_ACTIONS]]
    return _card(body, actions, headline)


def _line(delivery: Delivery) -> dict[str, Any]:
    brief = delivery.brief
    said = delivery.note or brief.state
    return _card([_text(_run(said, bold=True)), _text(_run(brief.headline, subtle=True))], [], said)


def _card(body: list[dict[str, Any]], actions: list[dict[str, Any]], in_short: str) -> dict[str, Any]:
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "fallbackText": cut(in_short, MAX_TEXT),
        "msteams": {"width": "Full"},
        "body": body,
        **({"actions": actions} if actions else {}),
    }
    while len(json.dumps(card)) > MAX_BYTES and len(card["body"]) > 2:
        # From the end: what burns and since when stands at the beginning.
        kept = card["body"][:-2] if card["body"][-1].get("id") == "cut" else card["body"][:-1]
        card["body"] = [*kept, {**_text(_run(_CUT, subtle=True)), "id": "cut"}]
    return card


def _text(*runs: Run) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs), "spacing": "small"}


def _run(text: str, *, bold: bool = False, subtle: bool = False, size: str = "") -> Run:
    run: Run = {"type": "TextRun", "text": cut(text, MAX_TEXT) or " "}
    if bold:
        run["weight"] = "bolder"
    if subtle:
        run["isSubtle"] = True
    if size:
        run["size"] = size
    return run
