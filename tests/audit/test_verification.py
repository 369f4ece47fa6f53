"""What a verification shows of a log and of an export, and what only a hash that was kept can show."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit import ArchivedPolicy, AuditLog, AuditRecord, NewRecord, PolicyArchive, record_hash, verify
from audit.chain import GENESIS
from audit.schema import policies
from policy import PolicySource

DAY = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def records(tmp_path: Path) -> list[AuditRecord]:
    """Three incidents whose records alternate; the second has had two openings."""
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    order = [("a", "1"), ("b", "1"), ("a", "1"), ("c", "1"), ("b", "1"), ("b", "2"), ("a", "1"), ("b", "2"), ("c", "1")]
    for number, (name, run) in enumerate(order):
        at = DAY + timedelta(minutes=number)
        log.append([[NewRecord(f"incident-{name}", run, str(number), at, "received", "tocsin", f"text {number}", {})]])
    found = list(log.read())
    log.close()
    return found


def rehashed(records: Sequence[AuditRecord]) -> list[AuditRecord]:
    """As somebody writes them who computes every number and hash again."""
    ends: dict[tuple[str, str], AuditRecord] = {}
    newest, found = GENESIS, list[AuditRecord]()
    for record in records:
        key = (record.incident, record.first_run_id)
        before = ends.get(key)
        changes = {
            "number": before.number + 1 if before else 1,
            "previous": before.hash if before else GENESIS,
            "anchor": newest,
        }
        record = record.model_copy(update=changes)
        record = record.model_copy(update={"hash": record_hash(record)})
        ends[key], newest = record, record.hash
        found.append(record)
    return found


def edited(records: Sequence[AuditRecord]) -> list[AuditRecord]:
    return rehashed([one.model_copy(update={"text": "nothing"}) if one.key == "2" else one for one in records])


def without_incident(records: Sequence[AuditRecord]) -> list[AuditRecord]:
    return rehashed([one for one in records if one.incident != "incident-c"])


def without_newest(records: Sequence[AuditRecord]) -> list[AuditRecord]:
    return list(records[:-2])


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_export_of_every_incident_verifies(records: list[AuditRecord], name: str) -> None:
    part = [one for one in records if one.incident == f"incident-{name}"]
    found = verify(part, export=True)
    assert (found.intact, found.scope, found.records, found.last_hash) == (True, "incident", len(part), part[-1].hash)
    for number in range(len(part)):
        tampered = [one.model_copy(update={"text": "x"}) if one is part[number] else one for one in part]
        assert not verify(tampered, export=True).intact
    assert not verify([part[1], part[0], *part[2:]], export=True).intact
    if name == "a":  # of the others it is the end of a run that is missing, which no chain shows
        assert not verify([part[0], *part[2:]], export=True).intact


def test_part_of_a_log_is_not_the_log(records: list[AuditRecord]) -> None:
    part = [one for one in records if one.incident == "incident-b"]
    assert not verify(part).intact
    two = [one for one in records if one.incident != "incident-b"]
    assert not verify(two, export=True).intact, "an export has one incident, or all"
    whole = verify(records, export=True)
    assert (whole.intact, whole.scope) == (True, "log")


@pytest.mark.parametrize("change", [edited, without_incident, without_newest])
def test_kept_hash_shows_what_the_chain_cannot(records: list[AuditRecord], change: object) -> None:
    changed = change(records)  # type: ignore[operator]
    assert verify(changed).intact
    kept = records[-1].hash
    found = verify(changed, expected=[kept])
    assert (found.intact, found.missing) == (False, (kept,))
    assert verify(records, expected=[kept, records[3].hash]).intact


def test_archived_policy_is_checked_against_its_digest(tmp_path: Path) -> None:
    source = PolicySource((("a.yaml", b"version: 1\n"), ("b.yaml", b"rules: []\n")))
    assert len(source.digest) == 64
    other = PolicySource((("a.yaml", b"version: 2\n"),))
    for digest in (source.digest, source.digest[:12]):  # 1.0.0 kept twelve digits
        assert ArchivedPolicy(digest, DAY, source.to_json()).fault == ""
        assert "was edited" in ArchivedPolicy(digest, DAY, other.to_json()).fault
    for broken in ("", "{}", "[[1]]", source.to_json()[:-3]):
        assert "was edited" in ArchivedPolicy(source.digest, DAY, broken).fault
    assert "was edited" in ArchivedPolicy(source.digest[:6], DAY, source.to_json()).fault


def test_policy_of_both_versions_is_found_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/audit.db"
    archive, log = PolicyArchive(url), AuditLog(url)
    source = PolicySource((("a.yaml", b"version: 1\n"),))
    archive.add(source, DAY)
    short = source.digest[:12]
    with log.database.writing() as connection:
        connection.execute(policies.insert().values(digest=short, since=DAY, content=source.to_json()))
    for asked in (source.digest, short, short[:5], f"{short}/60", f"{source.digest}/60"):
        found = archive.find(asked)
        assert found is not None
        assert found.source == source
    assert archive.find("f" * 64) is None
    archive.close()
    log.close()
