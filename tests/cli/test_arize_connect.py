"""``tocsin arize connect`` against a tenant: what it creates, keeps, tests and shows, also after an interruption."""

import json
from typing import Any

import pytest

from tests.cli.connect_harness import ConnectHarness
from tests.vendors.server import Fault
from worker.bootstrap import ARIZE_SECRET
from worker.webhook_secret import PENDING


def test_connect_creates_webhook_and_keeps_secret(commands: ConnectHarness) -> None:
    result = commands.run("connect", "--yes")
    assert result.exit_code == 0, result.output
    webhook = commands.webhook()
    assert (webhook["name"], webhook["auth_type"], webhook["url"]) == (
        "tocsin",
        "HMAC_SHA256",
        commands.gateway.webhook_url,
    )
    assert commands.kept == [commands.tenant.state.webhook_secrets[webhook["id"]]]
    assert (commands.state / ARIZE_SECRET).stat().st_mode & 0o777 == 0o600
    assert not (commands.state / PENDING).exists()
    assert "accepts the signature" in result.stdout
    assert "Arize reaches the gateway" in result.stdout
    assert "attached to 0 of 8 monitors" in result.stdout
    for monitor in commands.tenant.state.monitors.oldest():
        assert f"  {monitor['name']}: attach the webhook\n    {monitor['uri']}\n" in result.stdout


