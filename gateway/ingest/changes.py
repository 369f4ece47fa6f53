"""Changes that Arize reports: each starts a workflow that records it and notifies the subscribers of changes."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from alerts import clean, web_address
from alerts.bounded import cut_text, json_size
from gateway.ingest.starter import RPC_TIMEOUT
from gateway.ingest.submission import short_id
from incident.change import Change
from incident.limits import CHANGE_BYTES, SUMMARY_LIMIT
from incident.message import Fact
from workflows.contracts import CHANGE_WORKFLOW

_TEST_EVENTS = "webhook."
_SECTIONS = ("data", "prompt", "prompt_version", "evaluator", "evaluator_version", "version")
_FIELDS = (
    "name",
    "version",
    "label",
    "labels",
    "commit_message",
    "description",
    "author",
    "created_by",
    "project",
    "space",
)


def read_change(event: str, body: Mapping[str, Any], delivery_id: str, now: datetime) -> Change | None:
    """Read a change from Arize's webhook.

    Arize does not publish the names inside the body: every field with a name of ``_FIELDS``, at the top or one level
    down, becomes a fact.

    Args:
        event: such as ``prompt.version.created``.
        body: the JSON body.
        delivery_id: Arize's id of the event; may be empty.
        now: when it arrived.

    Returns:
        The change; None if the event only tests the webhook.
    """
    if event.startswith(_TEST_EVENTS):
        return None
    found: dict[str, str] = {}
    for name, value in _values(body):
        found.setdefault(name, value)
    *parts, verb = event.split(".")
    subject = " ".join(part for part in (found.get("name", ""), found.get("version", "")) if part)
    thing = " ".join(parts).replace("_", " ").capitalize()
    text = f"{thing} {verb.replace('_', ' ')}{f': {subject}' if subject else ''}"
    return Change(
        key=_key(delivery_id, text, body),
        kind=clean(event, 100),
        at=now,
        text=text,
        url=next((address for name in ("uri", "url") if (address := web_address(body.get(name)))), ""),
        facts=tuple(Fact(label=name.replace("_", " ").capitalize(), value=value) for name, value in found.items()),
    )


def _key(delivery_id: str, text: str, body: Mapping[str, Any]) -> str:
    """Identifies a change. An id that two changes share swallows neither, so it counts with what changed."""
    stated = (delivery_id, text) if delivery_id else (repr(sorted(body.items(), key=str)),)
    return hashlib.sha256(repr(stated).encode()).hexdigest()[:32]


def _values(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section in (body, *(body.get(name) for name in _SECTIONS)):
        for name in _FIELDS if isinstance(section, Mapping) else ():
            value = cast("Mapping[str, Any]", section).get(name)
            if isinstance(value, Mapping):
                value = cast("Mapping[str, Any]", value).get("name")
            if isinstance(value, list):
                value = ", ".join(str(item) for item in cast("list[Any]", value))
            if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
                yield name, clean(str(value), 500)


def bounded_change(change: Change) -> Change:
    """The change as Temporal accepts it. Facts that do not fit are dropped, and counted."""
    change = change.model_copy(update={"key": short_id(change.key), "kind": cut_text(change.kind, SUMMARY_LIMIT)})
    facts = list(change.facts)
    while facts and json_size(facts) > CHANGE_BYTES:
        facts.pop()
    dropped = len(change.facts) - len(facts)
    more = [Fact(label="…", value=f"and {dropped} more")] if dropped else []
    return change.model_copy(update={"facts": (*facts, *more)})


def change_workflow(change: Change) -> str:
    """The id of the change's workflow."""
    return f"change-{hashlib.sha256(change.key.encode()).hexdigest()[:24]}"


async def report_change(client: Client, task_queue: str, change: Change) -> None:
    """Start the change's workflow; a redelivery starts nothing.

    Raises:
        RPCError: Temporal refuses, or is unavailable. So does the client's RuntimeError before its first connection.
    """
    with contextlib.suppress(WorkflowAlreadyStartedError):  # it is done already
        await client.start_workflow(
            CHANGE_WORKFLOW,
            bounded_change(change),
            id=change_workflow(change),
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            rpc_timeout=RPC_TIMEOUT,
            static_summary=cut_text(change.text, SUMMARY_LIMIT),
        )
