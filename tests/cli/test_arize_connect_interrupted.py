"""``tocsin arize connect`` after an interruption at any point, and with a webhook whose secret is not known."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.connect_harness import AuthenticatingGateway, ConnectHarness
from tests.cli.harness import REPOSITORY
from tests.vendors.arize import ArizeTenant
from tests.vendors.server import Fault, Request
from tests.waiting import SLOW_MACHINE, wait_for
from worker.bootstrap import ARIZE_SECRET
from worker.webhook_secret import PENDING


def lose_answer(tenant: ArizeTenant, method: str, path: str) -> None:
    """The next request is carried out, and its response is lost."""
    lost = False

    def choose(request: Request) -> Fault | None:
        nonlocal lost
        if lost or request.method != method or not request.path.startswith(path):
            return None
        lost = True
        return Fault(reset=True, after=True)

    tenant.choose = choose


def test_creation_without_answer_is_completed_by_next_run(commands: ConnectHarness) -> None:
    lose_answer(commands.tenant, "POST", "/v2/webhooks")
    interrupted = commands.run("connect", "--yes")
    assert interrupted.exit_code == 2
    assert "could not be reached" in interrupted.stderr
    orphan = commands.webhook()
    assert (commands.kept, (commands.state / PENDING).exists()) == ([], True)
    result = commands.run("connect", "--yes")
    assert result.exit_code == 0, result.output
    assert "ended before its secret was kept" in result.stdout
    webhook = commands.webhook()
    assert webhook["id"] != orphan["id"]
    assert commands.kept == [commands.tenant.state.webhook_secrets[webhook["id"]]]
    assert not (commands.state / PENDING).exists()


def test_killed_run_is_completed_by_next_run(commands: ConnectHarness) -> None:
    """The process is killed after Arize has created the webhook, and before it has read the response."""
    commands.tenant.choose = lambda request: (
        Fault(delay=SLOW_MACHINE, after=True) if (request.method, request.path) == ("POST", "/v2/webhooks") else None
    )
    command = [sys.executable, "-m", "cli.main", "arize", "connect", "--yes"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(commands.webhooks)
    killed.kill()
    output, _ = killed.communicate()
    assert commands.tenant.state.webhook_secrets[commands.webhook()["id"]] not in output
    assert commands.kept == []
    commands.tenant.choose = lambda request: None
    result = commands.run("connect", "--yes")
    assert result.exit_code == 0, result.output
    assert "ended before its secret was kept" in result.stdout
    assert commands.kept == [commands.tenant.state.webhook_secrets[commands.webhook()["id"]]]


def test_webhook_of_somebody_else_is_not_taken_for_interrupted(commands: ConnectHarness) -> None:
    commands.tenant.choose = lambda request: Fault(503) if request.method == "POST" else None
    assert commands.run("connect", "--yes").exit_code == 2
    assert (commands.state / PENDING).exists()
    commands.tenant.choose = lambda request: None
    theirs = commands.tenant.add_webhook(commands.gateway.webhook_url, auth_type="HMAC_SHA256")
    commands.webhook()["created_at"] = "2026-01-01T00:00:00.000000Z"
    result = commands.run("connect", "--yes", "--no-test")
    assert "It is left as it is" in result.output
    assert commands.webhook()["id"] == theirs["id"]


def test_interrupted_recreation_is_completed_by_next_run(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    lose_answer(commands.tenant, "DELETE", "/v2/webhooks/")
    assert commands.run("connect", "--yes", "--no-test", "--recreate").exit_code == 2
    assert commands.webhooks() == []
    assert commands.run("connect", "--yes", "--no-test").exit_code == 0
    assert commands.kept[0] == commands.tenant.state.webhook_secrets[commands.webhook()["id"]]


def test_end_between_keeping_and_noting_is_harmless(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    (commands.state / PENDING).write_text(json.dumps({"organization": commands.tenant.organization_id, "url": "x"}))
    result = commands.run("connect", "--yes", "--no-test")
    assert result.exit_code == 0
    assert "exists, and its signing secret is known here" in result.output
    assert not (commands.state / PENDING).exists()


def test_attached_webhook_without_secret_is_left_without_recreate(commands: ConnectHarness) -> None:
    theirs = commands.tenant.add_webhook(commands.gateway.webhook_url, auth_type="HMAC_SHA256")
    monitor = commands.tenant.state.monitors.oldest()[0]
    commands.tenant.attach_webhook(monitor["id"], theirs["id"])
    result = commands.run("connect", "--yes", "--no-test")
    assert result.exit_code == 0
    assert theirs["signing_secret_hint"] in result.output
    assert "add --recreate; 1 monitor must then be attached again by hand" in result.output
    assert commands.webhook()["id"] == theirs["id"]
    asked = commands.run("connect", "--no-test", answer="n\n")
    assert asked.exit_code == 0
    assert "create it again (1 monitor must then be attached again by hand)?" in asked.output
    assert commands.webhook()["id"] == theirs["id"]
    recreated = commands.run("connect", "--yes", "--no-test", "--recreate")
    assert recreated.exit_code == 0
    assert commands.webhook()["id"] != theirs["id"]
    assert "attached to 0 of 8 monitors" in recreated.output


def test_recreate_replaces_only_its_own_secret(commands: ConnectHarness) -> None:
    commands.run("connect", "--yes", "--no-test")
    (old,) = commands.kept
    (commands.state / ARIZE_SECRET).write_text(f"{old},whsec_of_another_webhook\n")
    commands.run("connect", "--yes", "--no-test", "--recreate")
    new = commands.tenant.state.webhook_secrets[commands.webhook()["id"]]
    assert new != old
    assert commands.kept == [new, "whsec_of_another_webhook"]


def test_nothing_is_created_if_secret_cannot_be_kept(commands: ConnectHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    (commands.cli.folder / "file").write_text("")
    monkeypatch.setenv("ARIZE_WEBHOOK_SECRET_FILE", str(commands.cli.folder / "file" / "secret"))
    result = commands.run("connect", "--yes")
    assert result.exit_code == 2
    assert "file" in result.stderr
    assert commands.changes() == []


def test_moved_gateway_moves_its_webhook(commands: ConnectHarness, gateway: AuthenticatingGateway) -> None:
    commands.run("connect", "--yes", "--no-test", "--url", "http://127.0.0.1:1/webhooks/arize")
    before = commands.webhook()["id"]
    result = commands.run("connect", "--yes")
    assert result.exit_code == 0, result.output
    assert "accepts the signature" in result.output
    assert (commands.webhook()["id"], commands.webhook()["url"]) == (before, gateway.webhook_url)


def test_name_of_a_foreign_webhook_is_refused(commands: ConnectHarness) -> None:
    commands.tenant.add_webhook("https://elsewhere.example.com/x")
    result = commands.run("connect", "--yes")
    assert result.exit_code == 1
    assert (
        "'tocsin' that posts to https://elsewhere.example.com/x with BEARER: choose another one with --name"
        in result.stderr
    )
    assert commands.run("connect", "--yes", "--no-test", "--name", "tocsin-2").exit_code == 0


def test_bearer_webhook_to_the_same_address_is_mentioned(commands: ConnectHarness) -> None:
    commands.tenant.add_webhook(commands.gateway.webhook_url, name="by hand", token="bearer-of-a-person")
    result = commands.run("connect", "--yes", "--no-test")
    assert result.exit_code == 0
    assert "The webhook by hand" in result.output
    assert len(commands.webhooks()) == 2
