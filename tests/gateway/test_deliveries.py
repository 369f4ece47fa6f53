"""The memory of what was delivered: alerts go on without it, and it misses nothing of what came meanwhile."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from alerts import incident_id
from gateway.app import create_app
from gateway.deliveries import LATE, AwayError, Delivered, Deliveries
from tests.gateway.conftest import CALLBACK_SECRETS, House
from tests.gateway.station import an_alert, opened
from tests.gateway.test_callbacks import pagerduty_signed
from tests.postgres import postgres
from tests.vendors import PagerDuty
from tests.wire import Wire
from worker.settings import read_settings

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with postgres() as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def wire(server: str) -> AsyncIterator[Wire]:
    url = make_url(server)
    async with Wire(f"{url.host}:{url.port}") as wire:
        yield wire


def over(server: str, wire: Wire) -> str:
    """The server's address by the wire, as the settings give it."""
    host, port = wire.address.rsplit(":", 1)
    url = make_url(server).set(host=host, port=int(port)).render_as_string(hide_password=False)
    return read_settings({"TOCSIN_DATABASE_URL": url}).deliveries_url


def a_delivery(proof: str = "") -> Delivered:
    number = next(_numbers)
    return Delivered(f"evt-{number}", proof or f"proof-{number}", f"incident-{number}", "started")


async def until_back(deliveries: Deliveries) -> None:
    """Ask until it answers, as the next alert does."""
    async with asyncio.timeout(20):
        while not (await deliveries.recall(["nothing"], [])).whole:
            await asyncio.sleep(0.1)


async def remembered(server: str, *wanted: Delivered) -> set[Delivered]:
    """Which of them the database itself holds, within the time that catching up takes."""
    engine = create_engine(server)
    names = {one.id for one in wanted}
    found: set[Delivered] = set()
    for _ in range(100):
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT id, proof, incident, state FROM gateway_deliveries"))
            found = {Delivered(*row) for row in rows if row[0] in names}
        if len(found) == len(names):
            break
        await asyncio.sleep(0.05)
    engine.dispose()
    return found


async def test_it_is_begun_without_its_database(server: str, wire: Wire) -> None:
    url = over(server, wire)
    await wire.cut()
    deliveries, one = Deliveries(url), a_delivery()
    assert not deliveries.away, "nobody has asked it yet"
    await deliveries.remember([one])
    assert deliveries.away
    told = await deliveries.recall([one.id], [])
    assert (list(told.found), told.whole) == ([one], False), "what it knows itself, and that there may be more"
    with pytest.raises(AwayError, match=r"^OperationalError: .*refused"):
        await deliveries.ping()
    await wire.mend()
    await until_back(deliveries)
    assert not deliveries.away
    assert await remembered(server, one) == {one}
    deliveries.close()


async def test_what_came_while_it_was_away_is_known_to_another_gateway_afterwards(server: str, wire: Wire) -> None:
    deliveries, before = Deliveries(over(server, wire)), a_delivery()
    await deliveries.remember([before])
    await wire.cut()
    late = [a_delivery() for _ in range(1_200)]  # more than one helping
    await deliveries.remember(late)
    await deliveries.call("pagerduty", "P-late", "key-late")
    assert await deliveries.called("pagerduty", "P-late") == "key-late"
    with pytest.raises(AwayError):
        await deliveries.called("pagerduty", "P-unknown")
    await wire.mend()
    await until_back(deliveries)
    assert await remembered(server, before, *late) == {before, *late}
    other = Deliveries(server)
    assert [one.id for one in (await other.recall([], [late[7].proof])).found] == [late[7].id]
    assert await other.called("pagerduty", "P-late") == "key-late"
    other.close()
    deliveries.close()


async def test_a_database_that_says_nothing_holds_up_nobody_for_long(server: str, wire: Wire) -> None:
    """Connected, and deaf: as after a firewall forgot the connection."""
    deliveries, known, late = Deliveries(over(server, wire)), a_delivery(), a_delivery()
    await deliveries.remember([known])
    wire.lose_answers()
    async with asyncio.timeout(10):  # each alone would wait for ever
        for _ in range(200):
            assert not (await deliveries.recall([known.id], [])).whole
        await deliveries.remember([late])
    with pytest.raises(AwayError, match="no answer within 1 s"):
        await deliveries.ping()
    await wire.cut()
    await wire.mend()
    await until_back(deliveries)
    assert [one.id for one in (await deliveries.recall([known.id], [])).found] == [known.id]
    assert await remembered(server, known, late) == {known, late}
    deliveries.close()


