"""Deliveries that nothing can read, through crashes, until a mapping reads them; and changes that CI/CD reports."""

import json
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from integrations.base.signatures import standard_webhooks_key
from tests.acceptance.conftest import AcceptanceHarness
from tests.processes import tocsin as run
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-intake")]

ROOT = Path(__file__).resolve().parents[2]
CHANGES_SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBhY2NlcHRhbmNlIHRlc3Rz"
MAPPING = """
intake:
  mappings:
    - name: detector-format
      when: has(payload.detector)
      alert:
        monitor: payload.detector.title
        metric: payload.detector.metric
        value: payload.observed / 100.0
        model: payload.service
        environment: '"production"'
"""


@pytest.fixture
def harness(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[AcceptanceHarness]:
    """Processes that other tests do not use, so that a test may kill them."""
    harness = AcceptanceHarness(tmp_path, pagerduty, slack, jira)
    harness.tocsin.environment["TOCSIN_CHANGES_SECRET"] = CHANGES_SECRET
    harness.tocsin.start()
    yield harness
    harness.stop()


def detection(title: str, observed: float = 31.0) -> dict[str, Any]:
    return {"detector": {"title": title, "metric": "error_rate"}, "observed": observed, "service": "chatbot"}


def cli(harness: AcceptanceHarness, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**harness.tocsin.environment, "TOCSIN_GATEWAY_URL": harness.tocsin.url}
    return run(*arguments, environment=environment)


def cli_json(harness: AcceptanceHarness, *arguments: str) -> Any:
    done = cli(harness, *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_gateway(harness: AcceptanceHarness) -> None:
    """kill -9, and wait until its supervisor has started another."""
    tocsin = harness.tocsin
    before = tocsin.printed().count("gateway ended unexpectedly")
    gateway = tocsin.child("gateway")
    gateway.kill()
    gateway.wait(SLOW_MACHINE)
    wait_for(lambda: tocsin.printed().count("gateway ended unexpectedly") > before, describe=tocsin.last_output)
    tocsin.wait_until_ready()


def replay_in_background(harness: AcceptanceHarness) -> subprocess.Popen[bytes]:
    headers = ("-H", "Authorization: Bearer r-token", "-H", "Content-Type: application/json")
    url = f"{harness.tocsin.url}/api/quarantine/replay"
    return subprocess.Popen(["curl", "-s", "-X", "POST", "-d", "{}", *headers, url], stdout=subprocess.DEVNULL)


def test_quarantined_deliveries_page_once_after_mapping(harness: AcceptanceHarness) -> None:
    """kill -9 after the 202, and again while the replay runs: each delivery becomes one page about what it says."""
    tocsin = harness.tocsin
    titles = [f"Detector {letter}" for letter in "ABCD"]
    answers = [tocsin.send(detection(title), f"evt-{title}") for title in titles]
    assert {(answer.status_code, answer.json()["state"]) for answer in answers} == {(202, "quarantined")}
    reporting = {answer.json()["incident"] for answer in answers}
    assert len(reporting) == 1
    kill_gateway(harness)
    reporting_incident = reporting.pop()
    tocsin.until(reporting_incident, lambda one: one["alert_count"] == 4 and one["receipts"])
    assert harness.pages(reporting_incident) == [], "the policy posts what nothing can read, and pages nobody"
    post = wait_for(lambda: [one for one in harness.slack.requests if "unreadable deliveries" in json.dumps(one.body)])[
        0
    ]
    command = re.search(r"tocsin intake show (q-\w+)", json.dumps(post.body))
    assert command, post.body

    shown = cli(harness, "intake", "show", command[1])
    assert shown.returncode == 0, shown.stderr
    assert "no monitor was found" in shown.stdout
    assert '"title": "Detector' in shown.stdout
    refused = cli(harness, "intake", "replay")
    assert (refused.returncode, "unreadable" in refused.stdout) == (1, True)

    harness.policy.write_text(harness.policy.read_text() + MAPPING)
    wait_for(lambda: "policy_loaded" in tocsin.printed(), describe=tocsin.last_output)
    replaying = replay_in_background(harness)
    kill_gateway(harness)
    replaying.wait(SLOW_MACHINE)
    results = cli_json(harness, "intake", "replay")["results"]
    wait_for(lambda: cli_json(harness, "intake", "list")["waiting"] == 0)
    listed = cli_json(harness, "intake", "list", "--all")["deliveries"]
    assert len(listed) == 4
    incidents = {one["replayed"]["incident"] for one in listed}
    assert len(incidents) == 4
    assert {one["incident"] for one in results} <= incidents
    for incident in incidents:
        harness.wait_for_page(incident)
        one = tocsin.until(incident, lambda one: one["state"] == "notified")
        assert (one["alert_count"], one["alert"]["value"], one["model"], one["rule"]) == (1, 0.31, "chatbot", "errors")
        assert len(harness.pages(incident, "primary")) == 1
    tocsin.until(reporting_incident, lambda one: one["state"] == "closed")
    again = cli(harness, "intake", "replay")
    assert (again.returncode, again.stdout) == (0, "Nothing waits for a replay.\n")
    assert tocsin.send(detection("Detector E"), "evt-E").json()["state"] == "started", "the mapping reads it at once"


def test_quarantine_through_outage_of_temporal(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    server = tocsin.child("server")
    server.suspend()
    try:
        answer = tocsin.send(detection("Detector in an outage"), "evt-outage")
        assert (answer.status_code, answer.json()["state"]) == (202, "quarantined")
        kill_gateway(harness)
    finally:
        server.resume()
    one = tocsin.until(answer.json()["incident"], lambda one: one["receipts"])
    assert (one["alert_count"], one["rule"]) == (1, "unreadable")


def test_snippet_for_github_actions_reports_deploy(harness: AcceptanceHarness) -> None:
    """The step of docs/changes.md, as a runner executes it."""
    page = (ROOT / "docs" / "changes.md").read_text(encoding="utf-8")
    (step,) = yaml.safe_load(re.findall(r"```yaml\n(- name: Report.*?)```", page, re.DOTALL)[0])
    environment = {
        **{key: str(value) for key, value in step["env"].items()},
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TOCSIN_PUBLIC_URL": harness.tocsin.url,
        "TOCSIN_CHANGES_SECRET": CHANGES_SECRET,
        "GITHUB_SHA": "0f3a9c",
        "GITHUB_ACTOR": 'o"brien',
        "GITHUB_REPOSITORY": "acme/chatbot",
        "GITHUB_REPOSITORY_ID": "42",
        "GITHUB_REF_NAME": "main",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "1001",
        "GITHUB_RUN_ATTEMPT": "1",
    }
    assert len(standard_webhooks_key(CHANGES_SECRET)) >= 24
    for state in ("recorded", "known"):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["state"] == state
    (change,) = cli_json(harness, "changes", "--model", "Support-Chatbot", "--environment", "production")["changes"]
    assert (change["kind"], change["version"], change["by"]) == ("deploy", "0f3a9c", 'o"brien')
    assert change["link"] == "https://github.com/acme/chatbot/actions/runs/1001"
    listed = cli(harness, "changes", "--since", "1h")
    assert "Deploy of acme/chatbot, main" in listed.stdout, listed.stderr
    forged = {**environment, "TOCSIN_CHANGES_SECRET": "whsec_" + "Zm9yZ2VkIHNlY3JldCBmb3JnZWQgc2VjcmV0"}
    done = subprocess.run(["bash", "-c", step["run"]], env=forged, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "does not match" in done.stdout) == (22, True), done.stdout + done.stderr
