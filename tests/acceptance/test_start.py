"""Starting: without any configuration, on an existing cluster, and the cases in which it must not start."""

import subprocess
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit import AuditLog, NewRecord
from tests import DEV_SERVER
from tests.ports import unused_port
from tests.processes import Tocsin, tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, write_policy
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-start")]


@pytest.fixture
def bare(tmp_path: Path) -> Generator[Tocsin]:
    """Without configuration: the shipped policy, no vendor's secret, no tokens."""
    bare = Tocsin(tmp_path, None, 60)
    for name in ("ARIZE_WEBHOOK_SECRET", "PAGERDUTY_WEBHOOK_SECRET", "TOCSIN_API_TOKENS", "TOCSIN_TOKEN"):
        del bare.environment[name]
    yield bare
    if bare.process and bare.process.poll() is None:
        bare.stop()


def test_first_start_prints_messages_on_terminal(bare: Tocsin) -> None:
    bare.start()
    printed = bare.printed()
    for line in (
        f"Gateway        {bare.url}",
        "Temporal UI    http://127.0.0.1:",
        "policies/tocsin.yaml (",
        "The console replaces destinations that lack a secret:",
        "ai-primary: PAGERDUTY_PRIMARY_KEY",
        "compliance: JIRA_USER, JIRA_TOKEN",
        "ARIZE_WEBHOOK_SECRET is not set: using",
    ):
        assert line in printed, printed
    sent = tocsin("send", "critical", environment=bare.environment)
    assert (sent.returncode, sent.stdout[:4]) == (0, "202 "), sent.stderr
    wait_for(lambda: "CRITICAL support-chatbot error_rate 31 % (limit 5 %)" in bare.printed())
    listed = tocsin("incidents", "list", environment=bare.environment)
    assert "critical" in listed.stdout, listed.stderr
    unsigned = bare.http.post(f"{bare.url}/webhooks/arize", json={"monitor_name": "m"})
    assert unsigned.status_code == 401, "even a first start needs a signature"
    for secret in (Path(bare.environment["TOCSIN_STATE_DIR"])).glob("*secret"):
        assert secret.stat().st_mode & 0o077 == 0


def test_separate_worker_and_gateway_on_existing_cluster(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    policy = tmp_path / "policy.yaml"
    write_policy(policy, pagerduty, slack, jira)
    port = unused_port()
    command = [DEV_SERVER, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    cluster = subprocess.Popen([*command, "--log-level", "never"], stdout=subprocess.DEVNULL)
    settings = {**SECRETS, "TEMPORAL_ADDRESS": f"127.0.0.1:{port}"}
    worker = Tocsin(tmp_path / "worker", policy, 1.0, **settings)
    gateway = Tocsin(tmp_path / "gateway", policy, 1.0, **settings)
    try:
        worker.start("worker")
        gateway.start("gateway")
        alert = {"monitor_name": "separate", "metric": "error_rate", "metric_value": 0.3, "model": "chatbot"}
        incident = wait_for(lambda: gateway.send(alert).json().get("incident"))
        gateway.until(incident, lambda one: one["state"] == "notified")
        assert len(pagerduty.events("trigger")) == 1
        assert worker.stop() == 0
        cluster.kill()
        acked = tocsin("incidents", "ack", incident, "--by", "bob", environment=gateway.environment)
        assert (acked.returncode, acked.stdout.startswith(f"{incident}: spooled. ")) == (0, True), acked
        assert gateway.stop() == 0
    finally:
        for role in (worker, gateway):
            if role.process and role.process.poll() is None:
                role.process.kill()
        cluster.kill()
        cluster.wait()


def test_gateway_without_authentication_does_not_start(bare: Tocsin) -> None:
    failed = tocsin("gateway", environment=bare.environment)
    assert failed.returncode == 1
    assert "set ARIZE_WEBHOOK_SECRET or ARIZE_WEBHOOK_TOKEN" in failed.stderr
    assert "--insecure" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_invalid_policy_prevents_start_and_names_place(bare: Tocsin, tmp_path: Path) -> None:
    policy = tmp_path / "bad.yaml"
    policy.write_text("version: 1\ntiers: {}\nrulez: []\n")
    for command in (["up"], ["worker"], ["policy", "check"]):
        failed = tocsin(*command, environment={**bare.environment, "TOCSIN_POLICY": str(policy)})
        assert failed.returncode == 1
        assert "bad.yaml:3:1: rulez: unknown key: did you mean rules?" in failed.stderr
        assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("role", ["up", "worker"])
def test_missing_secret_without_console_fallback_prevents_start(bare: Tocsin, role: str) -> None:
    failed = tocsin(role, environment={**bare.environment, "TOCSIN_CONSOLE_FALLBACK": "no"})
    assert failed.returncode == 1
    assert "destination ai-primary" in failed.stderr
    assert "PAGERDUTY_PRIMARY_KEY" in failed.stderr
    assert "TOCSIN_CONSOLE_FALLBACK" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("TOCSIN_PORT", "many", "TOCSIN_PORT is 'many'; it must be a whole number from 0 to 65535"),
        ("TOCSIN_PORT", "70000", "TOCSIN_PORT is '70000'; it must be a whole number from 0 to 65535"),
        ("TOCSIN_CONSOLE_FALLBACK", "maybe", "TOCSIN_CONSOLE_FALLBACK is 'maybe'; it must be yes or no"),
        ("TOCSIN_SPEED", "0", "TOCSIN_SPEED is '0'; it must be a number from 0.001 to 100000"),
        ("TOCSIN_API_TOKENS", "/nowhere", "/nowhere cannot be read"),
    ],
)
def test_invalid_setting_is_named(bare: Tocsin, setting: str, value: str, message: str) -> None:
    environment = {**bare.environment, "ARIZE_WEBHOOK_TOKEN": "t", setting: value}
    failed = tocsin("gateway", environment=environment)
    assert (failed.returncode, message in failed.stderr) == (1, True), failed.stderr
    assert "Traceback" not in failed.stderr


def test_shipped_policy_is_valid(bare: Tocsin) -> None:
    checked = tocsin("policy", "check", environment=bare.environment)
    assert checked.returncode == 0
    assert "good; 19 rules, 14 destinations" in checked.stdout


def test_edited_export_fails_verification(tmp_path: Path, bare: Tocsin) -> None:
    log = AuditLog(f"sqlite:///{bare.environment['TOCSIN_STATE_DIR']}/audit.db")
    now = datetime.now(UTC)
    log.append([[NewRecord("incident-a", "run", str(n), now, "received", "tocsin", f"text {n}", {}) for n in range(3)]])
    log.close()
    export = tmp_path / "export.jsonl"
    assert tocsin("audit", "export", str(export), environment=bare.environment).returncode == 0
    assert tocsin("audit", "verify", str(export), environment=bare.environment).returncode == 0
    export.write_text(export.read_text().replace("text 1", "text I"))
    edited = tocsin("audit", "verify", str(export), environment=bare.environment)
    assert (edited.returncode, "incident-a record 2: the record does not match its hash" in edited.stderr) == (1, True)
    export.write_text(export.read_text() + "{}\n")
    assert "export.jsonl:4: not a record" in tocsin("audit", "verify", str(export), environment=bare.environment).stderr
