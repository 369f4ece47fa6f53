"""The dedup store: alerts go on while it is unavailable, and it stores their entries when it recovers."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from alerts import incident_id
from gateway.app import create_app
from gateway.ingest.dedup_store import MAX_PENDING, RETENTION, DedupEntry, DedupStore, DedupUnavailableError
from tests.gateway.callback_senders import pagerduty_signed
from tests.gateway.conftest import CALLBACK_SECRETS, GatewayHarness
from tests.gateway.spool_harness import make_alert, open_spool_harness
from tests.postgres import postgres
from tests.tcp_proxy import TcpProxy
from tests.vendors import PagerDuty
from worker.settings import read_settings

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with postgres() as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(server: str) -> AsyncIterator[TcpProxy]:
    url = make_url(server)
    async with TcpProxy(f"{url.host}:{url.port}") as proxy:
        yield proxy


def proxied(server: str, proxy: TcpProxy) -> str:
    """The server's URL through the proxy, as the settings give it."""
    host, port = proxy.address.rsplit(":", 1)
    url = make_url(server).set(host=host, port=int(port)).render_as_string(hide_password=False)
    return read_settings({"TOCSIN_DATABASE_URL": url}).dedup_store_url


def new_entry(signature_digest: str = "") -> DedupEntry:
    number = next(_numbers)
    return DedupEntry(f"evt-{number}", signature_digest or f"digest-{number}", f"incident-{number}", "started")


async def until_recovered(store: DedupStore) -> None:
    """Query the store until its database responds, as the next alerts do."""
    async with asyncio.timeout(60):
        while not (await store.find(["nothing"], [])).complete:
            await asyncio.sleep(0.1)


async def stored(server: str, *wanted: DedupEntry) -> set[DedupEntry]:
    """The entries that the database itself holds; waits until it holds all of them."""
    engine = create_engine(server)
    ids = {entry.id for entry in wanted}
    found: set[DedupEntry] = set()
    for _ in range(100):
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT id, signature_digest, incident, state FROM dedup_entries"))
            found = {DedupEntry(*row) for row in rows if row[0] in ids}
        if len(found) == len(ids):
            break
        await asyncio.sleep(0.05)
    engine.dispose()
    return found


async def test_store_starts_without_its_database(server: str, proxy: TcpProxy) -> None:
    url = proxied(server, proxy)
    await proxy.cut()
    store, entry = DedupStore(url), new_entry()
    assert not store.unavailable, "it has not used the database yet"
    await store.add([entry])
    assert store.unavailable
    result = await store.find([entry.id], [])
    assert (list(result.entries), result.complete) == ([entry], False), "its own pending entry; there may be more"
    with pytest.raises(DedupUnavailableError, match=r"^OperationalError: .*refused"):
        await store.ping()
    await proxy.restore()
    await until_recovered(store)
    assert not store.unavailable
    assert await stored(server, entry) == {entry}
    store.close()


async def test_pending_entries_reach_other_gateways(server: str, proxy: TcpProxy) -> None:
    store, before = DedupStore(proxied(server, proxy)), new_entry()
    await store.add([before])
    await proxy.cut()
    pending = [new_entry() for _ in range(1_200)]  # more than one batch
    await store.add(pending)
    await store.map_key("pagerduty", "P-pending", "key-pending")
    assert await store.find_key("pagerduty", "P-pending") == "key-pending"
    with pytest.raises(DedupUnavailableError):
        await store.find_key("pagerduty", "P-unknown")
    await proxy.restore()
    await until_recovered(store)
    assert await stored(server, before, *pending) == {before, *pending}
    other = DedupStore(server)
    assert [each.id for each in (await other.find([], [pending[7].signature_digest])).entries] == [pending[7].id]
    assert await other.find_key("pagerduty", "P-pending") == "key-pending"
    other.close()
    store.close()


async def test_silent_database_delays_alerts_only_briefly(server: str, proxy: TcpProxy) -> None:
    """Connected, without responses: as after a firewall dropped the connection's state."""
    store, known, pending = DedupStore(proxied(server, proxy)), new_entry(), new_entry()
    await store.add([known])
    proxy.drop_responses()
    async with asyncio.timeout(60):  # without the retry interval, the queries would take 200 s
        for _ in range(200):
            assert not (await store.find([known.id], [])).complete
        await store.add([pending])
    with pytest.raises(DedupUnavailableError, match="no answer within 1 s"):
        await store.ping()
    await proxy.cut()
    await proxy.restore()
    await until_recovered(store)
    assert [each.id for each in (await store.find([known.id], [])).entries] == [known.id]
    assert await stored(server, known, pending) == {known, pending}
    store.close()


