"""Jira's webhooks: a ticket was closed or reopened, or somebody commented on it.

Contract: https://developer.atlassian.com/cloud/jira/platform/webhooks/: ``webhookEvent``, ``issue``, ``changelog``,
``comment``, ``user``; with a secret, ``X-Hub-Signature: sha256=<hex HMAC-SHA256 of the body>``. The incident's dedup
key is one of the labels that Tocsin gave the ticket.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, cast

from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from integrations.base.callback import (
    ACTION_ID_CHARS,
    KEY_CHARS,
    NOTE_CHARS,
    Callback,
    ParsedCallback,
    bearer_token,
    nested,
    one_line,
)

SETTING = "JIRA_WEBHOOK_SECRET"
_OWN_MARKER = "Tocsin · tocsin-"
"""The end of each comment that Tocsin writes."""


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
    labels = nested(payload, "issue", "fields", "labels")
    names = [one_line(label, KEY_CHARS) for label in cast("list[Any]", labels)] if isinstance(labels, list) else []
    dedup_key = next((name for name in names if parse_dedup_key(name)), "")
    if not dedup_key:
        return "not a ticket of Tocsin"
    event = one_line(payload.get("webhookEvent"))
    if event in {"comment_created", "jira:issue_commented"}:
        comment = one_line(nested(payload, "comment", "body"), NOTE_CHARS)
        if not comment:
            return "the comment is empty"
        if _OWN_MARKER in comment:
            return "Tocsin wrote the comment"
        comment_id = one_line(nested(payload, "comment", "id"))
        author = nested(payload, "comment", "author")
        return _parsed("annotate", author, comment, dedup_key, f"comment-{comment_id}")
    if event != "jira:issue_updated":
        return f"the event {event[:60]} changes nothing"
    transition = _transition(payload)
    if transition is None:
        return "the ticket was neither closed nor reopened"
    action_type, description = transition
    ticket = one_line(nested(payload, "issue", "key"))
    change_id = one_line(nested(payload, "changelog", "id")) or one_line(payload.get("timestamp"))
    return _parsed(action_type, payload.get("user"), f"{ticket} {description}", dedup_key, f"change-{change_id}")


def _parsed(action_type: ActionType, person: Any, note: str, dedup_key: str, event_id: str) -> ParsedCallback:
    email = one_line(nested(person, "emailAddress"))
    action = ResponderAction(
        type=action_type,
        by=one_line(nested(person, "displayName")) or email,
        source="jira",
        note=note,
        id=f"jira-{dedup_key}-{event_id}"[:ACTION_ID_CHARS],
    )
    return ParsedCallback(action, dedup_key, email=email)


def _transition(payload: Mapping[str, Any]) -> tuple[ActionType, str] | None:
    """Whether the ticket was closed or reopened, and how: by its resolution, or by a status in the category done."""
    items = nested(payload, "changelog", "items")
    changed = cast("list[Any]", items) if isinstance(items, list) else []
    by_field = {one_line(nested(item, "field")): item for item in changed}
    resolution, status = by_field.get("resolution"), by_field.get("status")
    if resolution is not None:
        resolved_as = one_line(nested(resolution, "toString"))
        return ("resolve", f"is resolved: {resolved_as}") if resolved_as else ("reopen", "is no longer resolved")
    if status is not None and nested(payload, "issue", "fields", "status", "statusCategory", "key") == "done":
        return "resolve", f"{one_line(nested(status, 'fromString'))} → {one_line(nested(status, 'toString'))}"
    return None


JIRA = Callback(
    name="jira",
    path="jira",
    setting=SETTING,
    setting_description="The secret in Jira's callbacks.",
    authenticate=authenticate,
    parse=parse,
    example={"webhookEvent": "jira:issue_updated", "issue": {"key": "OPS-1"}, "changelog": {"items": []}},
)
