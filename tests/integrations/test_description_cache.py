"""The cache of descriptions: two processes, one database."""

import asyncio
import sqlite3
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts import Description
from gateway.security.encryption import Keyring
from integrations.arize.description_cache import POLICY, DescriptionCache
from tests.postgres import postgres
from tests.waiting import wait_until


def description(monitor_id: str = "m-1", project: str = "chatbot") -> Description:
    return Description(
        monitor_id=monitor_id,
        monitor={"id": monitor_id},
        project=project,
        described_at=datetime(2026, 11, 26, tzinfo=UTC),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[list[DescriptionCache]]:
    """A worker's cache and a gateway's."""
    with ExitStack() as stack:
        is_sqlite = request.param == "sqlite"
        url = f"sqlite:///{tmp_path}/gateway.db" if is_sqlite else stack.enter_context(postgres())
        caches = [DescriptionCache(url), DescriptionCache(url)]
        yield caches
        for cache in caches:
            cache.close()


async def test_gateway_reads_what_worker_wrote(pair: list[DescriptionCache]) -> None:
    worker, gateway = pair
    worker.add([description()])
    assert worker.get("m-1") == description(), "known at once"
    assert gateway.get("m-1") is None
    assert await worker.save()
    assert await gateway.load()
    assert gateway.get("m-1") == description()
    worker.add([description(project="renamed"), description("m-2")])
    await worker.save()
    await gateway.load()
    assert [gateway.get(one).project for one in ("m-1", "m-2")] == ["renamed", "chatbot"]  # type: ignore[union-attr]


async def test_removed_monitor_is_forgotten(pair: list[DescriptionCache]) -> None:
    worker, gateway = pair
    worker.add([description("m-1"), description("m-2")])
    await worker.save()
    await gateway.load()
    worker.remove(["m-2"])
    worker.add([description("m-3")])
    await worker.save()
    await gateway.load()
    assert gateway.ids == {"m-1", "m-3"}
    worker.remove(["m-3"])
    await worker.save()
    await gateway.load()
    assert gateway.ids == {"m-1"}
    worker.add([description("m-3", "again")])
    await worker.save()
    await gateway.load()
    assert gateway.ids == {"m-1", "m-3"}


async def test_both_processes_write_at_once(pair: list[DescriptionCache]) -> None:
    for number, cache in enumerate(pair):
        cache.add([description(f"m-{number}-{one}") for one in range(200)])
    await asyncio.gather(*(cache.save() for cache in pair))
    for cache in pair:
        await cache.load()
        assert len(cache) == 400


async def test_restart_keeps_descriptions(pair: list[DescriptionCache]) -> None:
    worker, gateway = pair
    worker.add([description()])
    await worker.save()
    worker.close()
    await gateway.load()
    assert len(gateway) == 1


async def test_problems_of_arize_are_shared(pair: list[DescriptionCache]) -> None:
    worker, gateway = pair
    await worker.report({"rest": "Arize answered 503"})
    await gateway.load()
    assert gateway.problems == {"rest": "Arize answered 503"}
    await worker.report({})
    await gateway.load()
    assert gateway.problems == {}


async def test_failing_condition_is_no_problem_of_arize(pair: list[DescriptionCache]) -> None:
    worker, gateway = pair
    await worker.report({"rest": "Arize's REST API is slow", POLICY: "rules.errors cannot be evaluated: why"})
    await gateway.load()
    assert gateway.problems == {"rest": "Arize's REST API is slow"}
    assert gateway.policy_problem == "rules.errors cannot be evaluated: why"


async def test_run_writes_and_reads_until_cancelled(pair: list[DescriptionCache]) -> None:
    worker, gateway = pair
    problems = {"graphql": "slow"}
    tasks = [asyncio.create_task(worker.run(0.02, lambda: problems)), asyncio.create_task(gateway.run(0.02))]
    worker.add([description()])
    await wait_until(lambda: _equal(gateway.get("m-1"), description()))
    await wait_until(lambda: _equal(gateway.problems, problems))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _equal(one: object, other: object) -> bool:
    return one == other


async def test_locked_database_delays_only_writing(tmp_path: Path) -> None:
    cache = DescriptionCache(f"sqlite:///{tmp_path}/gateway.db")
    await cache.load()
    lock = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    cache.add([description()])
    assert not await cache.save()
    assert cache.get("m-1") == description()
    lock.execute("ROLLBACK")
    lock.close()
    assert await cache.save()
    other = DescriptionCache(f"sqlite:///{tmp_path}/gateway.db")
    await other.load()
    assert len(other) == 1
    cache.close()
    other.close()


async def test_unavailable_database_is_empty_cache(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    cache = DescriptionCache(f"sqlite:///{tmp_path}/folder")
    assert not await cache.load()
    assert cache.get("m-1") is None
    cache.close()


async def test_descriptions_are_encrypted(tmp_path: Path) -> None:
    url, first, second = (
        f"sqlite:///{tmp_path}/gateway.db",
        b64encode(bytes(32)).decode(),
        b64encode(b"2" * 32).decode(),
    )
    cache = DescriptionCache(url, Keyring.read([first]))
    cache.add([description(project="secret-project")])
    await cache.save()
    cache.close()
    assert b"secret-project" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for keys, expected in (([second, first], 1), ([second], 0), ([], 0)):
        reader = DescriptionCache(url, Keyring.read(keys))
        await reader.load()
        assert len(reader) == expected, keys
        reader.close()
