"""``tocsin destinations list`` and ``test``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.harness import CliHarness
from tests.integrations.notifications import TIERS
from tests.integrations.vendors_table import SECRETS, VENDOR_CASES
from tests.policy.policies import BASE, RULES
from tests.vendors import Fault, Vendor
from tests.vendors.mail import Mailbox

JSON = {"Content-Type": "application/json"}


class Destinations:
    """``tocsin destinations`` over a policy with the destinations that a test names."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.harness = CliHarness(folder, monkeypatch, "destinations")
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        self.monkeypatch = monkeypatch

    def policy(self, **written: str) -> None:
        self.harness.write("policy.yaml", TIERS + "".join(f"  {name}: {one}\n" for name, one in written.items()))

    def run(self, *arguments: str, answer: str | None = None) -> Result:
        return self.harness.run(*arguments, input=answer)


@pytest.fixture
def destinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Destinations:
    return Destinations(tmp_path, monkeypatch)


@pytest.fixture(params=VENDOR_CASES)
def place(request: pytest.FixtureRequest, destinations: Destinations) -> Iterator[tuple[str, Vendor]]:
    case = VENDOR_CASES[request.param]
    with case.vendor() as vendor:
        destinations.policy(here=case.config.format(vendor.base_url))
        yield request.param, vendor
    assert vendor.violations == []


def test_drill_message_is_delivered_and_resolved(destinations: Destinations, place: tuple[str, Vendor]) -> None:
    name, vendor = place
    result = destinations.run("test", "here", "--yes")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"✓ here ({name}): ")
    sent = str([request.body for request in vendor.requests])
    assert "DRILL" in sent
    assert "nothing is on fire" in sent.lower()
    if VENDOR_CASES[name].activity == "page":
        assert "resolve" in sent or "RECOVERY" in sent or any("/close" in one.path for one in vendor.requests)


@pytest.mark.parametrize(
    ("name", "fault", "remedy"),
    [
        ("slack", Fault(status=200, headers=JSON, body='{"ok":false,"error":"not_in_channel"}'), "Slack answered not_in_channel: invite the bot to #ai-ops-alerts"),  # noqa: E501
        ("pagerduty", Fault(status=400, body='{"status":"invalid event"}'), "check the destination's routing_key"),
        ("servicenow", Fault(status=403), "give the user the role itil"),
        ("teams", Fault(status=404), "the workflow may be disabled"),
        ("jira", Fault(status=401), "check the destination's user and token"),
    ],
)  # fmt: skip
def test_failed_delivery_names_the_remedy(destinations: Destinations, name: str, fault: Fault, remedy: str) -> None:
    case = VENDOR_CASES[name]
    with case.vendor() as vendor:
        destinations.policy(here=case.config.format(vendor.base_url))
        vendor.always = fault
        result = destinations.run("test", "here", "--yes")
    assert result.exit_code == 1
    assert result.output.startswith(f"✗ here ({name}): ")
    assert remedy in result.output
    assert SECRETS[case.secret] not in result.output


def test_temporary_failure_says_so(destinations: Destinations) -> None:
    destinations.policy(here=VENDOR_CASES["webhook"].config.format("http://127.0.0.1:9"))
    result = destinations.run("test", "here")
    assert result.exit_code == 1
    assert "This may be temporary" in result.output


def test_all_continues_after_a_failure(destinations: Destinations) -> None:
    with Mailbox() as mailbox:
        destinations.monkeypatch.setenv("SMTP", mailbox.url)
        destinations.policy(
            down=VENDOR_CASES["webhook"].config.format("http://127.0.0.1:9"),
            unset="{type: slack, token: {env: NOBODY_SET_THIS}, channel: '#x'}",
            mail="{type: email, smtp: {env: SMTP}, from: t@example.com, to: [ops@example.com]}",
        )
        result = destinations.run("test", "--all")
    assert result.exit_code == 1
    assert "✗ down (webhook)" in result.output
    assert "✗ unset (slack): NOBODY_SET_THIS not set" in result.output
    assert "✓ mail (email): <tocsin." in result.output
    assert "✓ console (console)" in result.output
    assert "DRILL test of mail" in str(mailbox.messages[0]["Subject"])


def test_paging_needs_a_confirmation(destinations: Destinations) -> None:
    case = VENDOR_CASES["pagerduty"]
    with case.vendor() as vendor:
        destinations.policy(here=case.config.format(vendor.base_url))
        result = destinations.run("test", "here", answer="n\n")
        assert "This pages the people on call at here" in result.output
        assert vendor.requests == []
        assert destinations.run("test", "here", answer="y\n").exit_code == 0
        assert len(vendor.requests) == 2


@pytest.mark.parametrize("arguments", [(), ("here", "--all"), ("ther",)])
def test_needs_one_known_destination_or_all(destinations: Destinations, arguments: tuple[str, ...]) -> None:
    destinations.policy(here="{type: console}")
    result = destinations.run("test", *arguments)
    assert result.exit_code == 2


def test_list_shows_location_secrets_and_rules(destinations: Destinations) -> None:
    destinations.policy(
        ops="{type: slack, token: {env: NOBODY_SET_THIS}, channel: '#ops'}",
        snow=VENDOR_CASES["servicenow"].config.format("https://example.service-now.com"),
    )
    lines = {line.split()[0]: " ".join(line.split()) for line in destinations.run("list").output.splitlines()}
    assert lines["ops"] == "ops slack #ops NOBODY_SET_THIS not set no rule"
    assert lines["snow"] == "snow servicenow incident (legal-ai) set no rule"
    assert lines["console"] == "console console set 0 8 * * * UTC unmapped, otherwise, unreadable"


def test_list_as_json_has_every_field(destinations: Destinations) -> None:
    destinations.policy(ops="{type: slack, token: {env: NOBODY_SET_THIS}, channel: '#ops'}")
    found = {one["name"]: one for one in json.loads(destinations.run("list", "--format", "json").stdout)}
    assert found["ops"] == {
        "name": "ops",
        "type": "slack",
        "kind": "post",
        "location": "#ops",
        "missing_secrets": ["NOBODY_SET_THIS"],
        "notified_by": [],
        "digest_schedule": "",
    }
    assert found["console"]["notified_by"] == ["unmapped", "otherwise", "unreadable"]


def test_results_as_json_name_the_error(destinations: Destinations) -> None:
    destinations.policy(unset="{type: slack, token: {env: NOBODY_SET_THIS}, channel: '#x'}")
    result = destinations.run("test", "--all", "--format", "json")
    assert result.exit_code == 1
    found = {one["name"]: one for one in json.loads(result.stdout)}
    assert found["console"]["delivered"]
    assert (found["unset"]["delivered"], found["unset"]["error"]) == (
        False,
        "NOBODY_SET_THIS not set; set it where workers run",
    )


def test_list_names_every_way_to_a_destination(destinations: Destinations) -> None:
    """The owner's, the raised tier's and the watchdog's destinations are in no rule's own list."""
    text = BASE.replace("\ntiers:", "\n  alice: {type: console}\n  guard: {type: console}\ntiers:")
    rules = RULES.replace("error_rate', tier: critical", "error_rate', tier: critical, notify_owner: true")
    destinations.harness.write("policy.yaml", text + rules + "watchdog: {notify: [guard]}\n")
    found = {one["name"]: one for one in json.loads(destinations.run("list", "--format", "json").stdout)}
    assert found["alice"]["notified_by"] == ["errors (owner)"]
    assert found["guard"]["notified_by"] == ["(watchdog)"]
    assert {"drop", "unmapped"} <= set(found["chat"]["notified_by"])
