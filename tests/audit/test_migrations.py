"""The audit database's migrations: from empty, from each release, concurrently, and equal to the models."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

import audit.migrations
from audit import AuditLog, DigestLedger, NewRecord, PolicyArchive, SchemaError, check
from audit.digests import DigestItem
from audit.schema import REVISION, VERSION_TABLE, metadata
from policy import PolicySource
from tests.audit.schema_dumps import dump, dump_file, released_versions, restore
from tests.ports import unused_port

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
POLICY = PolicySource((("policy.yaml", b"version: 1\n"),))
APPEND_ONLY = ("UPDATE audit_records SET text = 'x'", "DELETE FROM audit_records", "DELETE FROM policies")


def new_record(key: str, event: str) -> NewRecord:
    return NewRecord("incident-a", "run-1", key, NOW, event, "tocsin", "ünïcode ✓", {"n": 1.5})


@contextmanager
def connect(url: str) -> Generator[Connection]:
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def create_with_rows(url: str) -> None:
    """A database of the current version, with a row or two in each table."""
    log = AuditLog(url)
    assert log.append([[new_record("1", "received"), new_record("2", "classified")]]) == [None]
    ledger = DigestLedger(log.database)
    for name in ("digest-a", "digest-b"):
        ledger.add("daily", DigestItem(f"item-of-{name}", "incident-a", NOW, "{}"))
        ledger.claim("daily", name, NOW)
        if name == "digest-a":
            ledger.mark_sent(name, '{"id": "1"}', NOW)
    log.close()
    archive = PolicyArchive(url)
    archive.add(POLICY, NOW)
    archive.close()


def assert_works(url: str) -> None:
    """The rows of ``create_with_rows`` are there, and the database accepts new rows."""
    log = AuditLog(url)
    assert log.append([[new_record("3", "acknowledged")]]) == [None]
    records = list(log.read())
    assert [(record.number, record.event) for record in records] == [
        (1, "received"),
        (2, "classified"),
        (3, "acknowledged"),
    ]
    assert check(records) == []
    ledger = DigestLedger(log.database)
    assert ledger.waiting() == {"daily": 1}
    assert ledger.claim("daily", "digest-a", NOW).receipt == '{"id": "1"}'
    assert [item.key for item in ledger.claim("daily", "digest-c", NOW).items] == ["item-of-digest-b"]
    log.close()
    archive = PolicyArchive(url)
    assert [archived.since for archived in archive.all()] == [NOW]
    archive.close()
    engine = create_engine(url)
    for statement in APPEND_ONLY:
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


def test_empty_database_reaches_the_newest_revision(url: str) -> None:
    create_with_rows(url)
    assert_works(url)
    with connect(url) as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == REVISION


def test_models_and_migrations_agree(url: str) -> None:
    AuditLog(url).count()
    with connect(url) as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_revision_constant_names_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(audit.migrations.__file__).parent))
    assert scripts.get_heads() == [REVISION]


@pytest.mark.parametrize("release", released_versions())
def test_released_schema_upgrades_to_the_newest(new_database: Callable[[], str], release: str) -> None:
    old, fresh = new_database(), new_database()
    restore(dump_file(release, old).read_text(encoding="utf-8"), old)
    assert_works(old)
    AuditLog(fresh).count()
    assert dump(old, rows=False) == dump(fresh, rows=False)


def test_this_version_has_a_dump(new_database: Callable[[], str]) -> None:
    """The dump of a release stays as it is. Until the release, TOCSIN_WRITE_GOLDEN=1 writes it."""
    release, current, restored = version("tocsin"), new_database(), new_database()
    create_with_rows(current)
    file = dump_file(release, current)
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        file.write_text(dump(current), encoding="utf-8")
    restore(file.read_text(encoding="utf-8"), restored)
    assert dump(restored, rows=False) == dump(current, rows=False)


def test_concurrent_first_uses_create_one_schema(url: str) -> None:
    logs = [AuditLog(url) for _ in range(6)]
    errors: list[Exception] = []

    def use(log: AuditLog, key: int) -> None:
        try:
            assert log.append([[new_record(str(key), "received")]]) == [None]
        except Exception as error:  # noqa: BLE001  # the test asserts that there is none
            errors.append(error)

    threads = [threading.Thread(target=use, args=(log, key)) for key, log in enumerate(logs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list(logs[0].read())) == 6
    for log in logs:
        log.close()


def test_concurrent_processes_create_one_schema(url: str) -> None:
    code = f"from audit import AuditLog; AuditLog({url!r}).count()"
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors


def test_failed_migration_leaves_nothing_behind(url: str) -> None:
    with connect(url) as connection:
        connection.execute(text("CREATE TABLE digests (key INTEGER)"))  # the migration's own cannot be created
        connection.commit()
    log = AuditLog(url)
    with pytest.raises(DBAPIError):
        log.count()
    with connect(url) as connection:
        connection.execute(text("DROP TABLE digests"))
        connection.commit()
    assert log.count() == 0, "the same log recovers"
    log.close()


def test_newer_schema_is_refused_with_a_remedy(url: str) -> None:
    create_with_rows(url)
    with connect(url) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'v9_0_0'"))
        connection.commit()
    log = AuditLog(url)
    with pytest.raises(SchemaError, match="has schema v9_0_0, which this version does not know") as refusal:
        log.append([[new_record("3", "acknowledged")]])
    assert "run the version of Tocsin that migrated it, or a later one" in str(refusal.value)
    log.close()


def test_unavailable_database_is_needed_only_on_use() -> None:
    log = AuditLog(f"postgresql+psycopg://tocsin@127.0.0.1:{unused_port()}/postgres")
    with pytest.raises(OperationalError):
        log.append([[new_record("1", "received")]])
    log.close()


def test_current_schema_needs_no_alembic(url: str) -> None:
    """Alembic's import is slow. A command that reads an existing log does not import it."""
    create_with_rows(url)
    code = f"import sys; from audit import AuditLog; print(AuditLog({url!r}).count(), 'alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_migrations_do_not_import_the_models() -> None:
    """Models change with later versions; a released revision must not."""
    for file in (Path(audit.migrations.__file__).parent / "versions").glob("v*.py"):
        assert not re.search(r"^(from|import) audit", file.read_text(encoding="utf-8"), re.MULTILINE), file
