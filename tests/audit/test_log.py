"""The record chain, in SQLite and in PostgreSQL: append-only, whole, and telling when it is not."""

import json
import threading
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from audit import AuditLog, NewRecord, Record, check
from tests.postgres import postgres

NOW = datetime(2026, 11, 24, 3, 0, 0, 123_456, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/audit.db"
        return
    address = request.getfixturevalue("server")
    yield address
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_records"))
    engine.dispose()


@pytest.fixture
def log(url: str) -> Generator[AuditLog]:
    log = AuditLog(url)
    yield log
    log.close()


def a_record(key: str = "1", incident: str = "incident-a", what: str = "received", **changes: object) -> NewRecord:
    new = NewRecord(
        incident=incident, opening="run-1", key=key, at=NOW, what=what, by="tocsin", text="ünïcode ✓", data={"n": 1.5}
    )
    return replace(new, **changes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def write(log: AuditLog, *records: NewRecord) -> list[Exception | None]:
    return log.append([[record] for record in records])


def test_what_is_written_is_read_as_it_was(log: AuditLog) -> None:
    elsewhere = a_record(at=NOW.astimezone(timezone(timedelta(hours=5))))
    assert write(log, elsewhere) == [None]
    (record,) = log.read()
    assert (record.number, record.at, record.text, record.data) == (1, NOW, "ünïcode ✓", {"n": 1.5})
    assert check([record]) == []


def test_each_incident_has_a_chain_of_its_own_and_all_share_an_anchor(log: AuditLog) -> None:
    write(log, a_record("1"), a_record("1", "incident-b"), a_record("2"), a_record("2", "incident-b"))
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


def test_written_again_changes_nothing(log: AuditLog) -> None:
    write(log, a_record())
    before = list(log.read())
    assert write(log, a_record(text="said otherwise on a second attempt")) == [None]
    assert list(log.read()) == before


def test_another_record_under_a_known_key_is_refused_and_harms_no_one_else(log: AuditLog) -> None:
    write(log, a_record())
    refused, taken = write(log, a_record(what="resolved"), a_record("1", "incident-b"))
    assert "recorded as received" in str(refused)
    assert taken is None
    assert [one.incident for one in log.read()] == ["incident-a", "incident-b"]
    assert check(log.read()) == []


def test_nothing_is_changed_or_deleted(log: AuditLog, url: str) -> None:
    write(log, a_record())
    engine = create_engine(url)
    statements = ["UPDATE audit_records SET text = 'x'", "DELETE FROM audit_records"]
    if "postgresql" in url:
        statements.append("TRUNCATE audit_records")
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert len(list(log.read())) == 1


def test_many_writers_at_once_make_one_whole_log(url: str) -> None:
    logs = [AuditLog(url) for _ in range(4)]

    def work(index: int) -> None:
        for number in range(1, 26):
            assert write(logs[index], a_record(str(number), f"incident-{index}")) == [None]

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


# ── Checking an export needs nothing but the export ─────────────────────────────────────────────────────


@pytest.fixture
def export(tmp_path: Path) -> list[Record]:
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    write(log, *(a_record(str(number), f"incident-{number % 3}") for number in range(12)))
    lines = [record.model_dump_json() for record in log.read()]
    log.close()
    return [Record.model_validate_json(line) for line in lines]


def test_a_true_export_has_no_faults(export: list[Record]) -> None:
    assert check(export) == []


@pytest.mark.parametrize(
    "field", ["at", "what", "by", "text", "data", "key", "incident", "opening", "anchor", "previous"]
)
def test_any_edit_is_found(export: list[Record], field: str) -> None:
    value = {"at": NOW + timedelta(microseconds=1), "data": {"n": 2}}.get(field, "edited")
    export[4] = export[4].model_copy(update={field: value})
    assert check(export)


def test_an_edit_with_a_new_hash_breaks_what_follows(export: list[Record]) -> None:
    from audit import record_hash

    edited = export[4].model_copy(update={"text": "edited"})
    export[4] = edited.model_copy(update={"hash": record_hash(edited)})
    assert {finding.number for finding in check(export)} >= {3}


@pytest.mark.parametrize("index", range(11))
def test_any_deletion_but_of_the_very_end_is_found(export: list[Record], index: int) -> None:
    del export[index]
    assert check(export)


def test_the_end_of_one_incident_is_missed_by_the_others_anchors(export: list[Record]) -> None:
    last = max(index for index, record in enumerate(export[:-1]) if record.incident == "incident-1")
    del export[last]
    assert any("is missing before it" in finding.fault for finding in check(export))


@pytest.mark.parametrize("index", range(11))
def test_any_reordering_is_found(export: list[Record], index: int) -> None:
    export[index], export[index + 1] = export[index + 1], export[index]
    assert check(export)


def test_one_incident_alone_is_checked_without_the_others(export: list[Record]) -> None:
    alone = [record for record in export if record.incident == "incident-1"]
    assert check(alone, whole=False) == []
    assert check(alone) != []


def test_the_hash_is_what_its_description_says(export: list[Record]) -> None:
    """An auditor with a language of their own gets the same: SHA-256 over sorted, spaceless ASCII JSON."""
    import hashlib

    content = json.loads(export[0].model_dump_json())
    claimed = content.pop("hash")
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(written.encode()).hexdigest() == claimed
