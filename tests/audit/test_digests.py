"""The digest ledger, in SQLite and PostgreSQL, and the figures that are computed from the log."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit import AuditLog, DigestLedger, NewRecord
from audit.digests import DigestItem
from audit.figures import EVENTS, by_model, incident_figures

DAILY = "daily"
NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


def item(number: int, hours_ago: float = 1.0, *, drill: bool = False) -> DigestItem:
    return DigestItem(f"item-{number}", f"incident-{number}", NOW - timedelta(hours=hours_ago), "{}", drill)


def test_item_is_in_exactly_one_digest(log: AuditLog) -> None:
    ledger = DigestLedger(log.database)
    for number in (1, 2, 1):
        ledger.add(DAILY, item(number))
    assert ledger.waiting()[DAILY] == 2
    first = ledger.claim(DAILY, "digest-a", NOW)
    assert [each.key for each in first.items] == ["item-1", "item-2"]
    assert first.items[0].at == NOW - timedelta(hours=1)
    ledger.add(DAILY, item(3))
    assert ledger.claim(DAILY, "digest-a", NOW) == first, "a second attempt gets the same items"
    ledger.mark_sent("digest-a", "receipt", NOW)
    assert ledger.claim(DAILY, "digest-a", NOW).receipt == "receipt"
    assert [each.key for each in ledger.claim(DAILY, "digest-b", NOW).items] == ["item-3"]


def test_items_of_unsent_digest_wait_again(log: AuditLog) -> None:
    ledger = DigestLedger(log.database)
    ledger.add(DAILY, item(1))
    ledger.claim(DAILY, "digest-a", NOW)
    assert ledger.waiting()[DAILY] == 1
    assert len(ledger.claim(DAILY, "digest-b", NOW).items) == 1


def test_concurrent_digests_share_no_item(log: AuditLog) -> None:
    ledger = DigestLedger(log.database)
    for number in range(50):
        ledger.add(DAILY, item(number))
    found: list[int] = []

    def claim(digest: str) -> None:
        claimed = ledger.claim(DAILY, digest, NOW)
        ledger.mark_sent(digest, "receipt", NOW)
        found.append(len(claimed.items))

    threads = [threading.Thread(target=claim, args=(f"digest-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(found) == 50
    assert ledger.waiting() == {}


def test_drills_are_listed_but_not_counted(log: AuditLog) -> None:
    ledger = DigestLedger(log.database)
    for number, hours in enumerate([0.5, 1.5, 1.6, 30]):
        ledger.add(DAILY, item(number, hours))
    ledger.add(DAILY, item(9, 0.5, drill=True))
    edges = [NOW - timedelta(hours=hours) for hours in (2, 1, 0)]
    assert ledger.counts(DAILY, edges) == [2, 1]
    assert len(ledger.claim(DAILY, "digest-a", NOW).items) == 5


def test_figures_leave_out_drills(tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path}/a.db")

    def write(incident: str, key: str, event: str, minutes: float, **data: object) -> None:
        at = NOW + timedelta(minutes=minutes)
        assert log.append([[NewRecord(incident, "run-1", key, at, event, "tocsin", "", data)]]) == [None]

    for number, (model, drill) in enumerate([("chatbot", ""), ("chatbot", ""), ("churn", ""), ("churn", "errors")]):
        alert = {"model": model, "monitor": f"monitor {number}", **({"drill": drill} if drill else {})}
        write(f"incident-{number}", "1", "received", number, alert=alert)
        write(f"incident-{number}", "2", "classified", number, tier="high")
    write("incident-0", "3", "classified", 5, tier="critical")
    write("incident-0", "4", "acknowledged", 10)
    write("incident-1", "3", "silenced", 5)
    figures = incident_figures(log.read(events=EVENTS, since=NOW, until=NOW + timedelta(hours=1)))
    assert [(each.model, each.tier, each.time_to_acknowledge) for each in figures] == [
        ("chatbot", "critical", 600.0),
        ("chatbot", "high", 240.0),
        ("churn", "high", None),
    ]
    models = by_model(figures)
    assert models["chatbot"].tiers == {"critical": 1, "high": 1, "low": 0}
    assert (models["chatbot"].time_to_acknowledge, models["churn"].time_to_acknowledge) == (420.0, None)
    assert list(log.read(events=EVENTS, until=NOW)) == []
    log.close()
