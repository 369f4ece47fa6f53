"""An incident in Slack's Block Kit. No text of an alert is ever markup.

Contract: https://docs.slack.dev/reference/block-kit/blocks (limits of each block). Texts are ``plain_text`` and
``rich_text``, which Slack shows unchanged; a mention is a separate element, and comes from the policy only.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from incident.digest import Digest, more_text
from incident.message import MessageContent
from incident.notification import Notification
from integrations.base.text import text_length, truncate
from integrations.slack.limits import (
    LINES_PER_BLOCK,
    MAX_BLOCK_JSON,
    MAX_BLOCKS,
    MAX_BUTTON,
    MAX_FACTS,
    MAX_HEADER,
    MAX_LINKS,
    MAX_LINKS_JSON,
    MAX_RICH,
    MAX_SENTENCE,
)

ACTIONS = {
    "acknowledge": "Acknowledge",
    "resolve": "Resolve",
    "silence": "Silence 1 h",
    "false_alarm": "False alarm",
}
"""The label of each button, by its action. The ``action_id`` is ACTION_PREFIX and the action; callbacks contain it."""
ACTION_PREFIX = "tocsin:"
_CONFIRMATIONS = {
    "resolve": "This closes the incident. Nobody is paged for it again.",
    "false_alarm": "This closes the incident and records it as a false alarm.",
}
_EMOJIS = {"critical": "rotating_light", "high": "warning", "low": "information_source"}
_OPEN_STATES = {"Triggered", "Holding", "Acknowledged", "Waiting for a person to close it"}

Mention = tuple[Literal["user", "usergroup", "broadcast", "text"], str]


def message_blocks(notification: Notification, mentions: Sequence[Mention], *, buttons: bool) -> list[dict[str, Any]]:
    """The incident's message, in its current state: as many facts as Slack's limit allows, everything else always."""
    content = notification.content
    head = [_header(content.headline), _rich([_summary(notification, mentions)])]
    tail: list[dict[str, Any]] = []
    if links := _links(content):
        tail.append(_rich([_section(*links)]))
    if buttons and content.state in _OPEN_STATES:
        tail.append(_buttons(notification))
    context = [text for text in (content.reason, content.incident) if text]
    elements = [{"type": "plain_text", "text": truncate(text, MAX_SENTENCE), "emoji": False} for text in context]
    tail.append({"type": "context", "elements": elements})
    room = MAX_BLOCK_JSON - _size([*head, *tail])
    facts = [_fact(fact.label, fact.value) for fact in content.facts[:MAX_FACTS]]
    kept = _fitting(facts, room - len(_MORE))
    if len(kept) < len(content.facts):
        kept.append(_section(_text(_MORE)))
    return [*head, *([_rich(kept)] if kept else []), *tail]


def reply_blocks(notification: Notification) -> list[dict[str, Any]]:
    """A reply in the thread."""
    return [_rich([_section(_text(notification.note or notification.content.headline))])]


def digest_blocks(digest: Digest, title: str) -> list[dict[str, Any]]:
    """A digest: a line for each incident, and the number of those that do not fit."""
    head = _header(title)
    wanted = digest.lines[: (MAX_BLOCKS - 2) * LINES_PER_BLOCK]
    reserve = _size([head]) + 4 * _EMPTY_BLOCK
    sections = _fitting([_section(_text(f"• {line}")) for line in wanted], MAX_BLOCK_JSON - reserve, _EMPTY_BLOCK)
    starts = range(0, len(sections), LINES_PER_BLOCK)
    blocks = [head, *(_rich(sections[start : start + LINES_PER_BLOCK]) for start in starts)]
    if more := more_text(len(digest.contents) - len(sections)):
        blocks.append(_rich([_section(_text(more))]))
    return blocks


_MORE = "… The incident's page has the rest."
_EMPTY_BLOCK = 80
"""At least the length of a rich_text block without its sections, as JSON."""


def _fitting(sections: Sequence[dict[str, Any]], room: int, each_block: int = 0) -> list[dict[str, Any]]:
    """As many of the sections as fit, from the first one on. ``each_block`` is the cost of LINES_PER_BLOCK of them."""
    kept: list[dict[str, Any]] = []
    for number, section in enumerate(sections):
        room -= _size(section) + (each_block if number % LINES_PER_BLOCK == 0 else 0)
        if room < 0:
            break
        kept.append(section)
    return kept


def _size(value: object) -> int:
    return text_length(json.dumps(value, ensure_ascii=False))


def _summary(notification: Notification, mentions: Sequence[Mention]) -> dict[str, Any]:
    content = notification.content
    elements: list[dict[str, Any]] = []
    for kind, name in mentions:
        key = {"user": "user_id", "usergroup": "usergroup_id", "broadcast": "range", "text": "text"}[kind]
        elements += [{"type": kind, key: name}, _text(" ")]
    state, note = notification.status
    elements += [{"type": "emoji", "name": _EMOJIS[content.tier]}, _text(" "), _text(state, bold=True)]
    return _section(*elements, *([_text(truncate(note, MAX_SENTENCE))] if note else []))


def _links(content: MessageContent) -> list[dict[str, Any]]:
    """The links that fit; an address that is cut would be another one."""
    elements: list[dict[str, Any]] = []
    room = MAX_LINKS_JSON
    for link in content.links[:MAX_LINKS]:
        element = _link(link.text, link.url)
        if _size(element) > room:
            continue
        room -= _size(element)
        elements += [_text(" · ")] * bool(elements) + [element]
    return elements


def _buttons(notification: Notification) -> dict[str, Any]:
    content = notification.content
    shown = ["silence"]
    if content.state != "Acknowledged":
        shown.insert(0, "acknowledge")
    if not content.closed_by:
        shown += ["resolve", "false_alarm"]
    return {"type": "actions", "elements": [_button(name, notification.incident_key) for name in shown]}


def _button(name: str, value: str) -> dict[str, Any]:
    button: dict[str, Any] = {
        "type": "button",
        "action_id": f"{ACTION_PREFIX}{name}",
        "text": {"type": "plain_text", "text": ACTIONS[name]},
        "value": value,
    }
    if name == "acknowledge":
        button["style"] = "primary"
    if name in _CONFIRMATIONS:
        button["confirm"] = {
            "title": {"type": "plain_text", "text": f"{ACTIONS[name]}?"},
            "text": {"type": "plain_text", "text": _CONFIRMATIONS[name]},
            "confirm": {"type": "plain_text", "text": ACTIONS[name]},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
    return button


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": truncate(text, MAX_HEADER), "emoji": False}}


def _fact(label: str, value: str) -> dict[str, Any]:
    return _section(_text(f"{label}: ", bold=True), _text(value))


def _rich(sections: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": sections}


def _section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": truncate(text, MAX_RICH), **({"style": {"bold": True}} if bold else {})}


def _link(text: str, url: str) -> dict[str, Any]:
    return {"type": "link", "text": truncate(text, MAX_BUTTON), "url": url}
