"""The ledger of digests, in SQLite and in PostgreSQL, and what is counted from the record."""

import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit import AuditLog, DigestLedger, NewRecord
from audit.digests import Entry
from audit.figures import KINDS, by_model, incident_figures
from tests.postgres import postgres

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[AuditLog]:
    url = f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else request.getfixturevalue("server")
    log = AuditLog(url)
    yield log
    log.close()


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """A destination of its own for each test: the PostgreSQL database is shared."""
    return f"place-{abs(hash(request.node.name)) % 10**9}"


def entry(place: str, number: int, hours_ago: float = 1.0, *, drill: bool = False) -> Entry:
    return Entry(f"{place}-{number}", f"incident-{number}", NOW - timedelta(hours=hours_ago), "{}", drill)


def test_what_was_added_is_in_one_issue(log: AuditLog, place: str) -> None:
    ledger = DigestLedger(log.database)
    for number in (1, 2, 1):
        ledger.add(place, entry(place, number))
    assert ledger.waiting()[place] == 2
    first = ledger.claim(place, f"{place}-a", NOW)
    assert [one.key for one in first.entries] == [f"{place}-1", f"{place}-2"]
    assert first.entries[0].at == NOW - timedelta(hours=1)
    ledger.add(place, entry(place, 3))
    assert ledger.claim(place, f"{place}-a", NOW) == first, "an attempt is the same as the one before it"
    ledger.sent(f"{place}-a", "receipt", NOW)
    assert ledger.claim(place, f"{place}-a", NOW).receipt == "receipt"
    assert [one.key for one in ledger.claim(place, f"{place}-b", NOW).entries] == [f"{place}-3"]


def test_what_was_claimed_and_never_sent_waits_again(log: AuditLog, place: str) -> None:
    ledger = DigestLedger(log.database)
    ledger.add(place, entry(place, 1))
    ledger.claim(place, f"{place}-a", NOW)
    assert ledger.waiting()[place] == 1
    assert len(ledger.claim(place, f"{place}-b", NOW).entries) == 1


def test_two_issues_at_once_share_nothing(log: AuditLog, place: str) -> None:
    ledger = DigestLedger(log.database)
    for number in range(50):
        ledger.add(place, entry(place, number))
    found: list[int] = []

    def claim(issue: str) -> None:
        issued = ledger.claim(place, issue, NOW)
        ledger.sent(issue, "receipt", NOW)
        found.append(len(issued.entries))

    threads = [threading.Thread(target=claim, args=(f"{place}-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(found) == 50
    assert ledger.waiting().get(place) is None


def test_drills_are_gathered_and_never_counted(log: AuditLog, place: str) -> None:
    ledger = DigestLedger(log.database)
    for number, hours in enumerate([0.5, 1.5, 1.6, 30]):
        ledger.add(place, entry(place, number, hours))
    ledger.add(place, entry(place, 9, 0.5, drill=True))
    edges = [NOW - timedelta(hours=hours) for hours in (2, 1, 0)]
    assert ledger.counts(place, edges) == [2, 1]
    assert len(ledger.claim(place, f"{place}-a", NOW).entries) == 5


def test_figures_are_counted_from_the_record_without_drills(tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path}/a.db")

    def write(incident: str, key: str, what: str, minutes: float, **data: object) -> None:
        at = NOW + timedelta(minutes=minutes)
        assert log.append([[NewRecord(incident, "run-1", key, at, what, "tocsin", "", data)]]) == [None]

    for number, (model, drill) in enumerate([("chatbot", ""), ("chatbot", ""), ("churn", ""), ("churn", "errors")]):
        alert = {"model": model, "monitor": f"monitor {number}", **({"drill": drill} if drill else {})}
        write(f"incident-{number}", "1", "received", number, alert=alert)
        write(f"incident-{number}", "2", "classified", number, tier="high")
    write("incident-0", "3", "classified", 5, tier="critical")
    write("incident-0", "4", "acknowledged", 10)
    write("incident-1", "3", "silenced", 5)
    figures = incident_figures(log.read(kinds=KINDS, since=NOW, until=NOW + timedelta(hours=1)))
    assert [(one.model, one.tier, one.answered_after) for one in figures] == [
        ("chatbot", "critical", 600.0),
        ("chatbot", "high", 240.0),
        ("churn", "high", None),
    ]
    models = by_model(figures)
    assert models["chatbot"].tiers == {"critical": 1, "high": 1, "low": 0}
    assert (models["chatbot"].answered_after, models["churn"].answered_after) == (420.0, None)
    assert list(log.read(kinds=KINDS, until=NOW)) == []
    log.close()