async def test_entry_is_forgotten_after_its_retention(tmp_path: Path) -> None:
    """By its id and by its signed bytes; the same id is then that of a new event, and is stored again."""
    now = datetime.now(UTC)
    old = replace(new_entry(), at=now - RETENTION - timedelta(seconds=1))
    kept = replace(new_entry(), at=now - RETENTION + timedelta(minutes=5))
    store = DedupStore(f"sqlite:///{tmp_path}/gateway.db")
    await store.add([old, kept])
    assert list((await store.find([old.id, kept.id], [old.signature_digest])).entries) == [kept]
    again = replace(old, incident="incident-again", at=None)
    await store.add([again])
    assert list((await store.find([old.id], [])).entries) == [again]
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as database:
        assert database.execute("SELECT count(*) FROM dedup_entries").fetchone() == (2,)
    store.close()


async def test_locked_file_counts_as_unavailable(tmp_path: Path) -> None:
    store, pending = DedupStore(f"sqlite:///{tmp_path}/gateway.db"), new_entry()
    await store.ping()
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        await store.add([pending])
        assert store.unavailable
        blocker.execute("ROLLBACK")
    await until_recovered(store)
    assert list((await store.find([pending.id], [])).entries) == [pending]
    store.close()
    reopened = DedupStore(f"sqlite:///{tmp_path}/gateway.db")
    assert list((await reopened.find([pending.id], [])).entries) == [pending], "it was written"
    reopened.close()


async def test_pending_entries_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").mkdir()  # no database can be here
    store, rows = DedupStore(f"sqlite:///{tmp_path}/gateway.db"), [new_entry() for _ in range(MAX_PENDING + 5)]
    await store.add(rows)
    result = await store.find([row.id for row in rows], [])
    assert list(result.entries) == rows[5:], "the oldest entries are dropped first"
    store.close()


async def test_concurrent_gateways_create_the_tables() -> None:
    with postgres() as fresh:
        gateways = [DedupStore(fresh) for _ in range(8)]
        rows = [new_entry() for _ in gateways]
        await asyncio.gather(*(gateway.add([row]) for gateway, row in zip(gateways, rows, strict=True)))
        assert not any(gateway.unavailable for gateway in gateways)
        assert await stored(fresh, *rows) == set(rows)
        for gateway in gateways:
            gateway.close()


async def test_invalid_entry_is_no_outage(server: str) -> None:
    store, entry = DedupStore(server), new_entry()
    await store.add([DedupEntry("evt-\0", "digest", "incident-x", "started")])
    assert not store.unavailable
    await store.add([entry])
    assert await stored(server, entry) == {entry}
    store.close()


async def test_alert_pages_once_without_the_store(
    gateway: GatewayHarness, server: str, proxy: TcpProxy, tmp_path: Path
) -> None:
    """It is redelivered while its incident is open, and after the close; the store never knows its id."""
    url, alert = proxied(server, proxy), make_alert(gateway)
    await proxy.cut()
    async with open_spool_harness(gateway, tmp_path, url) as harness:
        assert (await harness.ingester.accept_alert(alert, "evt-without-store")).state == "started", (
            "in Temporal, and not in the spool"
        )
        incident = incident_id(alert)
        await gateway.until(incident, lambda view: view.get("state") == "notified")
        assert (await harness.ingester.accept_alert(alert, "evt-without-store")).state == "joined"
        await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"by": "rosa"})
        await gateway.until(incident, lambda view: view["state"] == "closed")
    (tmp_path / "another").mkdir()
    async with open_spool_harness(
        gateway, tmp_path / "another", url
    ) as other:  # without the first one's pending entries
        assert (await other.ingester.accept_alert(alert, "evt-without-store")).state == "recorded"
        assert await other.count_runs(alert) == 1
        assert other.spool.depth.items == 0


async def test_readyz_reports_the_unavailable_store(gateway: GatewayHarness, server: str, proxy: TcpProxy) -> None:
    app = create_app(gateway.settings(dedup_store_url=proxied(server, proxy)), gateway.client)
    await proxy.cut()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/readyz", headers={"Authorization": "Bearer v-token"})
        assert answer.status_code == 200
        assert answer.json()["dedup_store"].startswith("OperationalError: ")
        assert (
            "tocsin_dedup_store_up 0.0"
            in (await http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
        )
        # PagerDuty names a note's incident only by PagerDuty's own id: without the store, the incident is unknown.
        note = PagerDuty.callback("incident.annotated", "", "Alice Example")
        note["event"]["data"] = {"id": "N1", "type": "incident_note", "content": "look", "incident": {"id": "P-9"}}
        content, headers = pagerduty_signed(note, CALLBACK_SECRETS["pagerduty"][0])
        asked = await http.post("/webhooks/pagerduty", content=content, headers=headers)
        assert asked.status_code == 503, asked.text
        assert asked.headers["Retry-After"] == "5"
        assert "which incident" in asked.json()["detail"]
        await proxy.restore()
        async with asyncio.timeout(60):
            while (await http.get("/readyz", headers={"Authorization": "Bearer v-token"})).json()[
                "dedup_store"
            ] != "ok":
                await asyncio.sleep(0.2)
        assert (
            "tocsin_dedup_store_up 1.0"
            in (await http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
        )
