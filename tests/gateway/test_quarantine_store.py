"""The quarantine on PostgreSQL, which gateways share, and on databases that do not answer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from alerts import Alert, shape_of_json
from gateway.quarantine.delivery import Delivery, Received
from gateway.quarantine.store import MAX_SHAPES, QuarantineStore, QuarantineUnavailableError
from gateway.security.encryption import Keyring
from tests.gateway.test_dedup_store import proxied
from tests.postgres import postgres
from tests.tcp_proxy import TcpProxy

NO_KEYS = Keyring(())


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with postgres() as address:
        yield address


@pytest_asyncio.fixture
async def proxy(server: str) -> AsyncIterator[TcpProxy]:
    url = make_url(server)
    async with TcpProxy(f"{url.host}:{url.port}") as proxy:
        yield proxy


def delivery(number: int, event_id: str = "", **body: object) -> Delivery:
    content = {"n": number, **body}
    received = Received(str(content).encode(), event_id, "", "application/json", datetime.now(UTC))
    return received.delivery(shape_of_json(content), ("nothing reads it",))


async def test_gateways_share_the_quarantine() -> None:
    """They create the table at the same time, and each sees what the others hold."""
    with postgres() as url:
        stores = [QuarantineStore(url, NO_KEYS, timeout=60) for _ in range(3)]
        same = delivery(0, "evt-same")
        put = [store.put(delivery(n)) for n, store in enumerate(stores * 5)] + [store.put(same) for store in stores]
        assert {one.state for one in await asyncio.gather(*put)} == {"quarantined"}
        assert [await store.left() for store in stores] == [16, 16, 16]
        found = await stores[1].get(same.id)
        assert found is not None
        assert found.delivery == same
        alert = Alert(monitor="m", event_id="replay-1")
        plans = await asyncio.gather(
            *(
                store.plan(same.id, alert.model_copy(update={"monitor": name}), name, "responder")
                for store, name in zip(stores, "abc", strict=True)
            )
        )
        assert len({one.plan.alert.monitor for one in plans if one and one.plan}) == 1, "the first plan stays"
        await stores[2].mark_replayed(same.id, "incident-1", "started")
        assert await stores[0].left() == 15
        for store in stores:
            store.close()


async def test_database_that_stops_answering_is_left_alone(server: str, proxy: TcpProxy) -> None:
    store = QuarantineStore(proxied(server, proxy), NO_KEYS, timeout=1)
    await store.put(delivery(1))
    proxy.drop_responses()
    refused = 0
    async with asyncio.timeout(60):  # each wait would take a second
        for number in range(200):
            try:
                await store.put(delivery(number))
            except QuarantineUnavailableError:
                refused += 1
    assert refused == 200
    assert store.fault
    await proxy.cut()
    await proxy.restore()
    async with asyncio.timeout(60):
        while True:
            try:
                await store.put(delivery(3))
                break
            except QuarantineUnavailableError:
                await asyncio.sleep(0.1)
    assert store.fault == ""
    store.close()


async def test_locked_file_counts_as_unavailable(tmp_path: Path) -> None:
    store = QuarantineStore(f"sqlite:///{tmp_path}/gateway.db", NO_KEYS, timeout=0.5)
    kept = delivery(1)
    await store.put(kept)
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(QuarantineUnavailableError):
            await store.put(delivery(2))
        blocker.execute("ROLLBACK")
    async with asyncio.timeout(60):
        while True:
            try:
                found = await store.get(kept.id)
                break
            except QuarantineUnavailableError:
                await asyncio.sleep(0.1)
    assert found is not None
    assert found.delivery == kept
    store.close()


async def test_shape_that_has_an_incident_keeps_it(tmp_path: Path) -> None:
    store = QuarantineStore(f"sqlite:///{tmp_path}/gateway.db", NO_KEYS, timeout=60)
    first = await store.put(delivery(0, first="x"))
    for letter in "abcdefghijklmnopqrstuvwxyz"[: MAX_SHAPES + 3]:
        await store.put(delivery(0, **{f"key {letter}": "x"}))
    assert (await store.put(delivery(1, first="y"))).shape == first.shape != "other"
    assert (await store.put(delivery(1, later="y"))).shape == "other"
    store.close()


async def test_pending_work_is_found_until_it_is_done(tmp_path: Path) -> None:
    store = QuarantineStore(f"sqlite:///{tmp_path}/gateway.db", NO_KEYS, timeout=60)
    one = delivery(1)
    await store.put(one)
    assert await store.pending(timedelta(hours=1)) == [], "a request may still work on it"
    now = timedelta(seconds=-1)
    assert [row.id for row in await store.pending(now)] == [one.id]
    await store.mark_notified(one.id)
    assert await store.pending(now) == []
    await store.plan(one.id, Alert(monitor="m"), "rosa", "responder")
    assert [row.state for row in await store.pending(now)] == ["replaying"]
    await store.mark_replayed(one.id, "incident-1", "started")
    assert [(row.state, row.incident) for row in await store.pending(now)] == [("replayed", "incident-1")]
    await store.mark_settled((await store.pending(now))[0].shape)
    assert await store.pending(now) == []
    assert await store.left() == 0
    store.close()
