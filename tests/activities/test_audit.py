"""Writing audit events: grouped, beside a notification, and never delaying one."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from temporalio.exceptions import ApplicationError

from activities.audit import AuditRecorder
from activities.contracts import NotificationResult
from audit import AuditLog, check
from incident.audit_events import AuditBatch, AuditEvent
from tests.integrations.notifications import make_notification, make_notifier, run_for_result
from tests.vendors import Fault, PagerDuty

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def batch_of(incident: str, *keys: str, event: str = "received") -> AuditBatch:
    return AuditBatch(
        incident=incident, first_run_id="run-1", events=tuple(AuditEvent(key=key, at=NOW, event=event) for key in keys)
    )


async def test_concurrent_batches_are_written_whole(tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    recorder = AuditRecorder(log)
    await asyncio.gather(
        *(recorder.write_audit_events(batch_of(f"incident-{number}", "1", "2")) for number in range(100))
    )
    records = list(log.read())
    assert len(records) == 200
    assert check(records) == []


async def test_conflict_fails_only_its_incident(tmp_path: Path) -> None:
    recorder = AuditRecorder(AuditLog(f"sqlite:///{tmp_path}/audit.db"))
    await recorder.write_audit_events(batch_of("incident-a", "1"))
    bad, good = await asyncio.gather(
        recorder.write_audit_events(batch_of("incident-a", "1", event="closed")),
        recorder.write_audit_events(batch_of("incident-b", "1")),
        return_exceptions=True,
    )
    assert "recorded as received" in str(bad)
    assert good is None


async def test_unavailable_log_fails_the_caller_at_once(tmp_path: Path) -> None:
    """Otherwise the activity would run into its timeout, long after the log recovers."""
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    recorder = AuditRecorder(log)
    (tmp_path / "audit.db").mkdir()
    with pytest.raises(OperationalError):
        await asyncio.wait_for(recorder.write_audit_events(batch_of("incident-a", "1")), 60)
    (tmp_path / "audit.db").rmdir()
    await recorder.write_audit_events(batch_of("incident-a", "1"))
    assert [record.key for record in log.read()] == ["1"]


def open_log(tmp_path: Path) -> AuditLog:
    """A log whose schema exists: creating it may take longer than a notification waits for the log."""
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    log.count()
    return log


def pager(vendor: PagerDuty) -> str:
    return f"{{type: pagerduty, base_url: '{vendor.base_url}', routing_key: {{env: KEY}}}}"


async def test_notification_records_itself_and_its_events(tmp_path: Path, pagerduty: PagerDuty) -> None:
    log = open_log(tmp_path)
    activities = make_notifier(tmp_path, pager(pagerduty))
    delivery = make_notification("page", "pagerduty", audit=batch_of("incident-a", "1", "2"))
    for attempt in (1, 2):
        outcome = await run_for_result(activities.page, delivery, attempt)
        assert isinstance(outcome, NotificationResult)
        assert outcome.audit_written
    records = list(log.read())
    assert [(record.event, record.key) for record in records] == [
        ("received", "1"),
        ("received", "2"),
        ("notified", delivery.key),
    ]


async def test_failed_notification_still_records_its_events(tmp_path: Path, pagerduty: PagerDuty) -> None:
    log = open_log(tmp_path)
    pagerduty.script(Fault(status=503))
    activities = make_notifier(tmp_path, pager(pagerduty))
    with pytest.raises(ApplicationError):
        await run_for_result(activities.page, make_notification("page", "pagerduty", audit=batch_of("incident-a", "1")))
    assert [record.event for record in log.read()] == ["received"]


async def test_unavailable_log_fails_no_notification(tmp_path: Path, pagerduty: PagerDuty) -> None:
    open_log(tmp_path)
    activities = make_notifier(tmp_path, pager(pagerduty))
    blocker = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    outcome = await run_for_result(
        activities.page, make_notification("page", "pagerduty", audit=batch_of("incident-a", "1"))
    )
    blocker.execute("ROLLBACK")
    blocker.close()
    assert isinstance(outcome, NotificationResult)
    assert not outcome.audit_written
    assert len(pagerduty.events("trigger")) == 1
