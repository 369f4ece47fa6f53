"""An incident in Slack's Block Kit. No text of an alert is ever markup.

Contract: https://docs.slack.dev/reference/block-kit/blocks (limits of each block). Texts are ``plain_text`` and
``rich_text``, which Slack shows unchanged; a mention is a separate element, and comes from the policy only.
"""

from collections.abc import Sequence
from typing import Any, Literal

from incident.digest import Digest
from incident.message import MessageContent
from incident.notification import Notification
from integrations.base.text import truncate

MAX_HEADER = 150  # characters, block "header"
MAX_RICH = (
    3_000  # characters, our own limit: Slack states none for one rich_text element, and 4,000 for a message's text
)
MAX_FACTS = 20  # our own limit
MAX_LINKS = 10  # our own limit
MAX_BLOCKS = 50
LINES_PER_BLOCK = 20  # of a digest; our own limit
MAX_BUTTON = 75  # characters, block element "button", text
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
    """The incident's message, in its current state."""
    content = notification.content
    blocks = [_header(content.headline), _rich([_summary(notification, mentions)])]
    if lines := [_fact(fact.label, fact.value) for fact in content.facts[:MAX_FACTS]]:
        blocks.append(_rich(lines))
    if content.links:
        blocks.append(_rich([_links(content)]))
    if buttons and content.state in _OPEN_STATES:
        blocks.append(_buttons(notification))
    context = [text for text in (content.reason, content.incident) if text]
    elements = [{"type": "plain_text", "text": truncate(text, MAX_RICH), "emoji": False} for text in context]
    return [*blocks, {"type": "context", "elements": elements}]


def reply_blocks(notification: Notification) -> list[dict[str, Any]]:
    """A reply in the thread."""
    return [_rich([_section(_text(notification.note or notification.content.headline))])]


def digest_blocks(digest: Digest, title: str) -> list[dict[str, Any]]:
    """A digest: a line for each incident, and the number of those that do not fit."""
    limit = (MAX_BLOCKS - 2) * LINES_PER_BLOCK
    lines = [_section(_text(f"• {line}")) for line in digest.lines[:limit]]
    starts = range(0, len(lines), LINES_PER_BLOCK)
    blocks = [_header(title), *(_rich(lines[start : start + LINES_PER_BLOCK]) for start in starts)]
    if len(digest.contents) > limit:
        blocks.append(_rich([_section(_text(f"… and {len(digest.contents) - limit} more"))]))
    return blocks


def _summary(notification: Notification, mentions: Sequence[Mention]) -> dict[str, Any]:
    content = notification.content
    elements: list[dict[str, Any]] = []
    for kind, name in mentions:
        key = {"user": "user_id", "usergroup": "usergroup_id", "broadcast": "range", "text": "text"}[kind]
        elements += [{"type": kind, key: name}, _text(" ")]
    elements += [{"type": "emoji", "name": _EMOJIS[content.tier]}, _text(" "), _text(content.state, bold=True)]
    note = notification.note
    if note.startswith(f"{content.state} "):  # "Acknowledged by alice" says the state itself
        elements.append(_text(note.removeprefix(content.state)))
    elif note:
        elements.append(_text(f" · {note}"))
    return _section(*elements)


def _links(content: MessageContent) -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    for link in content.links[:MAX_LINKS]:
        elements += [_text(" · ")] * bool(elements) + [_link(link.text, link.url)]
    return _section(*elements)


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