def test_second_connect_changes_nothing(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    before, webhook = commands.changes(), commands.webhook()
    result = commands.run("connect", "--yes", "--no-test")
    assert result.exit_code == 0
    assert "exists, and its signing secret is known here" in result.output
    assert (commands.changes(), commands.webhook()) == (before, webhook)


def test_dry_run_changes_nothing(commands: ConnectHarness) -> None:
    result = commands.run("connect", "--dry-run")
    assert result.exit_code == 0
    assert "Would create the webhook 'tocsin' in Acme" in result.output
    assert "Would let Arize test the address" in result.output
    assert (commands.changes(), commands.kept, list(commands.state.glob("*"))) == ([], [], [])


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_nothing_is_created_without_a_yes(commands: ConnectHarness, answer: str) -> None:
    result = commands.run("connect", answer=answer)
    assert result.exit_code == 1
    assert "Create the webhook 'tocsin' in Acme" in result.output
    assert (commands.changes(), commands.kept) == ([], [])


def test_person_may_decline_the_test_only(commands: ConnectHarness) -> None:
    result = commands.run("connect", answer="y\nn\n")
    assert result.exit_code == 0
    assert commands.changes() == ["POST /v2/webhooks"]
    assert "Arize reaches the gateway" not in result.output


# ── The tenant ──────────────────────────────────────────────────────────────────────────────────────────────


def test_several_organizations_need_a_choice(commands: ConnectHarness) -> None:
    state = commands.tenant.state
    other = state.organizations.add({"name": "Labs", "created_at": "2026-01-01T00:00:00.000000Z"})
    space = state.add_space("Research", other["id"])
    result = commands.run("connect", "--yes")
    assert result.exit_code == 2
    assert "choose it with --organization" in result.stderr
    assert f"Labs ({other['id']})" in result.stderr
    assert commands.changes() == []
    assert commands.json("connect", "--yes", "--no-test", "--organization", "labs")["organization"]["name"] == "Labs"
    assert commands.json("connect", "--yes", "--no-test", "--space", space["id"])["spaces"][0]["name"] == "Research"
    unknown = commands.run("connect", "--yes", "--space", "nope")
    assert unknown.exit_code == 2
    assert "there is no space 'nope'" in unknown.stderr
    assert f"Research ({space['id']})" in unknown.stderr
    state.add_space("Models", other["id"])
    ambiguous = commands.run("connect", "--yes", "--space", "Models")
    assert (ambiguous.exit_code, "several spaces have the name 'Models'" in ambiguous.stderr) == (2, True)


def test_every_page_of_monitors_is_listed(commands: ConnectHarness) -> None:
    for number in range(120):
        commands.tenant.add_monitor(project="support-chatbot", name=f"monitor {number}")
    assert len(commands.json("connect", "--dry-run")["monitors"]) == 128


def test_unknown_monitor_and_address_are_refused(commands: ConnectHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = commands.run("connect", "--yes", "--monitor", "nope")
    assert unknown.exit_code == 2
    assert "slow answers" in unknown.stderr
    for url in ("ftp://x/webhooks/arize", "https://tocsin.example.com/", "nonsense"):
        assert commands.run("connect", "--yes", "--url", url).exit_code == 2
    monkeypatch.delenv("TOCSIN_PUBLIC_URL")
    result = commands.run("connect", "--yes")
    assert (result.exit_code, "set TOCSIN_PUBLIC_URL" in result.stderr) == (2, True)
    assert commands.changes() == []


def test_missing_key_is_named(commands: ConnectHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARIZE_API_KEY")
    for command in ("connect", "coverage", "draft", "doctor"):
        result = commands.run(command)
        assert (result.exit_code, "set ARIZE_API_KEY" in result.stderr) == (2, True), command


@pytest.mark.parametrize("fault", ["unauthorized", "permission_denied", "outage", "wrong_json", "html"])
def test_fault_of_arize_ends_connect_without_change(commands: ConnectHarness, fault: str) -> None:
    getattr(commands.tenant.rest, fault)()
    result = commands.run("connect", "--yes")
    assert result.exit_code == 2
    assert result.stderr.startswith("tocsin: ")
    assert "Arize" in result.stderr
    commands.tenant.rest.recover()
    assert (commands.changes(), commands.kept) == ([], [])


def test_rate_limit_is_obeyed(commands: ConnectHarness) -> None:
    commands.tenant.rest.rate_limited(0.2, times=2)
    assert commands.run("connect", "--yes", "--no-test").exit_code == 0
    assert commands.kept


# ── Tests and deliveries ────────────────────────────────────────────────────────────────────────────────────


def test_gateway_without_the_secret_fails_the_test(commands: ConnectHarness) -> None:
    commands.gateway.secrets = lambda: ("another",)
    result = commands.run("connect", "--yes")
    assert result.exit_code == 1
    assert "refuses the signature" in result.stdout
    assert "ARIZE_WEBHOOK_SECRET" in result.stdout


def test_unreachable_gateway_fails_arizes_test(commands: ConnectHarness) -> None:
    result = commands.run("connect", "--yes", "--url", "http://127.0.0.1:1/webhooks/arize")
    assert result.exit_code == 1
    assert "Arize gets no answer from http://127.0.0.1:1/webhooks/arize" in result.stdout
    assert len(commands.webhooks()) == 1, "the temporary webhook is deleted"


def test_temporary_webhook_of_interrupted_run_is_deleted(commands: ConnectHarness) -> None:
    left = commands.tenant.add_webhook(
        commands.gateway.webhook_url,
        name="tocsin-test-1",
        token="bearer-of-a-test",
        description="managed-by: tocsin test",
    )
    commands.tenant.state.webhooks.add({**left, "created_at": "2026-01-01T00:00:00.000000Z"})
    result = commands.run("connect", "--yes")
    assert result.exit_code == 0, result.output
    assert "delete 1 that an interrupted run has left" in result.output
    assert commands.webhook()["name"] == "tocsin"


def test_temporary_webhook_that_cannot_be_deleted_is_named(commands: ConnectHarness) -> None:
    commands.tenant.choose = lambda request: Fault(503) if request.method == "DELETE" else None
    result = commands.run("connect", "--yes")
    assert "is left, and deleted by the next run" in result.output
    assert "Arize reaches the gateway" in result.output


def test_trigger_shows_delivery_and_decision(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    monitor = next(one for one in commands.tenant.state.monitors.oldest() if one["name"] == "slow answers")
    refused = commands.run("connect", "--yes", "--no-test", "--trigger", "slow answers")
    assert (refused.exit_code, "does not notify the webhook yet" in refused.stdout) == (1, True)
    commands.tenant.attach_webhook(monitor["id"], commands.webhook()["id"])
    commands.tenant.evaluate(monitor["id"], 100)
    asked = commands.run("connect", "--no-test", "--trigger", "slow answers", answer="n\n")
    assert "notifies everybody if it triggers?" in asked.output
    assert commands.gateway.accepted == []
    calm = commands.run("connect", "--yes", "--no-test", "--trigger", "slow answers")
    assert "it is not past its threshold" in calm.stdout
    commands.tenant.state.extras[monitor["id"]].next_value = 9200
    result = commands.run("connect", "--yes", "--no-test", "--trigger", monitor["id"], "--monitor", "slow answers")
    assert result.exit_code == 0, result.output
    assert "triggered, 9200; Arize delivered it, and the gateway answered 202" in result.stdout
    assert "critical, rule latency-slo-breach" in result.stdout
    assert "Notifies       ai-primary, ai-secondary, managers; waits 5m for a clear first" in result.stdout
    assert '"latest_computed_value": 9200' in result.stdout
    assert "attached to 1 of 1 monitors" in result.stdout
    assert len(commands.gateway.accepted) == 1


def test_deliveries_are_read_as_tocsin_reads_them(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    webhook = commands.webhook()
    monitor = next(one for one in commands.tenant.state.monitors.oldest() if one["name"] == "failures")
    commands.tenant.attach_webhook(monitor["id"], webhook["id"])
    commands.tenant.webhooks.retry_intervals = ()
    commands.tenant.evaluate(monitor["id"], 0.0)
    (poke,) = commands.tenant.evaluate(monitor["id"], 0.3, body="poke")
    poke.wait()
    payloads: tuple[dict[str, Any], ...] = (
        {"hello": "\x1b]0;x\x07 \u202e"},
        {"event": "prompt.version.created", "prompt": {}},
    )
    for payload in payloads:
        commands.tenant.webhooks.send(webhook["id"], "x", payload).wait()
    found = commands.json("connect", "--yes", "--no-test")["deliveries"]
    readings = {json.dumps(one["payload"])[:20]: one for one in found}
    assert len(readings) == 3
    described = next(one for one in found if one["event_id"] == poke.event_id)
    assert (described["decision"]["tier"], described["decision"]["rule"]) == ("critical", "error-rate-breach")
    assert described["decision"]["notified"] == ["ai-primary", "ai-secondary", "managers"]
    assert described["decision"]["hold_seconds"] is None
    assert described["status_code"] == 202
    unread = next(one for one in found if "hello" in one["payload"])["read_as"]
    assert unread.startswith("no reader understands it")
    assert "tocsin intake list" in unread
    assert "it is recorded" in next(one for one in found if "prompt" in one["payload"])["read_as"]
    shown = commands.run("connect", "--yes", "--no-test").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "custom metric 'Error Rate' → error_rate" in shown


def test_secret_is_printed_only_if_asked(commands: ConnectHarness) -> None:
    file = commands.cli.folder / "for-kubernetes"
    result = commands.run(
        "connect", "--yes", "--no-test", "--secret-file", str(file), "--print-secret", shows_secret=True
    )
    secret = commands.tenant.state.webhook_secrets[commands.webhook()["id"]]
    assert f"Signing secret: {secret}" in result.stdout
    assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (secret, 0o600)
    assert commands.kept == []


def test_secret_of_the_environment_is_recognised(commands: ConnectHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = commands.tenant.add_webhook(commands.gateway.webhook_url, auth_type="HMAC_SHA256")
    monkeypatch.setenv("ARIZE_WEBHOOK_SECRET", f"whsec_old,{theirs['signing_secret']}")
    found = commands.json("connect", "--yes", "--no-test")
    assert (found["webhook"]["action"], found["webhook"]["secret_known"]) == ("found", True)
    assert commands.changes() == []


def test_switched_off_notifications_are_a_click(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    muted, attached = commands.tenant.state.monitors.oldest()[:2]
    for one in (muted, attached):
        commands.tenant.attach_webhook(one["id"], commands.webhook()["id"])
    muted["notifications_enabled"] = False
    left = {one["id"]: one["left"] for one in commands.json("connect", "--yes", "--no-test")["monitors"]}
    assert left[muted["id"]] == ["switch its notifications on"]
    assert left[attached["id"]] == []


def test_unread_file_is_mentioned(commands: ConnectHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_WEBHOOK_SECRET", "whsec_of_the_environment")
    result = commands.run("connect", "--yes", "--no-test")
    assert "the gateway does not read that file: set ARIZE_WEBHOOK_SECRET_FILE" in result.output
    monkeypatch.setenv("ARIZE_WEBHOOK_SECRET_FILE", str(commands.state / ARIZE_SECRET))
    assert "does not read" not in commands.run("connect", "--yes", "--no-test", "--recreate").output
