"""Changes that Arize reports: a workflow for each, which records it and tells those who look for what changed."""

import contextlib
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.contracts import Change, Fact
from alerts import clean, web_address
from gateway.handover import RPC_TIMEOUT
from workflows.messages import CHANGE_WORKFLOW

_TESTS = "webhook."
_NESTS = ("data", "prompt", "prompt_version", "evaluator", "evaluator_version", "version")
_TOLD = (
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


def read_change(event: str, body: Mapping[str, Any], delivery: str, now: datetime) -> Change | None:
    """A change as Arize's webhook tells it; None where it only tries the webhook out.

    The names inside the body are not published: whatever is named so, at the top or one level down, is told.
    """
    if event.startswith(_TESTS):
        return None
    found: dict[str, str] = {}
    for nest in ("", *_NESTS):
        inner: Any = body.get(nest) if nest else body
        for name in _TOLD if isinstance(inner, Mapping) else ():
            value = cast("Mapping[str, Any]", inner).get(name)
            if isinstance(value, Mapping):
                value = cast("Mapping[str, Any]", value).get("name")
            if isinstance(value, list):
                value = ", ".join(str(one) for one in cast("list[Any]", value))
            if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
                found.setdefault(name, clean(str(value), 500))
    what = " ".join(event.split(".")[:-1]).replace("_", " ")
    subject = " ".join(part for part in (found.get("name", ""), found.get("version", "")) if part)
    text = f"{what.capitalize()} {event.split('.')[-1].replace('_', ' ')}{f': {subject}' if subject else ''}"
    return Change(
        key=delivery or hashlib.sha256(repr(sorted(body.items(), key=str)).encode()).hexdigest()[:32],
        kind=clean(event, 100),
        at=now,
        text=text,
        url=next((address for name in ("uri", "url") if (address := web_address(body.get(name)))), ""),
        facts=tuple(Fact(label=name.replace("_", " ").capitalize(), value=value) for name, value in found.items()),
    )


def change_workflow(change: Change) -> str:
    """The id of the workflow that has it."""
    return f"change-{hashlib.sha256(change.key.encode()).hexdigest()[:24]}"


async def report_change(client: Client, task_queue: str, change: Change) -> None:
    """Returns once a workflow has it durably; a redelivery starts nothing. Raises what Temporal's client raises."""
    with contextlib.suppress(WorkflowAlreadyStartedError):  # and done already
        await client.start_workflow(
            CHANGE_WORKFLOW,
            change,
            id=change_workflow(change),
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            rpc_timeout=RPC_TIMEOUT,
            static_summary=change.text,
        )
