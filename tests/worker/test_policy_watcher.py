"""When a changed policy is loaded or rejected, and what a worker needs to start."""

import asyncio
import os
from pathlib import Path

import pytest

from integrations.base.open_destinations import OpenDestinations
from integrations.base.registry import destination_types
from policy import PolicyError, load_policy
from tests.policy.policies import BASE, NOW, RULES, an_alert
from worker.errors import StartError
from worker.policy_watcher import STATE_FILE, PolicyWatcher, fingerprint
from worker.settings import Settings, read_settings
from worker.worker import PolicyArchiver, run_worker

SECRETS = {"KEY": "k", "SLACK": "s", "U": "u", "T": "t"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "policy.yaml").write_text(BASE + RULES)
    return read_settings(
        {"TOCSIN_POLICY": str(tmp_path / "policy.yaml"), "TOCSIN_STATE_DIR": str(tmp_path / "state"), **SECRETS}
    )


async def test_policy_that_accept_refuses_is_rejected(settings: Settings) -> None:
    outcomes: list[str] = []
    destinations = OpenDestinations(settings.environment)
    watcher = PolicyWatcher(settings, accept=destinations.update, count=outcomes.append)
    before = watcher.policy
    chat = destinations["chat"]
    settings.policy.write_text((BASE + RULES).replace("{env: SLACK}", "{env: MISSING}"))
    await watcher.reload()
    assert watcher.current() is before
    assert "destination chat: token comes from MISSING, which is not set" in str(watcher.status())
    assert destinations["chat"] is chat
    settings.policy.write_text((BASE + RULES).replace('"#ops"', '"#other"'))
    await watcher.reload()
    assert str(watcher.status()) == watcher.policy.digest != before.digest
    assert destinations["chat"] is not chat, "a changed destination is opened again"
    assert outcomes == ["rejected", "loaded"]
    await destinations.close()


async def test_restoring_the_old_text_ends_the_rejection(settings: Settings) -> None:
    watcher = PolicyWatcher(settings)
    settings.policy.write_text("version: 2\n")
    await watcher.reload()
    assert watcher.status().rejected
    settings.policy.write_text(BASE + RULES)
    await watcher.reload()
    assert not watcher.status().rejected


async def test_start_with_invalid_file_uses_last_policy(settings: Settings, tmp_path: Path) -> None:
    good = PolicyWatcher(settings).policy
    settings.policy.write_text("version: 2\n")
    outcomes: list[str] = []
    restarted = PolicyWatcher(settings, count=outcomes.append)
    assert restarted.policy.digest == good.digest
    assert "version: found 2" in str(restarted.status())
    assert outcomes == ["rejected"]
    other = tmp_path / "another.yaml"
    other.write_text("version: 2\n")
    with pytest.raises(PolicyError):  # this file was never in force
        PolicyWatcher(read_settings({**settings.environment, "TOCSIN_POLICY": str(other)}))
    (settings.state_dir / STATE_FILE).write_text("{")
    with pytest.raises(PolicyError):
        PolicyWatcher(settings)


async def test_long_list_of_problems_is_shortened(settings: Settings) -> None:
    watcher = PolicyWatcher(settings)
    settings.policy.write_text(BASE + "a: 1\nb: 1\nc: 1\nd: 1\n")
    await watcher.reload()
    assert watcher.status().rejected.endswith("(and 1 more)")


async def test_files_are_loaded_when_they_are_stable(settings: Settings) -> None:
    outcomes: list[str] = []
    watcher = PolicyWatcher(settings, count=outcomes.append)
    first = watcher.policy.digest
    watching = asyncio.create_task(watcher.watch())
    for turn in range(6):  # an editor writes it in pieces, for longer than two polls
        settings.policy.write_text((BASE + RULES)[: 400 + turn * 10])
        await asyncio.sleep(0.4)
    assert outcomes == []
    settings.policy.write_text(BASE + RULES + "# changed\n")
    async with asyncio.timeout(60):
        while watcher.policy.digest == first:
            await asyncio.sleep(0.05)
    assert outcomes == ["loaded"]
    watching.cancel()


def test_fingerprint_follows_files_and_links(tmp_path: Path) -> None:
    """The files of a mounted ConfigMap are links into a folder that is replaced as a whole."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text("version: 1\n")
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "policy.yaml").symlink_to("data/policy.yaml")
    before = fingerprint(tmp_path / "policy.yaml")
    assert fingerprint(tmp_path / "policy.yaml") == before
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "data")
    after = fingerprint(tmp_path / "policy.yaml")
    assert after != before
    (tmp_path / "policy.yaml").unlink()
    assert fingerprint(tmp_path / "policy.yaml") not in {before, after}


async def test_missing_secret_stops_worker_without_console_fallback(settings: Settings, tmp_path: Path) -> None:
    environment = {key: value for key, value in settings.environment.items() if key not in {"KEY", "T"}}
    with pytest.raises(StartError) as stopped:
        await run_worker(read_settings(environment))
    assert str(stopped.value) == (
        "destination pager: routing_key comes from KEY, which is not set\n"
        "destination work: token comes from T, which is not set\n"
        "set it, or TOCSIN_CONSOLE_FALLBACK=yes to print there instead"
    )
    allowed = PolicyWatcher(read_settings({**environment, "TOCSIN_CONSOLE_FALLBACK": "yes"}))
    assert allowed.missing_secrets == {"pager": "KEY", "work": "T"}
    assert allowed.policy.destinations["pager"].type == "console"


async def test_policy_is_archived_when_database_recovers(settings: Settings, tmp_path: Path) -> None:
    from audit import PolicyArchive

    folder = tmp_path / "later"
    url = f"sqlite:///{folder}/audit.db"
    folder.write_text("in the way")
    archiver = PolicyArchiver(url)
    running = asyncio.create_task(archiver.run())
    archiver.add(load_policy(settings.policy, destination_types()).source)
    await asyncio.sleep(0.3)
    folder.unlink()
    async with asyncio.timeout(60):
        while not folder.is_dir() or not PolicyArchive(url).all():
            await asyncio.sleep(0.05)
    running.cancel()


def test_invalid_policy_starts_nothing(settings: Settings) -> None:
    settings.policy.write_text("version: 2\n")
    with pytest.raises(PolicyError):
        asyncio.run(run_worker(settings))


FAILING_RULE = "  - {name: failing, tier: critical, when: 'int(alert.monitor) > 1'}\n  - {name: errors,"


async def test_failing_condition_is_counted_and_shown(settings: Settings) -> None:
    settings.policy.write_text((BASE + RULES).replace("  - {name: errors,", FAILING_RULE))
    places: list[str] = []
    watcher = PolicyWatcher(settings, count_failure=places.append)
    assert str(watcher.status()) == watcher.policy.digest
    decision = watcher.current().decide(an_alert(metric="none"), NOW)
    assert (decision.rule, decision.tier) == ("failing", "critical")
    assert places == ["rules.failing"]
    assert "rules.failing cannot be evaluated: cannot convert string to int" in str(watcher.status())
    settings.policy.write_text(BASE + RULES)
    await watcher.reload()
    assert str(watcher.status()) == watcher.policy.digest, "another policy begins without failures"
