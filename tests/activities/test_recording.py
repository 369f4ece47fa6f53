"""Recording: many at once in one transaction, along with a delivery, and never in a delivery's way."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from temporalio.exceptions import ApplicationError

from activities.contracts import Delivered, Entries, Entry
from activities.record import Recorder
from audit import AuditLog, check
from tests.activities.sending import a_delivery, deliverer, run_whole
from tests.vendors import Fault, PagerDuty

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def entries(incident: str, *keys: str, what: str = "received") -> Entries:
    return Entries(incident=incident, opening="run-1", entries=tuple(Entry(key=key, at=NOW, what=what) for key in keys))


async def test_what_many_incidents_say_at_once_is_recorded_whole(tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    recorder = Recorder(log)
    await asyncio.gather(*(recorder.record(entries(f"incident-{number}", "1", "2")) for number in range(100)))
    records = list(log.read())
    assert len(records) == 200
    assert check(records) == []


async def test_one_incidents_fault_is_its_own(tmp_path: Path) -> None:
    recorder = Recorder(AuditLog(f"sqlite:///{tmp_path}/audit.db"))
    await recorder.record(entries("incident-a", "1"))
    bad, good = await asyncio.gather(
        recorder.record(entries("incident-a", "1", what="closed")),
        recorder.record(entries("incident-b", "1")),
        return_exceptions=True,
    )
    assert "recorded as received" in str(bad)
    assert good is None


async def test_whoever_waits_hears_that_the_log_is_away(tmp_path: Path) -> None:
    """Or else it waits for as long as Temporal lets it, though the log is back long before that."""
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    recorder = Recorder(log)
    (tmp_path / "audit.db").mkdir()
    with pytest.raises(OperationalError):
        await asyncio.wait_for(recorder.record(entries("incident-a", "1")), 10)
    (tmp_path / "audit.db").rmdir()
    await recorder.record(entries("incident-a", "1"))
    assert [record.key for record in log.read()] == ["1"]


def pager(vendor: PagerDuty) -> str:
    return f"{{type: pagerduty, base_url: '{vendor.base_url}', routing_key: {{env: KEY}}}}"


async def test_a_delivery_records_itself_and_what_came_with_it(tmp_path: Path, pagerduty: PagerDuty) -> None:
    activities = deliverer(tmp_path, pager(pagerduty))
    delivery = a_delivery("page", "pagerduty", record=entries("incident-a", "1", "2"))
    for attempt in (1, 2):
        outcome = await run_whole(activities.page, delivery, attempt)
        assert isinstance(outcome, Delivered)
        assert outcome.recorded
    records = list(AuditLog(f"sqlite:///{tmp_path}/audit.db").read())
    assert [(record.what, record.key) for record in records] == [
        ("received", "1"),
        ("received", "2"),
        ("notified", delivery.key),
    ]


async def test_what_came_with_a_delivery_that_failed_is_recorded_all_the_same(
    tmp_path: Path, pagerduty: PagerDuty
) -> None:
    pagerduty.script(Fault(status=503))
    activities = deliverer(tmp_path, pager(pagerduty))
    with pytest.raises(ApplicationError):
        await run_whole(activities.page, a_delivery("page", "pagerduty", record=entries("incident-a", "1")))
    assert [record.what for record in AuditLog(f"sqlite:///{tmp_path}/audit.db").read()] == ["received"]


async def test_a_log_that_is_away_fails_no_delivery(tmp_path: Path, pagerduty: PagerDuty) -> None:
    activities = deliverer(tmp_path, pager(pagerduty))
    blocker = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    outcome = await run_whole(activities.page, a_delivery("page", "pagerduty", record=entries("incident-a", "1")))
    blocker.execute("ROLLBACK")
    blocker.close()
    assert isinstance(outcome, Delivered)
    assert not outcome.recorded
    assert len(pagerduty.events("trigger")) == 1
