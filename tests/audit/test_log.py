"""The audit log, in SQLite and PostgreSQL: append-only, chained, and every change of it is detected."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from audit import AuditLog, AuditRecord, ChainChecker, ConflictError, NewRecord, check, record_hash

NOW = datetime(2026, 11, 24, 3, 0, 0, 123_456, tzinfo=UTC)


def new_record(key: str = "1", incident: str = "incident-a", event: str = "received", **changes: object) -> NewRecord:
    new = NewRecord(
        incident=incident,
        first_run_id="run-1",
        key=key,
        at=NOW,
        event=event,
        by="tocsin",
        text="ünïcode ✓",
        data={"n": 1.5},
    )
    return replace(new, **changes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def write(log: AuditLog, *records: NewRecord) -> list[Exception | None]:
    return log.append([[record] for record in records])


def test_record_is_read_as_written(log: AuditLog) -> None:
    in_another_timezone = new_record(at=NOW.astimezone(timezone(timedelta(hours=5))))
    assert write(log, in_another_timezone) == [None]
    (record,) = log.read()
    assert (record.number, record.at, record.text, record.data) == (1, NOW, "ünïcode ✓", {"n": 1.5})
    assert check([record]) == []


def test_incidents_have_own_chains_and_shared_anchors(log: AuditLog) -> None:
    write(log, new_record("1"), new_record("1", "incident-b"), new_record("2"), new_record("2", "incident-b"))
    records = list(log.read())
    assert [(one.incident, one.number) for one in records] == [
        ("incident-a", 1),
        ("incident-b", 1),
        ("incident-a", 2),
        ("incident-b", 2),
    ]
    assert records[2].previous == records[0].hash
    assert [one.anchor for one in records[1:]] == [one.hash for one in records[:-1]]
    assert check(records) == []
    assert [one.incident for one in log.read("incident-b")] == ["incident-b"] * 2


def test_second_append_changes_nothing(log: AuditLog) -> None:
    write(log, new_record())
    before = list(log.read())
    assert write(log, new_record(text="another text at the second attempt")) == [None]
    assert list(log.read()) == before


def test_conflicting_key_is_refused_alone(log: AuditLog) -> None:
    write(log, new_record())
    refused, written = write(log, new_record(event="resolved"), new_record("1", "incident-b"))
    assert isinstance(refused, ConflictError)
    assert "recorded as received" in str(refused)
    assert written is None
    assert [one.incident for one in log.read()] == ["incident-a", "incident-b"]
    assert check(log.read()) == []


def test_records_cannot_be_changed_or_deleted(log: AuditLog, url: str) -> None:
    write(log, new_record())
    engine = create_engine(url)
    statements = ["UPDATE audit_records SET text = 'x'", "DELETE FROM audit_records"]
    if "postgresql" in url:
        statements.append("TRUNCATE audit_records")
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert len(list(log.read())) == 1


def test_concurrent_writers_make_one_chain(url: str) -> None:
    logs = [AuditLog(url) for _ in range(4)]

    def work(index: int) -> None:
        for number in range(1, 26):
            assert write(logs[index], new_record(str(number), f"incident-{index}")) == [None]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = list(logs[0].read())
    assert len(records) == 100
    assert check(records) == []
    for log in logs:
        log.close()


# ── An export is verified without the database ──────────────────────────────────────────────────────────


@pytest.fixture
def export(tmp_path: Path) -> list[AuditRecord]:
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    write(log, *(new_record(str(number), f"incident-{number % 3}") for number in range(12)))
    lines = [record.model_dump_json() for record in log.read()]
    log.close()
    return [AuditRecord.model_validate_json(line) for line in lines]


def test_unchanged_export_has_no_faults(export: list[AuditRecord]) -> None:
    assert check(export) == []


@pytest.mark.parametrize(
    "field", ["at", "event", "by", "text", "data", "key", "incident", "first_run_id", "anchor", "previous"]
)
def test_edit_is_detected(export: list[AuditRecord], field: str) -> None:
    value = {"at": NOW + timedelta(microseconds=1), "data": {"n": 2}}.get(field, "edited")
    export[4] = export[4].model_copy(update={field: value})
    assert check(export)


def test_edit_with_new_hash_breaks_later_record(export: list[AuditRecord]) -> None:
    edited = export[4].model_copy(update={"text": "edited"})
    export[4] = edited.model_copy(update={"hash": record_hash(edited)})
    assert {fault.number for fault in check(export)} >= {3}


@pytest.mark.parametrize("index", range(11))
def test_deletion_before_the_end_is_detected(export: list[AuditRecord], index: int) -> None:
    del export[index]
    assert check(export)


def test_missing_incident_end_breaks_an_anchor(export: list[AuditRecord]) -> None:
    last = max(index for index, record in enumerate(export[:-1]) if record.incident == "incident-1")
    del export[last]
    assert any("is missing before it" in fault.fault for fault in check(export))


@pytest.mark.parametrize("index", range(11))
def test_reordering_is_detected(export: list[AuditRecord], index: int) -> None:
    export[index], export[index + 1] = export[index + 1], export[index]
    assert check(export)


def test_one_incident_is_checked_without_anchors(export: list[AuditRecord]) -> None:
    alone = [record for record in export if record.incident == "incident-1"]
    assert check(alone, whole=False) == []
    assert check(alone) != []


def test_stale_anchor_is_detected(export: list[AuditRecord]) -> None:
    """An anchor refers to the record directly before it, and not to any earlier one."""
    stale = export[4].model_copy(update={"anchor": export[2].hash})
    export[4] = stale.model_copy(update={"hash": record_hash(stale)})
    assert any(fault.number == 2 and "is missing before it" in fault.fault for fault in check(export))


def test_checker_verifies_a_stream(export: list[AuditRecord]) -> None:
    checker = ChainChecker()
    assert [fault for record in export for fault in checker.add(record)] == []
    assert (checker.records, checker.incidents, checker.last_hash) == (12, 3, export[-1].hash)


def test_hash_matches_its_description(export: list[AuditRecord]) -> None:
    """An auditor can compute it in any language: SHA-256 over sorted, spaceless ASCII JSON."""
    import hashlib

    content = json.loads(export[0].model_dump_json())
    claimed = content.pop("hash")
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(written.encode()).hexdigest() == claimed
