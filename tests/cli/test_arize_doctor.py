"""``tocsin arize doctor``: each check, its result and its remedy."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from alerts import Description
from integrations.arize.description_cache import DescriptionCache
from tests.cli.connect_harness import ConnectHarness
from tests.vendors.server import Fault
from worker.bootstrap import ARIZE_SECRET
from worker.settings import read_settings


def checks(commands: ConnectHarness, code: int) -> dict[str, Any]:
    found = commands.json("doctor", code=code)
    assert all(one["remedy"] or one["outcome"] == "ok" for one in found if one["check"] != "secret"), found
    return {one["check"]: one for one in found}


def outcomes(commands: ConnectHarness, code: int) -> dict[str, str]:
    return {name: one["outcome"] for name, one in checks(commands, code).items()}


def connect(commands: ConnectHarness) -> None:
    assert commands.run("connect", "--yes", "--no-test").exit_code == 0


def describe(commands: ConnectHarness, age: timedelta) -> None:
    url = read_settings({"TOCSIN_STATE_DIR": str(commands.state)}).dedup_store_url
    cache = DescriptionCache(url)
    cache.add([Description(monitor_id="m", monitor={"id": "m"}, described_at=datetime.now(UTC) - age)])
    assert asyncio.run(cache.save())
    cache.close()


def test_tenant_without_webhook_fails(commands: ConnectHarness) -> None:
    found = checks(commands, 1)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "REST API": "ok",
        "clock": "ok",
        "rights": "ok",
        "GraphQL": "ok",
        "webhook": "fail",
        "gateway": "ok",
        "descriptions": "warn",
    }
    assert "1 organization, 1 space, 5 projects, 8 monitors" in found["rights"]["text"]
    assert "tocsin arize connect" in found["webhook"]["remedy"]
    assert "within TOCSIN_RECONCILE_INTERVAL of its start" in found["descriptions"]["remedy"]


def test_connected_tenant_passes(commands: ConnectHarness) -> None:
    connect(commands)
    describe(commands, timedelta(hours=1))
    for monitor in commands.tenant.state.monitors.oldest():
        commands.tenant.attach_webhook(monitor["id"], commands.webhook()["id"])
    commands.tenant.webhooks.send(commands.webhook()["id"], "webhook.test", {"event": "webhook.test"}).wait()
    before = commands.changes()
    found = checks(commands, 0)
    assert {name for name, one in found.items() if one["outcome"] != "ok"} == {"webhook"}
    assert "not HTTPS" in found["webhook"]["text"]
    assert "8 of 8 monitors notify tocsin" in found["monitors"]["text"]
    assert "1 of the latest 1 events were accepted" in found["deliveries"]["text"]
    assert "1 monitor is described, the newest 1h ago" in found["descriptions"]["text"]
    assert commands.changes() == before, "nothing is changed"
    text = commands.run("doctor")
    assert text.exit_code == 0
    assert "11 checks" not in text.stdout.splitlines()[0]
    assert text.stdout.splitlines()[-1].endswith("0 failed, 1 with a warning")


def test_failed_deliveries_are_reported(commands: ConnectHarness) -> None:
    connect(commands)
    commands.tenant.webhooks.retry_intervals = ()
    file = commands.state / ARIZE_SECRET
    secret = file.read_text()
    file.write_text("whsec_another\n")
    commands.tenant.webhooks.send(commands.webhook()["id"], "webhook.test", {"event": "webhook.test"}).wait()
    failed = checks(commands, 1)
    assert "answered 401" in failed["deliveries"]["text"]
    assert "the gateway has another secret" in failed["deliveries"]["remedy"]
    assert failed["secret"]["outcome"] == "warn"
    file.write_text(secret)
    commands.tenant.webhooks.send(commands.webhook()["id"], "webhook.test", {"event": "webhook.test"}).wait()
    recovered = checks(commands, 0)
    assert (recovered["deliveries"]["outcome"], recovered["secret"]["outcome"]) == ("warn", "ok")


def test_gateway_without_the_secret_fails(commands: ConnectHarness) -> None:
    connect(commands)
    commands.gateway.secrets = lambda: ("another",)
    assert outcomes(commands, 1)["secret"] == "fail"


def test_gateway_that_is_not_ready_fails(commands: ConnectHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(commands)
    commands.gateway.ready = False
    assert "Temporal is down" in checks(commands, 1)["gateway"]["text"]
    monkeypatch.setenv("TOCSIN_GATEWAY_URL", "http://127.0.0.1:1")
    assert "does not answer" in checks(commands, 1)["gateway"]["text"]


def test_webhook_elsewhere_and_bearer_are_named(commands: ConnectHarness) -> None:
    commands.tenant.add_webhook("https://old.example.com/webhooks/arize", name="old")
    found = checks(commands, 1)["webhook"]
    assert "posts to https://old.example.com/webhooks/arize" in found["text"]
    commands.tenant.add_webhook(commands.gateway.webhook_url, name="bearer", token="bearer-of-a-test")
    assert outcomes(commands, 0)["webhook"] == "warn"


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [("unauthorized", "API keys"), ("permission_denied", "API keys"), ("outage", "proxy"), ("html", "proxy")],
)
def test_fault_of_rest_is_explained(commands: ConnectHarness, fault: str, remedy: str) -> None:
    getattr(commands.tenant.rest, fault)()
    found = checks(commands, 1)
    assert found["REST API"]["outcome"] == "fail"
    assert remedy in found["REST API"]["remedy"]
    assert (found["GraphQL"]["outcome"], found["gateway"]["outcome"]) == ("ok", "ok")
    assert "webhook" not in found


def test_refused_graphql_is_a_warning_and_dead_graphql_fails(commands: ConnectHarness) -> None:
    connect(commands)
    commands.tenant.graphql.permission_denied()
    assert "developer permission" in checks(commands, 0)["GraphQL"]["remedy"]
    commands.tenant.graphql.outage()
    assert outcomes(commands, 1)["GraphQL"] == "fail"


def test_rate_limit_of_rest_is_a_failure_with_its_reason(commands: ConnectHarness) -> None:
    commands.tenant.rest.rate_limited(1, times=1)
    assert "429" in checks(commands, 1)["REST API"]["text"]


def test_stale_descriptions_are_a_warning(commands: ConnectHarness) -> None:
    connect(commands)
    describe(commands, timedelta(days=3))
    found = checks(commands, 0)["descriptions"]
    assert (found["outcome"], "3d ago" in found["text"]) == ("warn", True)


@pytest.mark.parametrize(("seconds", "outcome"), [(0, "ok"), (100, "warn"), (-400, "fail")])
def test_clock_is_compared_with_arizes(commands: ConnectHarness, seconds: int, outcome: str) -> None:
    """Arize's clock is ahead of or behind this machine's."""
    connect(commands)
    organizations = '{"organizations": [], "pagination": {"has_more": false}}'
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    commands.tenant.rest.script(Fault(200, {"Content-Type": "application/json", "Date": date}, organizations))
    found = checks(commands, 1 if outcome == "fail" else 0)["clock"]
    assert found["outcome"] == outcome
    if seconds:
        assert ("behind" if seconds > 0 else "ahead of") in found["text"]


def test_response_without_date_compares_nothing(commands: ConnectHarness) -> None:
    connect(commands)
    body = '{"organizations": [], "pagination": {"has_more": false}}'
    commands.tenant.rest.script(Fault(200, {"Content-Type": "application/json", "Date": "nonsense"}, body))
    assert "has no Date" in checks(commands, 0)["clock"]["text"]
