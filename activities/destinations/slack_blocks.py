"""How an incident looks in Slack: Block Kit, in which no text of an alert is ever markup.

Contract: https://docs.slack.dev/reference/block-kit/blocks (limits of each block). Texts stand in ``plain_text`` and
``rich_text``, which Slack shows as they are; a mention is an element of its own, made from the policy alone.
"""

from collections.abc import Sequence
from typing import Any, Literal

from activities.contracts import Brief, Delivery, DigestIssue
from activities.destinations.base import cut

MAX_HEADER = 150  # characters, block "header"
MAX_RICH = 3_000  # characters, ours: Slack states none for one rich_text element, and 4,000 for a message's text
MAX_FACTS = 20
MAX_BLOCKS = 50
MAX_BUTTON = 75  # characters, block element "button", text
ACTIONS = {
    "acknowledge": "Acknowledge",
    "resolve": "Resolve",
    "silence": "Silence 1 h",
    "false_alarm": "False alarm",
}
"""What a button asks for, by what its action_id says after the colon; the gateway reads it back."""
ACTION_PREFIX = "tocsin:"
_SURE = {
    "resolve": "It is closed, and nobody is paged for it any more.",
    "false_alarm": "It is closed, and recorded as a false alarm.",
}
_EMOJI = {"critical": "rotating_light", "high": "warning", "low": "information_source"}
_OPEN = {"Triggered", "Holding", "Acknowledged", "Waiting for a person to close it"}

Mention = tuple[Literal["user", "usergroup", "broadcast", "text"], str]


def message(delivery: Delivery, mentions: Sequence[Mention], *, buttons: bool) -> list[dict[str, Any]]:
    """The incident's one message, as it stands now."""
    brief = delivery.brief
    blocks = [_header(brief.headline), _rich([_summary(delivery, mentions)])]
    if lines := [_fact(fact.label, fact.value) for fact in brief.facts[:MAX_FACTS]]:
        blocks.append(_rich(lines))
    if brief.findings:
        blocks.append(_rich(_findings(brief)))
    if brief.links:
        blocks.append(_rich([_links(brief)]))
    if buttons and brief.state in _OPEN:
        blocks.append(_buttons(delivery))
    about = [text for text in (brief.why, brief.incident) if text]
    elements = [{"type": "plain_text", "text": cut(text, MAX_RICH), "emoji": False} for text in about]
    return [*blocks, {"type": "context", "elements": elements}]


def reply(delivery: Delivery) -> list[dict[str, Any]]:
    """A line in the thread."""
    return [_rich([_section(_text(delivery.note or delivery.brief.headline))])]


def digest(issue: DigestIssue, title: str) -> list[dict[str, Any]]:
    """A digest: a line an incident; where there is room for no more, how many are left out."""
    room = (MAX_BLOCKS - 2) * 20
    lines = [_section(_text(f"• {line}")) for line in issue.lines[:room]]
    blocks = [_header(title), *(_rich(lines[start : start + 20]) for start in range(0, len(lines), 20))]
    if len(issue.briefs) > room:
        blocks.append(_rich([_section(_text(f"… and {len(issue.briefs) - room} more"))]))
    return blocks


def _summary(delivery: Delivery, mentions: Sequence[Mention]) -> dict[str, Any]:
    brief = delivery.brief
    elements: list[dict[str, Any]] = []
    for kind, name in mentions:
        key = {"user": "user_id", "usergroup": "usergroup_id", "broadcast": "range", "text": "text"}[kind]
        elements += [{"type": kind, key: name}, _text(" ")]
    elements += [{"type": "emoji", "name": _EMOJI[brief.tier]}, _text(" "), _text(brief.state, bold=True)]
    if delivery.note:
        elements.append(_text(f" · {delivery.note}"))
    return _section(*elements)


def _findings(brief: Brief) -> list[dict[str, Any]]:
    sections = [_section(_text("What was found", bold=True))]
    for finding in brief.findings[:MAX_FACTS]:
        elements = [_text(f"{finding.source}: ", bold=True), _text(finding.text)]
        if finding.url:
            elements += [_text(" "), _link("open", finding.url)]
        sections.append(_section(*elements))
    return sections


def _links(brief: Brief) -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    for link in brief.links[:10]:
        elements += [_text(" · ")] * bool(elements) + [_link(link.text, link.url)]
    return _section(*elements)


def _buttons(delivery: Delivery) -> dict[str, Any]:
    brief = delivery.brief
    shown = ["silence"]
    if brief.state != "Acknowledged":
        shown.insert(0, "acknowledge")
    if not brief.closed_by:
        shown += ["resolve", "false_alarm"]
    return {"type": "actions", "elements": [_button(name, delivery.opening) for name in shown]}


def _button(name: str, value: str) -> dict[str, Any]:
    button: dict[str, Any] = {
        "type": "button",
        "action_id": f"{ACTION_PREFIX}{name}",
        "text": {"type": "plain_text", "text": ACTIONS[name]},
        "value": value,
    }
    if name == "acknowledge":
        button["style"] = "primary"
    if name in _SURE:
        button["confirm"] = {
            "title": {"type": "plain_text", "text": f"{ACTIONS[name]}?"},
            "text": {"type": "plain_text", "text": _SURE[name]},
            "confirm": {"type": "plain_text", "text": ACTIONS[name]},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
    return button


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": cut(text, MAX_HEADER), "emoji": False}}


def _fact(label: str, value: str) -> dict[str, Any]:
    return _section(_text(f"{label}: ", bold=True), _text(value))


def _rich(sections: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": sections}


def _section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": cut(text, MAX_RICH), **({"style": {"bold": True}} if bold else {})}


def _link(text: str, url: str) -> dict[str, Any]:
    return {"type": "link", "text": cut(text, MAX_BUTTON), "url": url}