async def test_a_locked_file_is_away_too(tmp_path: Path) -> None:
    deliveries, late = Deliveries(f"sqlite:///{tmp_path}/gateway.db"), a_delivery()
    await deliveries.ping()
    with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        await deliveries.remember([late])
        assert deliveries.away
        blocker.execute("ROLLBACK")
    await until_back(deliveries)
    assert list((await deliveries.recall([late.id], [])).found) == [late]
    deliveries.close()
    again = Deliveries(f"sqlite:///{tmp_path}/gateway.db")
    assert list((await again.recall([late.id], [])).found) == [late], "it was written"
    again.close()


async def test_it_holds_no_more_than_it_may(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").mkdir()  # no database can be here
    deliveries, rows = Deliveries(f"sqlite:///{tmp_path}/gateway.db"), [a_delivery() for _ in range(LATE + 5)]
    await deliveries.remember(rows)
    told = await deliveries.recall([one.id for one in rows], [])
    assert list(told.found) == rows[5:], "the oldest is forgotten first: its redelivery joins what is open anyway"
    deliveries.close()


async def test_many_gateways_make_the_tables_at_once() -> None:
    with postgres() as fresh:
        gateways = [Deliveries(fresh) for _ in range(8)]
        rows = [a_delivery() for _ in gateways]
        await asyncio.gather(*(gateway.remember([row]) for gateway, row in zip(gateways, rows, strict=True)))
        assert not any(gateway.away for gateway in gateways)
        assert await remembered(fresh, *rows) == set(rows)
        for gateway in gateways:
            gateway.close()


async def test_what_a_database_cannot_hold_is_not_its_being_away(server: str) -> None:
    deliveries, one = Deliveries(server), a_delivery()
    await deliveries.remember([Delivered("evt-\0", "p", "incident-x", "started")])
    assert not deliveries.away
    await deliveries.remember([one])
    assert await remembered(server, one) == {one}
    deliveries.close()


async def test_a_fire_is_told_at_once_and_once_while_it_is_away(
    house: House, server: str, wire: Wire, tmp_path: Path
) -> None:
    """Redelivered while its incident is open, and again once that is over, and never known by its id."""
    url, alert = over(server, wire), an_alert(house)
    await wire.cut()
    async with opened(house, tmp_path, url) as station:
        assert (await station.intake.take(alert, "evt-away")).state == "started", "to Temporal, and not to the spool"
        incident = incident_id(alert)
        await house.until(incident, lambda one: one.get("state") == "notified")
        assert (await station.intake.take(alert, "evt-away")).state == "joined"
        await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"by": "rosa"})
        await house.until(incident, lambda one: one["state"] == "closed")
    (tmp_path / "another").mkdir()
    async with opened(house, tmp_path / "another", url) as another:  # it has not even what the first held by itself
        assert (await another.intake.take(alert, "evt-away")).state == "recorded"
        assert await another.runs(alert) == 1
        assert another.spool.depth.items == 0


async def test_the_gateway_says_that_it_is_away_and_is_ready(house: House, server: str, wire: Wire) -> None:
    app = create_app(house.settings(deliveries_url=over(server, wire)), house.client)
    await wire.cut()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 200
        assert answer.json()["deliveries"].startswith("OperationalError: ")
        assert "tocsin_deliveries_away 1.0" in (await http.get("/metrics")).text
        # Which incident a note is about, PagerDuty says by its own id only: not by what is known elsewhere.
        note = PagerDuty.callback("incident.annotated", "", "Alice Example")
        note["event"]["data"] = {"id": "N1", "type": "incident_note", "content": "look", "incident": {"id": "P-9"}}
        content, headers = pagerduty_signed(note, CALLBACK_SECRETS["pagerduty"][0])
        asked = await http.post("/webhooks/pagerduty", content=content, headers=headers)
        assert asked.status_code == 503, asked.text
        assert asked.headers["Retry-After"] == "5"
        assert "which incident" in asked.json()["detail"]
        await wire.mend()
        await asyncio.sleep(1.1)
        assert (await http.get("/readyz")).json()["deliveries"] == "ok"
        assert "tocsin_deliveries_away 0.0" in (await http.get("/metrics")).text
