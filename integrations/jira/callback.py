"""Jira's webhooks: a ticket was closed or reopened, or somebody commented on it.

Contract: https://developer.atlassian.com/cloud/jira/platform/webhooks/: ``webhookEvent``, ``issue``, ``changelog``,
``comment``, ``user``; with a secret, ``X-Hub-Signature: sha256=<hex HMAC-SHA256 of the body>``. ``issue.key`` and the
host of ``issue.self`` name the ticket, and the incident knows which one it opened. Its dedup key, one of the labels
that Tocsin gave the ticket, only helps to find the incident: a clone has it as well, and ``comment_created`` in Jira
Cloud contains no labels.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from alerts import normal_address
from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from incident.tickets import Ticket, site_of
from integrations.base.callback import (
    KEY_CHARS,
    NOTE_CHARS,
    Callback,
    ParsedCallback,
    action_id,
    bearer_token,
    happened_at,
    nested,
    one_line,
)

SETTING = "JIRA_WEBHOOK_SECRET"
_OWN_COMMENT = re.compile(r"Tocsin · tocsin-[0-9a-f]+~?$")
"""The end of each comment that Tocsin writes; a person may quote one and go on. ``~`` is subscript in wiki markup."""
_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,254}-[0-9]{1,18}")
_OTHER_TICKET = re.compile(r"duplicate", re.IGNORECASE)
"""Resolutions that say that another ticket has the problem."""


def authenticate(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    """None for an authentic callback, else the reason why it is not.

    Jira's webhooks are signed. Its automation rules sign nothing, and send a header that their user sets.
    """
    signature = headers.get("x-hub-signature", "")
    if not signature:
        return bearer_token(SETTING)(headers, body, secrets)
    sent = signature.removeprefix("sha256=").casefold().encode("utf-8", "surrogateescape")
    matches = [
        hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode(), sent)
        for secret in secrets
    ]
    return None if any(matches) else f"X-Hub-Signature does not match: check {SETTING}"


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a webhook, or why the webhook is ignored."""
    read = _read(payload)
    if isinstance(read, str) or read.action is None:
        return read
    happened = {"occurred_at": happened_at(payload.get("timestamp"))}
    return replace(read, action=read.action.model_copy(update=happened))


def _read(payload: Mapping[str, Any]) -> ParsedCallback | str:
    ticket, dedup_key = _ticket(payload), _dedup_key(payload)
    if not (ticket.key or dedup_key):
        return "not a ticket of Tocsin"
    event = one_line(payload.get("webhookEvent"))
    if event in {"comment_created", "jira:issue_commented"}:
        return _comment(payload, ticket, dedup_key)
    if event not in {"jira:issue_updated", "jira:issue_deleted"}:
        return f"the event {event[:60]} changes nothing"
    read = _change(payload, ticket) if event == "jira:issue_updated" else _deleted(ticket)
    if read is None:
        return "the ticket was neither closed nor reopened"
    action_type, ticket, note = read
    change_id = one_line(nested(payload, "changelog", "id")), one_line(payload.get("timestamp"))
    person = payload.get("user")
    is_app = one_line(nested(person, "accountType")) == "app"  # an automation rule, which is no person
    return _parsed(action_type, {} if is_app else person, note, (ticket, dedup_key), (event, *change_id))


def _comment(payload: Mapping[str, Any], ticket: Ticket, dedup_key: str) -> ParsedCallback | str:
    comment = one_line(_plain_text(nested(payload, "comment", "body")), NOTE_CHARS)
    if not comment:
        return "the comment is empty"
    if _OWN_COMMENT.search(comment):
        return "Tocsin wrote the comment"
    comment_id = one_line(nested(payload, "comment", "id"))
    author = nested(payload, "comment", "author")
    return _parsed("annotate", author, comment, (ticket, dedup_key), ("comment", comment_id))


def _parsed(
    action_type: ActionType, person: Any, note: str, about: tuple[Ticket, str], event: tuple[str, ...]
) -> ParsedCallback:
    ticket, dedup_key = about
    email = nested(person, "emailAddress")
    action = ResponderAction(
        type=action_type,
        by=one_line(nested(person, "displayName")) or one_line(email),
        source="jira",
        note=note,
        id=action_id("jira", dedup_key, ticket.site, ticket.key, action_type, *event) if event[-1] else "",
        ticket=ticket,
    )
    return ParsedCallback(action, dedup_key, email=normal_address(email))


def _ticket(payload: Mapping[str, Any]) -> Ticket:
    """The ticket; without a key if the project that is stated is not the key's own."""
    key = one_line(nested(payload, "issue", "key"))
    project = one_line(nested(payload, "issue", "fields", "project", "key"))
    is_consistent = not project or key.rpartition("-")[0] == project
    site = site_of(one_line(nested(payload, "issue", "self"), KEY_CHARS))
    return Ticket(key=key if _KEY.fullmatch(key) and is_consistent else "", site=site)


def _dedup_key(payload: Mapping[str, Any]) -> str:
    labels = nested(payload, "issue", "fields", "labels")
    names = [one_line(label, KEY_CHARS) for label in cast("list[Any]", labels)] if isinstance(labels, list) else []
    return next((name for name in names if parse_dedup_key(name)), "")


def _change(payload: Mapping[str, Any], ticket: Ticket) -> tuple[ActionType, Ticket, str] | None:
    """Whether the ticket was closed, reopened or moved: by its resolution, or by a status of the category done."""
    items = nested(payload, "changelog", "items")
    changed = cast("list[Any]", items) if isinstance(items, list) else []
    by_field = {one_line(nested(item, "field")).casefold(): item for item in changed}
    resolution, status, key = by_field.get("resolution"), by_field.get("status"), by_field.get("key")
    if key is not None:
        old, new = one_line(nested(key, "fromString")), one_line(nested(key, "toString"))
        moved = Ticket(key=old, site=ticket.site)
        return "annotate", moved, f"{old} was moved to {new}, which cannot close the incident: it stays open"
    if resolution is not None:
        resolved_as = one_line(nested(resolution, "toString"))
        if _OTHER_TICKET.search(resolved_as):
            return "annotate", ticket, f"{ticket.name} is closed as {resolved_as}, and the incident stays open"
        if resolved_as:
            return "resolve", ticket, f"{ticket.name} is resolved: {resolved_as}"
        return "reopen", ticket, f"{ticket.name} is no longer resolved"
    if status is not None and nested(payload, "issue", "fields", "status", "statusCategory", "key") == "done":
        old, new = one_line(nested(status, "fromString")), one_line(nested(status, "toString"))
        return "resolve", ticket, f"{ticket.name} {old} → {new}"
    return None


def _deleted(ticket: Ticket) -> tuple[ActionType, Ticket, str]:
    return "annotate", ticket, f"{ticket.name} was deleted, and the incident stays open"


def _plain_text(body: Any) -> str:
    """The text of a comment: wiki markup in webhooks, a document (Atlassian Document Format) in automation rules."""
    if isinstance(body, str):
        return body
    parts: list[str] = []
    waiting = [body]
    while waiting:
        node = waiting.pop()
        parts += [text] if isinstance(text := nested(node, "text"), str) else []
        children = nested(node, "content")
        waiting += reversed(cast("list[Any]", children)) if isinstance(children, list) else []
    return " ".join(parts)


JIRA = Callback(
    name="jira",
    path="jira",
    setting=SETTING,
    setting_description="The secret in Jira's callbacks.",
    authenticate=authenticate,
    parse=parse,
    example={"webhookEvent": "jira:issue_updated", "issue": {"key": "OPS-1"}, "changelog": {"items": []}},
)
