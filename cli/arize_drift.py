"""Who changed a monitor by hand, and when, by Arize's audit log. What was sent is never shown: it may hold secrets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cli.monitor_apply import MUTATION_MARK
from integrations.arize.monitor_store import AuditEntry, MonitorStore
from integrations.base.errors import PermanentError
from monitors.drift import Drift, DriftKind
from monitors.ownership import Mark
from monitors.report import Line, plain

SINCE = timedelta(days=30)
_DELETION = "deleteMonitor"
_MOST = 5
"""Changes of one monitor that are shown, the newest first."""
_TEXTS: dict[DriftKind, str] = {
    "changed": "was changed by hand",
    "missing": "is declared, and not in Arize: it was deleted by hand, or not applied yet",
    "mark_removed": "has lost Tocsin's mark: it is not changed or deleted any more. To take it over again, add its id "
    "to the declaration",
    "copied": "exists several times, since somebody copied it with its mark",
    "undeclared": "is not declared any more, and was changed by hand since it was applied: the next plan deletes it",
}


class ByHand(NamedTuple):
    """One change by hand."""

    at: str
    who: str
    operation: str


class Culprits(NamedTuple):
    """The changes by hand of each drift, by its key; and why they are not known, if they are not."""

    changes: Mapping[str, Sequence[ByHand]]
    unknown: str = ""


async def find_changes(drifts: Sequence[Drift], store: MonitorStore, namespace: str) -> Culprits:
    """Who made each drift, and when. The audit log needs an account admin's key, and may be switched off."""
    names = {name for drift in drifts for name in _names(drift, namespace)}
    if not names:
        return Culprits({})
    try:
        entries = await store.audit_entries(frozenset(names), datetime.now(UTC) - SINCE, MUTATION_MARK)
    except PermanentError as error:
        return Culprits({}, f"who and when is not known: {error.message}")
    users: dict[str, str] = {}
    found: dict[str, list[ByHand]] = {}
    for drift in drifts:
        changes = list(_of_drift(drift, entries, namespace))[:_MOST]
        for entry in changes:
            if entry.user_id not in users:
                users[entry.user_id] = await store.user(entry.user_id) if entry.user_id else "unknown"
        found[drift.key] = [ByHand(one.at, users[one.user_id], _operation(one)) for one in changes]
    return Culprits(found)


def _names(drift: Drift, namespace: str) -> set[str]:
    if drift.kind == "missing":
        return {_DELETION, _mark(drift, namespace)}
    return {drift.monitor_id, *drift.other_ids, _mark(drift, namespace)}


def _mark(drift: Drift, namespace: str) -> str:
    return f"managed-by: {Mark(namespace, drift.key)}"


def _of_drift(drift: Drift, entries: Sequence[AuditEntry], namespace: str) -> Iterator[AuditEntry]:
    """The entries of a monitor since Tocsin's last change of it, newest first."""
    ids = {_DELETION} if drift.kind == "missing" else {drift.monitor_id, *drift.other_ids}
    tags_differ = any(one.key == "tags" for one in drift.differences)
    for entry in entries:
        if entry.own and entry.names & {*ids, _mark(drift, namespace)} - {_DELETION}:
            return  # what is older was overwritten
        if entry.own or not entry.names & ids:
            continue
        if entry.operation.rstrip("/").endswith("/tags") and not tags_differ:
            continue
        yield entry


def _operation(entry: AuditEntry) -> str:
    """The name of the operation. It is shown only if it is one: an id may stand in it, but no value."""
    return entry.operation if re.fullmatch(r"[A-Za-z0-9_./=: {}-]{1,160}", entry.operation) else ""


def drift_lines(drifts: Sequence[Drift], culprits: Culprits) -> Iterator[Line]:
    """The report, as text."""
    for drift in drifts:
        ids = ", ".join(one for one in (drift.monitor_id, *drift.other_ids) if one)
        yield Line(f"! {drift.key}{f' ({ids})' if ids else ''} {_TEXTS[drift.kind]}", "yellow")
        if drift.declaration_changed and drift.differences:
            yield Line("    its declaration has changed since it was applied, too")
        width = max((len(one.key) for one in drift.differences), default=0)
        for one in drift.differences:
            yield Line(f"    {one.key:<{width}}  {plain(one.before) or '-'} -> {plain(one.after) or '-'}")
        for change in culprits.changes.get(drift.key, ()):
            perhaps = "perhaps " if drift.kind == "missing" else ""
            operation = f" ({plain(change.operation)})" if change.operation else ""
            yield Line(f"    {perhaps}by {plain(change.who)} at {plain(change.at)}{operation}")
        if drift.url:
            yield Line(f"    {plain(drift.url)}")
        yield Line("")
    if drifts and culprits.unknown:
        yield Line(culprits.unknown)
    count = len(drifts)
    if not count:
        yield Line("No drift: every monitor is as it was applied.")
    else:
        yield Line(
            f"Drift: {count} monitor{'s' if count > 1 else ''}. tocsin arize plan shows what would restore them."
        )
