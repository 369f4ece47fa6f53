"""The checker: compares the accepted alerts with what the vendors' users saw, and with the audit log."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit import AuditLog, AuditRecord, check
from tests.chaos.faults import InjectedFault
from tests.chaos.harness import ChaosHarness
from tests.chaos.stream import ScriptedIncident, run_of
from tests.vendors import Request
from tests.vendors.policy import SECRETS

ON_TIME = 10.0
"""Seconds after its due time within which a page is on time, if no fault was active."""
RECOVERY = 45.0
"""The same after a recovery: one attempt whose result was lost (15 s), and the longest pause between two attempts
(30 s), as set in ``workflows.activity_calls``."""
SPOOL_DRAIN = 2.0
"""Seconds within which a gateway delivers its spool when Temporal answers."""
_POSTING = {"posted", "regulated", "discussed"}
_REGULATED = {"regulated", "discussed"}
_MARK = re.compile(r"Tocsin · (\S+?)\"")
"""Ends each comment that Tocsin writes in Jira."""
_SERVICES = {SECRETS[name.upper()]: name for name in ("primary", "secondary", "managers")}
KINDS = ("lost", "swallowed", "doubled", "late", "early", "paged_after_ack", "audit", "replay", "other")


@dataclass
class Verdict:
    """Each list holds violations, in words; all are empty if the guarantees hold."""

    lost: list[str] = field(default_factory=list[str])
    swallowed: list[str] = field(default_factory=list[str])
    """What was accepted, and led to nothing, or was undone by something older."""
    doubled: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    early: list[str] = field(default_factory=list[str])
    paged_after_ack: list[str] = field(default_factory=list[str])
    audit: list[str] = field(default_factory=list[str])
    replay: list[str] = field(default_factory=list[str])
    """Histories that do not replay, as they must after the next crash."""
    other: list[str] = field(default_factory=list[str])
    lateness: list[float] = field(default_factory=list[float])
    """Of each page, in seconds after its due time, or after the recovery from the fault that delayed it."""
    pages: int = 0
    records: int = 0

    @property
    def holds(self) -> bool:
        return not any(getattr(self, kind) for kind in KINDS)


def judge(
    harness: ChaosHarness,
    incidents: Sequence[ScriptedIncident],
    injected: Sequence[InjectedFault],
    log: AuditLog,
) -> Verdict:
    """Every violation, when all scripts have ended."""
    verdict = Verdict(other=list(harness.violations))
    records = list(log.read())
    verdict.records = len(records)
    verdict.audit = [f"{one.incident} record {one.number}: {one.fault}" for one in check(records)]
    by_incident: dict[str, list[AuditRecord]] = {}
    for record in records:
        by_incident.setdefault(record.incident, []).append(record)
    posts = Counter(_key(one).partition(".")[0] for one in harness.slack.messages if not one["thread_ts"])
    for incident in incidents:
        if incident.error:
            verdict.lost.append(f"{_name(incident)}: {incident.error}")
        if not incident.view:
            continue
        _count_alerts(verdict, incident)
        verdict.swallowed += [f"{_name(incident)}: {one}" for one in incident.swallowed]
        if incident.required:
            _count_required(verdict, harness, incident, injected)
        elif incident.script not in _POSTING:
            _count_pages(verdict, harness, incident, injected)
        elif posts[incident.id] != 1:
            violations = verdict.doubled if posts[incident.id] else verdict.lost
            violations.append(f"{_name(incident)}: {posts[incident.id]} posts")
        _compare_records(verdict, harness, incident, by_incident.get(incident.id, []))
    regulated = [one for one in incidents if one.script in _REGULATED and one.id]
    if len(harness.jira.issues) != len(regulated):
        verdict.lost.append(f"{len(harness.jira.issues)} tickets for {len(regulated)} regulated incidents")
    for ticket, comments in harness.jira.comments.items():
        marks = Counter(mark for one in comments for mark in _MARK.findall(json.dumps(one, ensure_ascii=False)))
        verdict.doubled += [f"{ticket}: {count} comments for {mark}" for mark, count in marks.items() if count > 1]
    if harness.pager.open:
        count, some = len(harness.pager.open), sorted(harness.pager.open)[:3]
        verdict.other.append(f"{count} pages were never resolved: {some}")
    return verdict


def _count_alerts(verdict: Verdict, incident: ScriptedIncident) -> None:
    known, sent = incident.view["alert_count"], len(incident.event_ids)
    if known != sent:
        violations = verdict.lost if known < sent else verdict.doubled
        violations.append(f"{_name(incident)}: {sent} alerts were accepted, the incident has {known}")


def _pages(harness: ChaosHarness, incident: ScriptedIncident) -> list[Request]:
    """The pages of this opening of the incident that made a sound."""
    return [one for one in harness.pager.audible_pages(incident.id) if run_of(one) not in incident.other_runs]


def _count_required(
    verdict: Verdict, harness: ChaosHarness, incident: ScriptedIncident, injected: Sequence[InjectedFault]
) -> None:
    """Each alert that must page again did so, once and in time."""
    primary = SECRETS["PRIMARY"]
    pages = [one.at for one in _pages(harness, incident) if one.body["routing_key"] == primary]
    verdict.pages += len(pages)
    if len(pages) < len(incident.required):
        verdict.swallowed.append(f"{_name(incident)}: {len(pages)} pages for {len(incident.required)} fires")
    if len(pages) > len(incident.required):
        verdict.doubled.append(f"{_name(incident)}: {len(pages)} pages for {len(incident.required)} fires")
    for at, when in zip(pages, incident.required, strict=False):
        verdict.lateness.append(late := _lateness(at, when, injected))
        if late > (RECOVERY if _disturbed(when, injected) else ON_TIME):
            verdict.late.append(f"{_name(incident)}: a page {late:.1f} s after its alert")


def _count_pages(
    verdict: Verdict, harness: ChaosHarness, incident: ScriptedIncident, injected: Sequence[InjectedFault]
) -> None:
    pages = _pages(harness, incident)
    verdict.pages += len(pages)
    keys = Counter((one.body["routing_key"], one.body["dedup_key"]) for one in pages)
    verdict.doubled += [f"{_name(incident)}: {count} pages under {key}" for key, count in keys.items() if count > 1]
    stopped, spooled = _stopped_at(incident, injected)
    due = _due_times(incident.view)
    for routing_key, service in _SERVICES.items():
        received = [one.at for one in pages if one.body["routing_key"] == routing_key]
        expected = due[service]
        if len(received) > len(expected):
            verdict.doubled.append(
                f"{_name(incident)}: {len(received)} pages for {service}, which has {len(expected)} steps"
            )
        for at, when in zip(received, expected, strict=False):
            if at < when - 0.5:
                verdict.early.append(f"{_name(incident)}: {service} {when - at:.1f} s before it was due")
            if when > stopped + 1 and not (spooled and _due_while_draining(when, stopped, injected)):
                verdict.paged_after_ack.append(
                    f"{_name(incident)}: {service} at {at:.1f}, stopped at {stopped:.1f}, due {when:.1f}"
                )
                continue
            verdict.lateness.append(late := _lateness(at, when, injected))
            if late > (RECOVERY if _disturbed(when, injected) else ON_TIME):
                verdict.late.append(f"{_name(incident)}: {service} {late:.1f} s late")


def _stopped_at(incident: ScriptedIncident, injected: Sequence[InjectedFault]) -> tuple[float, bool]:
    """From when on no step may page, and whether that action was spooled: a response of 202 counts."""
    actions = (
        (incident.acknowledged_at, incident.acknowledgement_spooled),
        (incident.cleared_at, incident.clear_spooled),
    )
    known = [(_known_at(at, injected) if spooled else at, spooled) for at, spooled in actions if at]
    return min(known, default=(float("inf"), False))


def _known_at(spooled_at: float, injected: Iterable[InjectedFault]) -> float:
    """If the gateway that spooled it was killed, nobody could know of it before that gateway had restarted."""
    return max([spooled_at, *(one.ended for one in injected if one.kills and _may_be_spooled(spooled_at, one))])


def _due_while_draining(when: float, stopped: float, injected: Iterable[InjectedFault]) -> bool:
    """Whether a step became due while gateways were delivering the actions that they spooled during an outage.

    Steps that became due before that wait for them: ``workflows.incident``.
    """
    return any(
        _may_be_spooled(stopped, one) and one.removed - 0.5 <= when <= one.removed + SPOOL_DRAIN for one in injected
    )


def _may_be_spooled(at: float, fault: InjectedFault) -> bool:
    """Whether an action that was spooled then may have been in the spool during this fault."""
    return fault.began - SPOOL_DRAIN <= at <= fault.ended


def _due_times(view: Mapping[str, Any]) -> dict[str, list[float]]:
    """When each service is to be paged, by the incident's own decision and the time when it was made."""
    classified = next(one["at"] for one in view["timeline"] if one["event"] == "classified")
    start = datetime.fromisoformat(classified).timestamp()
    due: dict[str, list[float]] = {service: [] for service in _SERVICES.values()}
    for step in view["decision"]["steps"]:
        for target in step["notify"]:
            due[target["name"]].append(start + step["after"])
    return due


