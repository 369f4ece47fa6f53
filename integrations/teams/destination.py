"""Microsoft Teams, through a webhook of its Workflows app: an Adaptive Card in a channel or chat.

Contract: https://support.microsoft.com/office/create-incoming-webhooks-with-workflows (requests and responses; the
older connectors are retired), https://adaptivecards.io/explorer/ (each element), and
https://learn.microsoft.com/microsoftteams/limits-specifications-teams (28 KB a message). A webhook can neither change
its messages nor reply to them, and it has no idempotency key: each update is a short card.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from incident.digest import Digest, more_text
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.http import HttpDestination
from integrations.base.text import truncate
from integrations.teams.config import TeamsConfig
from integrations.teams.limits import (
    MAX_ACTION_TITLE,
    MAX_ACTIONS,
    MAX_ACTIONS_BYTES,
    MAX_BYTES,
    MAX_SENTENCE,
    MAX_TEXT,
)

_STYLES = {"critical": "attention", "high": "warning", "low": "accent"}
_TRUNCATED = "This message was truncated to the size that Teams accepts. The incident's page has the rest."

Run = dict[str, Any]


class TeamsDestination(HttpDestination[TeamsConfig]):
    """Uses RichTextBlocks, which have no markup. A retry after a lost response may show a card twice."""

    vendor = "Teams"
    remedy = "check the destination's webhook_url: the workflow may be disabled or deleted, or may have no owner"

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        is_full = notification.verb in {"notify", "remind"} or notification.original_receipt is None
        return await self._post(
            notification.key, _incident_card(notification) if is_full else _update_card(notification)
        )

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        return await self._post(digest.key, await asyncio.to_thread(digest_card, digest))

    async def _post(self, key: str, card: dict[str, Any]) -> Receipt:
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        response = await self.post(self._url(), {"type": "message", "attachments": [attachment]})
        # The id of the workflow's run, which its own log shows; the message's id is not returned.
        return self.receipt(key, response.headers.get("x-ms-workflow-run-id") or f"accepted-{response.status_code}")

    def _url(self) -> str:
        url = httpx.URL(self.secrets["webhook_url"])
        if self.config.base_url is None:
            return str(url)
        base = httpx.URL(str(self.config.base_url))
        return str(url.copy_with(scheme=base.scheme, host=base.host, port=base.port))


def _incident_card(notification: Notification) -> dict[str, Any]:
    content = notification.content
    headline = f"REMINDER {content.headline}" if notification.verb == "remind" else content.headline
    state, note = notification.status
    status = [_run(state, bold=True), *([_run(truncate(note, MAX_SENTENCE))] if note else [])]
    body = [
        {
            "type": "Container",
            "style": _STYLES[content.tier],
            "bleed": True,
            "items": [_text(_run(truncate(headline, MAX_SENTENCE), bold=True, size="medium"))],
        },
        _text(*status),
        *(_text(_run(f"{fact.label}: ", bold=True), _run(fact.value)) for fact in content.facts),
    ]
    if content.reason:
        body.append(_text(_run(content.reason, subtle=True)))
    body.append(_text(_run(content.incident, subtle=True)))
    links = [(link.text, link.url) for link in content.links]
    actions = [
        {"type": "Action.OpenUrl", "title": truncate(text, MAX_ACTION_TITLE), "url": url}
        for text, url in links[:MAX_ACTIONS]
    ]
    return _card(body, actions, headline)


def digest_card(digest: Digest) -> dict[str, Any]:
    """A line for each incident, and the number of those that do not fit."""
    title = f"Digest: {digest.title}"
    body = [_text(_run(title, bold=True)), *(_text(_run(f"• {line}")) for line in digest.lines[:MAX_LINES])]
    unlisted = len(digest.lines) - len(body) + 1
    return _card(body, [], title, lambda cut: more_text(cut + unlisted))


MAX_LINES = MAX_BYTES // 50
"""Lines of a digest; more never fit into a card."""


def _update_card(notification: Notification) -> dict[str, Any]:
    content = notification.content
    update = notification.note or content.state
    return _card([_text(_run(update, bold=True)), _text(_run(content.headline, subtle=True))], [], update)


def _card(
    body: list[dict[str, Any]],
    actions: list[dict[str, Any]],
    fallback_text: str,
    note: Callable[[int], str] = lambda cut: _TRUNCATED if cut else "",
) -> dict[str, Any]:
    """A card within Teams' limit. ``note`` returns its last line, from the number of blocks that were cut."""

    def card_of(blocks: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "AdaptiveCard",
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "version": "1.4",
            "fallbackText": truncate(fallback_text, MAX_SENTENCE),
            "msteams": {"width": "Full"},
            "body": blocks,
            **({"actions": kept_actions} if kept_actions else {}),
        }

    kept_actions = list(actions)
    while kept_actions and _size(kept_actions) > MAX_ACTIONS_BYTES:
        kept_actions.pop()
    note_block = _text(_run(note(len(body)) or _TRUNCATED, subtle=True))
    room = MAX_BYTES - _size(card_of([])) - _size(note_block) - 2
    kept = 0
    for block in body:  # from the beginning: the headline and the state come first
        room -= _size(block) + 2
        if room < 0 and kept:
            break
        kept += 1
    text = note(len(body) - kept)
    last = [{**_text(_run(text, subtle=True)), "id": "truncated"}] if text else []
    return card_of([*body[:kept], *last])


def _size(value: object) -> int:
    """Bytes of JSON, with every character outside ASCII escaped, as it is sent."""
    return len(json.dumps(value))


def _text(*runs: Run) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs), "spacing": "small"}


def _run(text: str, *, bold: bool = False, subtle: bool = False, size: str = "") -> Run:
    run: Run = {"type": "TextRun", "text": truncate(text, MAX_TEXT) or " "}
    if bold:
        run["weight"] = "bolder"
    if subtle:
        run["isSubtle"] = True
    if size:
        run["size"] = size
    return run
