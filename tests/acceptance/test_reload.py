"""A policy that changes while Tocsin runs: loaded whole, or rejected visibly, and kept for lookup."""

import re
import signal
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import AcceptanceHarness
from tests.processes import tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import wait_for

VIEWER = {"Authorization": "Bearer v-token"}
pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-reload")]


@pytest.fixture
def harness(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[AcceptanceHarness]:
    harness = AcceptanceHarness(tmp_path, pagerduty, slack, jira)
    harness.tocsin.start()
    yield harness
    harness.stop()


def policy_of(harness: AcceptanceHarness) -> str:
    try:
        return harness.tocsin.http.get(f"{harness.tocsin.url}/readyz", headers=VIEWER).json()["policy"]
    except httpx.HTTPError:
        return ""  # the gateway is restarting


def reloads(harness: AcceptanceHarness, outcome: str) -> float:
    metrics = harness.tocsin.http.get(f"{harness.tocsin.url}/metrics", headers=VIEWER).text
    found = re.search(rf'tocsin_policy_reloads_total{{outcome="{outcome}"}} (\S+)', metrics)
    return float(found[1]) if found else 0.0


def test_policy_is_reloaded_rejected_and_retrieved(harness: AcceptanceHarness) -> None:
    run = harness.tocsin
    first_text = harness.policy.read_text()
    first = policy_of(harness)
    old = run.open(harness.alert())
    harness.wait_for_page(old)

    # A valid change is loaded; incidents of the earlier policy keep their decision and its destinations.
    second_text = first_text.replace("[secondary, managers]", "[secondary]").replace(
        "model.slo.error_rate', tier: critical", "model.slo.error_rate', tier: critical, priority: P1"
    )
    second_text = re.sub(r"  managers: .*\n", "", second_text)
    assert second_text.count("managers") == 0
    harness.policy.write_text(second_text)
    second = wait_for(lambda: now if (now := policy_of(harness)) != first else "")
    wait_for(lambda: run.printed().count(f'"policy": "{second}"') == 2)  # gateway and worker
    new = run.until(run.open(harness.alert()), lambda one: one["state"] == "notified")
    assert (new["decision"]["policy"], new["decision"]["priority"]) == (second, "P1")
    earlier = run.incident(old)
    assert (earlier["decision"]["policy"], earlier["decision"]["priority"]) == (first, "")
    wait_for(lambda: harness.pages(old, "managers"))

    # An invalid change is rejected, and the policy in force stays.
    harness.policy.write_text(second_text.replace("tier: critical, priority", "teir: critical, priority"))
    rejected = wait_for(lambda: now if "rejected" in (now := policy_of(harness)) else "")
    assert rejected.startswith(f"{second}; a change is rejected: policy.yaml:")
    assert "unknown key: did you mean tier?" in rejected
    assert run.http.get(f"{run.url}/readyz").status_code == 200, "alerts are accepted"
    assert reloads(harness, "rejected") == 1
    wait_for(lambda: run.printed().count("policy_rejected") == 2)  # gateway and worker
    still = run.until(run.open(harness.alert()), lambda one: one["state"] == "notified")
    assert still["decision"]["policy"] == second

    # A process that is restarted while the file is invalid uses the last valid policy.
    for child in [run.child(role) for role in ("worker", "gateway")]:
        child.kill()
    wait_for(lambda: "rejected" in policy_of(harness))
    after = run.until(run.open(harness.alert()), lambda one: one["state"] == "notified")
    assert after["decision"]["policy"] == second
    assert reloads(harness, "rejected") == 1, "counted since the restart"

    # SIGHUP reloads it, changed or not.
    assert run.process
    run.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(harness, "rejected") == 2)
    harness.policy.write_text(second_text)
    wait_for(lambda: policy_of(harness) == second)
    run.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(harness, "unchanged") == 1)

    # Each policy that decided can be shown, and compared on the alerts that arrived.
    for text, digest in ((first_text, first), (second_text, second)):
        shown = tocsin("policy", "show", digest, environment=run.environment)
        assert (shown.returncode, shown.stdout) == (0, text), shown.stderr
    wait_for(lambda: len(tocsin("audit", "show", new["id"], environment=run.environment).stdout) > 100)
    digests = [digest.split("/")[0] for digest in (first, second)]
    compared = tocsin("policy", "diff", *digests, "--fail-on", "lost-pages", environment=run.environment)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "4 alerts of 4 incidents: 4 alerts are decided differently" in " ".join(compared.stdout.split())


def test_sighup_reloads_and_sigint_stops(harness: AcceptanceHarness) -> None:
    """Without a terminal, SIGHUP reloads the policy, and Ctrl-C still stops everything."""
    assert harness.tocsin.process
    harness.tocsin.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(harness, "unchanged") == 1)
    assert harness.tocsin.stop() == 0


def test_failing_condition_pages_and_is_shown(harness: AcceptanceHarness) -> None:
    """A rule before all others whose condition has no value for any alert: every alert is decided by it, in doubt."""
    run = harness.tocsin
    text = harness.policy.read_text()
    failing = "rules:\n  - {name: failing, tier: critical, when: 'int(alert.model) > 1'}\n"
    before = policy_of(harness)
    harness.policy.write_text(text.replace("rules:\n", failing, 1))
    digest = wait_for(lambda: now if (now := policy_of(harness)) != before else "")
    wait_for(lambda: run.printed().count(f'"policy": "{digest}"') == 2)  # gateway and worker
    opened = run.open({**harness.alert(), "metric": "nothing"})
    harness.wait_for_page(opened)
    decision = run.incident(opened)["decision"]
    assert (decision["rule"], decision["tier"]) == ("failing", "critical")
    assert decision["reason"] == "in doubt, because its condition cannot be evaluated: cannot convert string to int"
    wait_for(lambda: "rules.failing cannot be evaluated" in policy_of(harness))
    wait_for(lambda: "condition_failed" in run.printed())