def _disturbed(when: float, injected: Iterable[InjectedFault]) -> bool:
    return any(one.began - 1 <= when + ON_TIME and when <= one.ended + RECOVERY for one in injected)


def _lateness(at: float, when: float, injected: Iterable[InjectedFault]) -> float:
    """Seconds after the due time, or after the recovery from the last of the faults that were active then."""
    for one in sorted(injected, key=lambda fault: fault.began):
        if one.began - 1 <= when + RECOVERY and one.ended > when and one.began <= at:
            when = one.ended
    return max(at - when, 0.0)


def _compare_records(
    verdict: Verdict, harness: ChaosHarness, incident: ScriptedIncident, records: Sequence[AuditRecord]
) -> None:
    """The audit log and the incident's timeline have the same events, and each page that made a sound is recorded."""
    records = [one for one in records if incident.first_run_id in {"", one.first_run_id}]
    recorded = Counter((one.event, one.by, one.text[:500]) for one in records)
    shown = Counter((one["event"], one["by"], one["text"]) for one in incident.view["timeline"])
    verdict.audit += [f"{_name(incident)}: {event} is not recorded" for event in shown - recorded]
    verdict.audit += [f"{_name(incident)}: {event} is recorded, and did not happen" for event in recorded - shown]
    notified = Counter(one.data["destination"] for one in records if one.event == "notified")
    pages = Counter(_SERVICES[one.body["routing_key"]] for one in _pages(harness, incident))
    verdict.audit += [f"{_name(incident)}: a page to {service} is not recorded" for service in pages - notified]


def _key(message: Mapping[str, Any]) -> str:
    return str(message.get("metadata", {}).get("event_payload", {}).get("key", ""))


def _name(incident: ScriptedIncident) -> str:
    return f"incident {incident.number} ({incident.script}, {incident.id or 'never accepted'})"
