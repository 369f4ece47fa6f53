"""When a changed policy is loaded, and when not; and what a worker needs to start."""

import asyncio
import os
from pathlib import Path

import pytest

from activities.destinations import OpenDestinations, destination_types
from policy import PolicyError, load_policy
from tests.policy.policies import BASE, RULES
from worker.errors import StartError
from worker.policy_in_force import IN_FORCE, PolicyInForce, stamp
from worker.settings import Settings, read_settings
from worker.worker_role import PolicyKeeper, run_worker

SECRETS = {"KEY": "k", "SLACK": "s", "U": "u", "T": "t"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "policy.yaml").write_text(BASE + RULES)
    return read_settings(
        {"TOCSIN_POLICY": str(tmp_path / "policy.yaml"), "TOCSIN_STATE_DIR": str(tmp_path / "state"), **SECRETS}
    )


async def test_what_accept_refuses_does_not_come_into_force(settings: Settings) -> None:
    outcomes: list[str] = []
    destinations = OpenDestinations(settings.environment, "")
    in_force = PolicyInForce(settings, accept=destinations.take, count=outcomes.append)
    before = in_force.policy
    chat = destinations["chat"]
    settings.policy.write_text((BASE + RULES).replace("{env: SLACK}", "{env: MISSING}"))
    await in_force.reload()
    assert in_force.current() is before
    assert "destination chat: token is to come from MISSING, which is not set" in str(in_force.standing())
    assert destinations["chat"] is chat
    settings.policy.write_text((BASE + RULES).replace('"#ops"', '"#other"'))
    await in_force.reload()
    assert str(in_force.standing()) == in_force.policy.digest != before.digest
    assert destinations["chat"] is not chat, "a changed destination is opened anew"
    assert outcomes == ["refused", "loaded"]
    await destinations.close()


async def test_going_back_to_the_old_text_ends_the_refusal(settings: Settings) -> None:
    in_force = PolicyInForce(settings)
    settings.policy.write_text("version: 2\n")
    await in_force.reload()
    assert in_force.standing().refused
    settings.policy.write_text(BASE + RULES)
    await in_force.reload()
    assert not in_force.standing().refused


async def test_a_start_that_finds_a_bad_file_goes_on_with_the_last_good_one(settings: Settings, tmp_path: Path) -> None:
    good = PolicyInForce(settings).policy
    settings.policy.write_text("version: 2\n")
    outcomes: list[str] = []
    again = PolicyInForce(settings, count=outcomes.append)
    assert again.policy.digest == good.digest
    assert "version: found 2" in str(again.standing())
    assert outcomes == ["refused"]
    other = tmp_path / "another.yaml"
    other.write_text("version: 2\n")
    with pytest.raises(PolicyError):  # another file was never in force
        PolicyInForce(read_settings({**settings.environment, "TOCSIN_POLICY": str(other)}))
    (settings.state_dir / IN_FORCE).write_text("{")
    with pytest.raises(PolicyError):
        PolicyInForce(settings)


async def test_a_long_list_of_problems_is_cut_where_it_is_shown(settings: Settings) -> None:
    in_force = PolicyInForce(settings)
    settings.policy.write_text(BASE + "a: 1\nb: 1\nc: 1\nd: 1\n")
    await in_force.reload()
    assert in_force.standing().refused.endswith("(and 1 more)")


async def test_files_are_loaded_once_they_have_settled(settings: Settings) -> None:
    outcomes: list[str] = []
    in_force = PolicyInForce(settings, count=outcomes.append)
    first = in_force.policy.digest
    watching = asyncio.create_task(in_force.watch())
    for turn in range(6):  # somebody writes it, piece by piece, for longer than two looks
        settings.policy.write_text((BASE + RULES)[: 400 + turn * 10])
        await asyncio.sleep(0.4)
    assert outcomes == []
    settings.policy.write_text(BASE + RULES + "# changed\n")
    async with asyncio.timeout(10):
        while in_force.policy.digest == first:
            await asyncio.sleep(0.05)
    assert outcomes == ["loaded"]
    watching.cancel()


def test_a_stamp_changes_with_the_files_and_with_what_links_lead_to(tmp_path: Path) -> None:
    """As in a mounted ConfigMap, whose files are links into a folder that is replaced whole."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text("version: 1\n")
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "policy.yaml").symlink_to("data/policy.yaml")
    before = stamp(tmp_path / "policy.yaml")
    assert stamp(tmp_path / "policy.yaml") == before
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "data")
    after = stamp(tmp_path / "policy.yaml")
    assert after != before
    (tmp_path / "policy.yaml").unlink()
    assert stamp(tmp_path / "policy.yaml") not in {before, after}


async def test_a_worker_does_not_start_without_a_secret_unless_the_console_may_stand_in(
    settings: Settings, tmp_path: Path
) -> None:
    environment = {key: value for key, value in settings.environment.items() if key not in {"KEY", "T"}}
    with pytest.raises(StartError) as refused:
        await run_worker(read_settings(environment))
    assert str(refused.value) == (
        "destination pager: routing_key is to come from KEY, which is not set\n"
        "destination work: token is to come from T, which is not set\n"
        "set it, or TOCSIN_CONSOLE_FALLBACK=yes to print there instead"
    )
    allowed = PolicyInForce(read_settings({**environment, "TOCSIN_CONSOLE_FALLBACK": "yes"}))
    assert allowed.lacking == {"pager": "KEY", "work": "T"}
    assert allowed.policy.destinations["pager"].type == "console"


async def test_a_policy_is_kept_as_soon_as_the_database_can_be_reached(settings: Settings, tmp_path: Path) -> None:
    from audit import KeptPolicies

    folder = tmp_path / "later"
    url = f"sqlite:///{folder}/audit.db"
    folder.write_text("in the way")
    keeper = PolicyKeeper(url)
    running = asyncio.create_task(keeper.run())
    keeper.keep(load_policy(settings.policy, destination_types()).source)
    await asyncio.sleep(0.3)
    folder.unlink()
    async with asyncio.timeout(10):
        while not folder.is_dir() or not KeptPolicies(url).all():
            await asyncio.sleep(0.05)
    running.cancel()


def test_a_policy_that_does_not_load_starts_nothing(settings: Settings) -> None:
    settings.policy.write_text("version: 2\n")
    with pytest.raises(PolicyError):
        asyncio.run(run_worker(settings))
