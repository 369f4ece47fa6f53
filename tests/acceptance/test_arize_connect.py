"""From an API key to a tested page: ``tocsin up``, ``tocsin arize connect``, a click, and a monitor that triggers."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.processes import Tocsin, tocsin
from tests.vendors import ArizeTenant, Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, write_policy
from tests.waiting import wait_for
from worker.bootstrap import ARIZE_SECRET

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-arize-connect")]


@pytest.fixture
def running(
    tmp_path: Path, arize_tenant: ArizeTenant, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> Generator[Tocsin]:
    """``tocsin up`` with the secret that its first start generated. Arize is not polled: only webhooks page."""
    policy = tmp_path / "policy.yaml"
    write_policy(policy, pagerduty, slack, jira)
    found = Tocsin(tmp_path, policy, 60, **SECRETS, **arize_tenant.environment, TOCSIN_RECONCILE_INTERVAL="off")
    del found.environment["ARIZE_WEBHOOK_SECRET"]
    found.start()
    found.environment["TOCSIN_PUBLIC_URL"] = found.url
    try:
        yield found
    finally:
        if found.process and found.process.poll() is None:
            found.stop()


def test_connected_tenant_pages_by_signed_webhook(
    running: Tocsin, arize_tenant: ArizeTenant, pagerduty: PagerDuty
) -> None:
    metric = arize_tenant.add_custom_metric(
        "Error Rate", "SELECT 1 FROM model", project_id=arize_tenant.project("chatbot")["id"]
    )
    monitor = arize_tenant.add_monitor(
        project="chatbot",
        name="failures",
        type="CUSTOM_METRIC",
        custom_metric_id=metric["id"],
        threshold={"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.05},
    )
    connected = tocsin("arize", "connect", "--yes", environment=running.environment)
    assert connected.returncode == 0, connected
    assert "accepts the signature" in connected.stdout
    assert "Arize reaches the gateway" in connected.stdout
    assert monitor["uri"] in connected.stdout
    (webhook,) = arize_tenant.state.webhooks.oldest()
    secret = arize_tenant.state.webhook_secrets[webhook["id"]]
    file = Path(running.environment["TOCSIN_STATE_DIR"]) / ARIZE_SECRET
    assert file.read_text().startswith(f"{secret},"), "the generated secret stays valid for `tocsin send`"
    assert file.stat().st_mode & 0o077 == 0

    arize_tenant.attach_webhook(monitor["id"], webhook["id"])  # the click that no API makes
    (delivery,) = arize_tenant.evaluate(monitor["id"], 0.31, body="poke")
    assert delivery.wait()["status_code"] == 202, delivery.answers
    incident = json.loads(delivery.answers[-1])["incident"]
    (page,) = wait_for(lambda: pagerduty.about(incident, "trigger", SECRETS["PRIMARY"]), describe=running.last_output)
    assert "error_rate 31 %" in page.body["payload"]["summary"]

    again = tocsin("arize", "connect", "--yes", "--format", "json", environment=running.environment)
    assert again.returncode == 0, again
    found = json.loads(again.stdout)
    assert (found["webhook"]["action"], found["monitors"][0]["attached"]) == ("found", True)
    (shown,) = found["deliveries"]
    assert (shown["decision"]["tier"], shown["decision"]["rule"]) == ("critical", "errors")
    checked = tocsin("arize", "doctor", environment=running.environment)
    assert checked.returncode == 0, checked
    covered = tocsin("arize", "coverage", "--fail-on", "unmapped,unnotified", environment=running.environment)
    assert covered.returncode == 0, covered
    for output in (connected, again, checked, covered):
        assert secret not in output.stdout + output.stderr
    assert secret not in running.printed()


def test_replaced_secret_counts_also_after_gateway_is_killed(running: Tocsin, arize_tenant: ArizeTenant) -> None:
    def delivered() -> int | None:
        (webhook,) = arize_tenant.state.webhooks.oldest()
        return arize_tenant.webhooks.send(webhook["id"], "webhook.test", {"event": "webhook.test"}).wait()[
            "status_code"
        ]

    connect = ("arize", "connect", "--yes", "--no-test")
    assert tocsin(*connect, environment=running.environment).returncode == 0
    assert delivered() == 202
    old = Path(running.environment["TOCSIN_STATE_DIR"], ARIZE_SECRET).read_text().split(",")[0]
    assert tocsin(*connect, "--recreate", environment=running.environment).returncode == 0
    assert delivered() == 202
    gateway = running.child("gateway")
    gateway.kill()
    wait_for(lambda: not gateway.is_running(), describe=running.last_output)
    running.wait_until_ready()
    assert delivered() == 202
    (webhook,) = arize_tenant.state.webhooks.oldest()
    arize_tenant.state.webhook_secrets[webhook["id"]] = old
    assert delivered() == 401, "a webhook that was recreated leaves no valid secret behind"
