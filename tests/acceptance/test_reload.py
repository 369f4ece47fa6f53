"""A policy that changes under a running Tocsin: taken into force whole, or refused loudly, and never forgotten."""

import re
import signal
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import STEP, World
from tests.processes import tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-reload")]


@pytest.fixture
def place(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[World]:
    place = World(tmp_path, pagerduty, slack, jira)
    place.tocsin.start()
    yield place
    if place.tocsin.process and place.tocsin.process.poll() is None:
        place.tocsin.stop()


def policy_of(place: World) -> str:
    try:
        return place.tocsin.http.get(f"{place.tocsin.url}/readyz").json()["policy"]
    except httpx.HTTPError:
        return ""  # the gateway is being started again


def reloads(place: World, outcome: str) -> float:
    figures = place.tocsin.http.get(f"{place.tocsin.url}/metrics").text
    found = re.search(rf'tocsin_policy_reloads_total{{outcome="{outcome}"}} (\S+)', figures)
    return float(found[1]) if found else 0.0


def test_a_policy_is_replaced_refused_and_looked_up_while_it_runs(place: World) -> None:
    run = place.tocsin
    first_text = place.policy.read_text()
    first = policy_of(place)
    old = run.open(place.alert())
    place.paged(old)

    # A good change comes into force; who is no longer named is still told about what was decided before.
    second_text = first_text.replace("[secondary, managers]", "[secondary]").replace(
        "model.slo.error_rate', tier: critical", "model.slo.error_rate', tier: critical, priority: P1"
    )
    second_text = re.sub(r"  managers: .*\n", "", second_text)
    assert second_text.count("managers") == 0
    place.policy.write_text(second_text)
    second = wait_for(lambda: now if (now := policy_of(place)) != first else "")
    wait_for(lambda: run.printed().count(f'"policy": "{second}"') == 2)  # gateway and worker
    new = run.until(run.open(place.alert()), lambda one: one["state"] == "notified")
    assert (new["decision"]["policy"], new["decision"]["priority"]) == (second, "P1")
    kept = run.incident(old)
    assert (kept["decision"]["policy"], kept["decision"]["priority"]) == (first, "")
    wait_for(lambda: place.pages(old, "managers"), STEP * 4)

    # A bad one is refused loudly, and the one before it decides on.
    place.policy.write_text(second_text.replace("tier: critical, priority", "teir: critical, priority"))
    refused = wait_for(lambda: now if "refused" in (now := policy_of(place)) else "")
    assert refused.startswith(f"{second}; a change is refused: policy.yaml:")
    assert "unknown key: did you mean tier?" in refused
    assert run.http.get(f"{run.url}/readyz").status_code == 200, "alerts are taken"
    assert reloads(place, "refused") == 1
    wait_for(lambda: run.printed().count("policy refused") == 2)  # gateway and worker
    still = run.until(run.open(place.alert()), lambda one: one["state"] == "notified")
    assert still["decision"]["policy"] == second

    # Whatever dies while the bad file lies there comes up again, and decides as it did.
    for child in [run.child(role) for role in ("worker", "gateway")]:
        child.kill()
    wait_for(lambda: "refused" in policy_of(place))
    after = run.until(run.open(place.alert()), lambda one: one["state"] == "notified", 60)
    assert after["decision"]["policy"] == second
    assert reloads(place, "refused") == 1, "counted anew since the start"

    # SIGHUP loads it again, changed or not.
    assert run.process
    run.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(place, "refused") == 2)
    place.policy.write_text(second_text)
    wait_for(lambda: policy_of(place) == second)
    run.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(place, "unchanged") == 1)

    # Whatever decided can be looked up, and compared on what came in.
    for text, digest in ((first_text, first), (second_text, second)):
        shown = tocsin("policy", "show", digest, environment=run.environment)
        assert (shown.returncode, shown.stdout) == (0, text), shown.stderr
    wait_for(lambda: len(tocsin("audit", "show", new["id"], environment=run.environment).stdout) > 100)
    digests = [digest.split("/")[0] for digest in (first, second)]
    compared = tocsin("policy", "diff", *digests, "--fail-on", "lost-pages", environment=run.environment)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "4 alerts of 4 incidents: 4 alerts are decided differently" in " ".join(compared.stdout.split())


def test_the_terminal_that_hangs_up_ends_it(place: World) -> None:
    """Here no terminal was there: SIGHUP asks for the policy, and Ctrl-C still ends everything."""
    assert place.tocsin.process
    place.tocsin.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(place, "unchanged") == 1)
    assert place.tocsin.stop() == 0
