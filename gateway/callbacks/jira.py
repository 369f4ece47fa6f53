"""Jira's webhooks: who closed the ticket, or commented on it.

Contract: https://developer.atlassian.com/cloud/jira/platform/webhooks/: ``webhookEvent``, ``issue``, ``changelog``,
``comment``, ``user``; with a secret, ``X-Hub-Signature: sha256=<hex HMAC-SHA256 of the body>``. The incident's key is
one of the labels that we gave the ticket.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, cast

from gateway.callbacks.said import NOTE_CHARS, Said, Vendor, check_token, text, within
from gateway.keys import ours
from workflows.messages import Act, Answer

SETTING = "JIRA_WEBHOOK_SECRET"
_OUR_MARK = "Tocsin · tocsin-"
"""Stands at the end of each comment of ours."""


def check(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    signature = headers.get("x-hub-signature", "")
    if not signature:  # Jira's automation rules sign nothing, and send a header that one sets
        return check_token(SETTING)(headers, body, secrets)
    shown = signature.removeprefix("sha256=").casefold().encode("utf-8", "surrogateescape")
    fits = [
        hmac.compare_digest(hmac.new(one.encode(), body, hashlib.sha256).hexdigest().encode(), shown) for one in secrets
    ]
    return None if any(fits) else f"X-Hub-Signature does not fit: check {SETTING}"


def read(payload: Mapping[str, Any]) -> Said | str:
    labels = within(payload, "issue", "fields", "labels")
    names = [text(one, 500) for one in cast("list[Any]", labels)] if isinstance(labels, list) else []
    key = next((name for name in names if ours(name)), "")
    if not key:
        return "no ticket of ours"
    ticket = text(within(payload, "issue", "key"))
    event = text(payload.get("webhookEvent"))
    if event in {"comment_created", "jira:issue_commented"}:
        body = text(within(payload, "comment", "body"), NOTE_CHARS)
        if not body or _OUR_MARK in body:
            return "a comment of ours"
        return _said("annotate", within(payload, "comment", "author"), body, key, f"comment-{_id(payload, 'comment')}")
    if event != "jira:issue_updated":
        return f"{event[:60]} changes nothing here"
    change = _change(payload)
    if change is None:
        return "it was neither closed nor opened again"
    act, moved = change
    identity = text(within(payload, "changelog", "id")) or text(payload.get("timestamp"))
    return _said(act, payload.get("user"), f"{ticket} {moved}", key, f"change-{identity}")


def _said(act: Act, person: Any, note: str, key: str, identity: str) -> Said | str:
    email = text(within(person, "emailAddress"))
    answer = Answer(
        act=act,
        by=text(within(person, "displayName")) or email,
        via="jira",
        note=note,
        id=f"jira-{key}-{identity}"[:300],
    )
    return Said(answer, key, email=email)


def _id(payload: Mapping[str, Any], name: str) -> str:
    return text(within(payload, name, "id"))


def _change(payload: Mapping[str, Any]) -> tuple[Act, str] | None:
    """Closed or opened again, and how: by its resolution, or by a status that Jira counts as done."""
    items = within(payload, "changelog", "items")
    changed = cast("list[Any]", items) if isinstance(items, list) else []
    by_field = {text(within(item, "field")): item for item in changed}
    resolution, status = by_field.get("resolution"), by_field.get("status")
    if resolution is not None:
        named = text(within(resolution, "toString"))
        return ("resolve", f"is resolved: {named}") if named else ("reopen", "has its resolution taken back")
    if status is not None and within(payload, "issue", "fields", "status", "statusCategory", "key") == "done":
        return "resolve", f"{text(within(status, 'fromString'))} → {text(within(status, 'toString'))}"
    return None


JIRA = Vendor(
    name="jira",
    path="jira",
    setting=SETTING,
    check=check,
    read=read,
    example={"webhookEvent": "jira:issue_updated", "issue": {"key": "OPS-1"}, "changelog": {"items": []}},
)
