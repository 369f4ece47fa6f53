"""``tocsin destinations list`` and ``test``: what is there, and whether a message gets through."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.activities.places import KINDS
from tests.activities.sending import SECRETS, TIERS
from tests.vendors import Fault, Vendor
from tests.vendors.mail import Mailbox
from worker.cli_destinations import destinations

JSON = {"Content-Type": "application/json"}


class Desk:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "policy.yaml"
        monkeypatch.setenv("TOCSIN_POLICY", str(self.file))
        monkeypatch.setenv("TOCSIN_STATE_DIR", str(folder / "state"))
        monkeypatch.setenv("COLUMNS", "200")
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        self.monkeypatch = monkeypatch

    def policy(self, **written: str) -> None:
        self.file.write_text(TIERS + "".join(f"  {name}: {one}\n" for name, one in written.items()))

    def run(self, *arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(destinations, list(arguments), input=answer)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, desk: Desk) -> Iterator[tuple[str, Vendor]]:
    kind = KINDS[request.param]
    with kind.vendor() as vendor:
        desk.policy(here=kind.config.format(vendor.base_url))
        yield request.param, vendor
    assert vendor.violations == []


def test_a_drill_message_gets_through_and_is_taken_back(desk: Desk, place: tuple[str, Vendor]) -> None:
    name, vendor = place
    result = desk.run("test", "here", "--yes")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"✓ here ({name}): ")
    sent = str([request.body for request in vendor.requests])
    assert "DRILL" in sent
    assert "nothing is on fire" in sent.lower()
    if KINDS[name].activity == "page":
        assert "resolve" in sent or "RECOVERY" in sent or any("/close" in one.path for one in vendor.requests)


@pytest.mark.parametrize(
    ("name", "fault", "remedy"),
    [
        ("slack", Fault(status=200, headers=JSON, body='{"ok":false,"error":"not_in_channel"}'), "Slack says not_in_channel: invite the bot to #ai-ops-alerts"),  # noqa: E501
        ("pagerduty", Fault(status=400, body='{"status":"invalid event"}'), "check the destination's routing_key"),
        ("servicenow", Fault(status=403), "give the user the role itil"),
        ("teams", Fault(status=404), "the workflow may be turned off"),
        ("jira", Fault(status=401), "check the destination's user and token"),
    ],
)  # fmt: skip
def test_what_did_not_get_through_names_the_remedy(desk: Desk, name: str, fault: Fault, remedy: str) -> None:
    kind = KINDS[name]
    with kind.vendor() as vendor:
        desk.policy(here=kind.config.format(vendor.base_url))
        vendor.always = fault
        result = desk.run("test", "here", "--yes")
    assert result.exit_code == 1
    assert result.output.startswith(f"✗ here ({name}): ")
    assert remedy in result.output
    assert SECRETS[kind.secret] not in result.output


def test_what_may_pass_says_so(desk: Desk) -> None:
    desk.policy(here=KINDS["webhook"].config.format("http://127.0.0.1:9"))
    result = desk.run("test", "here")
    assert result.exit_code == 1
    assert "This may pass" in result.output


def test_all_of_them_are_tried_whatever_becomes_of_one(desk: Desk) -> None:
    with Mailbox() as mailbox:
        desk.monkeypatch.setenv("SMTP", mailbox.url)
        desk.policy(
            away=KINDS["webhook"].config.format("http://127.0.0.1:9"),
            unset="{type: slack, token: {env: NOBODY_SET_THIS}, channel: '#x'}",
            mail="{type: email, smtp: {env: SMTP}, from: t@example.com, to: [ops@example.com]}",
        )
        result = desk.run("test", "--all")
    assert result.exit_code == 1
    assert "✗ away (webhook)" in result.output
    assert "✗ unset (slack): NOBODY_SET_THIS not set" in result.output
    assert "✓ mail (email): <tocsin." in result.output
    assert "✓ console (console)" in result.output
    assert "DRILL test of mail" in str(mailbox.taken[0]["Subject"])


def test_nobody_is_paged_unasked(desk: Desk) -> None:
    kind = KINDS["pagerduty"]
    with kind.vendor() as vendor:
        desk.policy(here=kind.config.format(vendor.base_url))
        result = desk.run("test", "here", answer="n\n")
        assert "This pages whoever is on call at here" in result.output
        assert vendor.requests == []
        assert desk.run("test", "here", answer="y\n").exit_code == 0
        assert len(vendor.requests) == 2


@pytest.mark.parametrize("arguments", [(), ("here", "--all"), ("ther",)])
def test_one_or_all_of_those_that_are_there(desk: Desk, arguments: tuple[str, ...]) -> None:
    desk.policy(here="{type: console}")
    result = desk.run("test", *arguments)
    assert result.exit_code == 2


def test_the_list_says_what_each_is_and_who_is_told_there(desk: Desk) -> None:
    desk.policy(
        ops="{type: slack, token: {env: NOBODY_SET_THIS}, channel: '#ops'}",
        snow=KINDS["servicenow"].config.format("https://example.service-now.com"),
    )
    lines = {line.split()[0]: " ".join(line.split()) for line in desk.run("list").output.splitlines()}
    assert lines["ops"] == "ops slack #ops NOBODY_SET_THIS not set nothing"
    assert lines["snow"] == "snow servicenow incident (legal-ai) set nothing"
    assert lines["console"] == "console console set otherwise 0 8 * * * UTC"
