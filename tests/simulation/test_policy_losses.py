"""``tocsin policy diff`` names every key that differs, and fails on what the new policy loses."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from integrations.base.registry import destination_types
from policy import Policy, load_policy
from simulation.policy_keys import changed_keys, policy_keys
from simulation.policy_losses import losses
from tests.cli.harness import TRIGGERED, CliHarness
from tests.policy.policies import BASE
from worker.locations import SHIPPED_POLICY

SHIPPED = SHIPPED_POLICY.read_text(encoding="utf-8")
MAIL = "{type: email, smtp: {env: SMTP_URL}, from: a@example.com, to: [b@example.com]}"


def shipped(tmp_path: Path, *changes: tuple[str, str]) -> Policy:
    """The shipped policy, changed."""
    text = SHIPPED
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    file = tmp_path / "changed.yaml"
    file.write_text(text)
    return load_policy(file, destination_types())


def mutations(value: Any) -> Iterator[tuple[str, Any]]:
    """Copies of a value, each with one change somewhere inside, and the path of the change."""
    match value:
        case BaseModel():
            for name in type(value).model_fields:
                for path, changed in mutations(getattr(value, name)):
                    yield f"{name}.{path}", value.model_copy(update={name: changed})
        case dict():
            for key, item in value.items():
                for path, changed in mutations(item):
                    yield f"{key}.{path}", {**value, key: changed}
            yield "(less)", dict(list(value.items())[1:]) if value else {"added": "x"}
        case tuple():
            for index, item in enumerate(value):
                for path, changed in mutations(item):
                    yield f"{index}.{path}", (*value[:index], changed, *value[index + 1 :])
            yield "(less)", value[1:] if value else ("added",)
            if len(value) > 1:
                yield "(order)", tuple(reversed(value))
        case bool():
            yield "", not value
        case int() | float():
            yield "", value + 1
        case None:
            yield "", "added"
        case _:
            yield "", f"{value}x"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_changed_key_is_named(tmp_path: Path) -> None:
    policy = shipped(tmp_path)
    seen = 0
    for path, file in mutations(policy.file.model_copy(update={"destinations": {}})):
        if path.startswith("destinations"):
            continue
        assert changed_keys(policy, dataclasses.replace(policy, file=file)), path
        seen += 1
    for name, config in policy.destinations.items():
        for path, changed in mutations(config):
            destinations = {**policy.destinations, name: changed}
            found = changed_keys(policy, dataclasses.replace(policy, destinations=destinations))
            assert found, (name, path)
            assert all(one.path.startswith(f"destinations.{name}") for one in found), (path, found)
            seen += 1
    assert seen > len(policy_keys(policy)) / 2


def test_same_policy_loses_nothing(tmp_path: Path) -> None:
    assert (changed_keys(shipped(tmp_path), shipped(tmp_path)), losses(shipped(tmp_path), shipped(tmp_path))) == (
        (),
        (),
    )


PAGER = "ai-primary:   {type: pagerduty, routing_key: {env: PAGERDUTY_PRIMARY_KEY}}"
LOSSES: dict[str, tuple[tuple[str, str], str, str]] = {
    "pager to console": ((PAGER, "ai-primary: {type: console}"), "lost page", "ai-primary (pagerduty) is not paged"),
    "pager to webhook": (
        (PAGER, 'ai-primary: {type: webhook, url: "https://hooks.example.com/a"}'),
        "lost page",
        "ai-primary (pagerduty) is not paged",
    ),
    "pager to another variable": (
        ("env: PAGERDUTY_PRIMARY_KEY", "env: PAGERDUTY_TEST_KEY"),
        "lost page",
        "ai-primary (pagerduty) is not paged",
    ),
    "pager to another host": (
        (PAGER, PAGER.replace("type: pagerduty", 'type: pagerduty, base_url: "https://pager.example.net"')),
        "lost page",
        "ai-primary",
    ),
    "pager out of a later step": (("[ai-secondary, managers]", "[ai-secondary]"), "quieter", "managers (pagerduty)"),
    "last pager out of the later steps": (
        ("[ai-secondary, managers]}   # only", "[ai-ops]}\n      - {after: 20m, notify: [ai-ops]}  #"),
        "quieter",
        "managers (pagerduty)",
    ),
    "later pager to another variable": (("env: PAGERDUTY_MANAGERS_KEY", "env: OTHER_KEY"), "lost page", "managers"),
    "no pager in the later steps": (
        (
            "ai-secondary: {type: pagerduty, routing_key: {env: PAGERDUTY_SECONDARY_KEY}}",
            "ai-secondary: {type: console}",
        ),
        "lost page",
        "ai-secondary (pagerduty)",
    ),
    "pager out of a fallback": (("fallback: [ai-primary]", "fallback: [terminal]"), "lost page", "cannot be reached"),
    "no page without acknowledgement": (
        ("respond_within: 1h                                   # not", "# not"),
        "lost page",
        "without acknowledgement",
    ),
    "paging rule quieter": (
        (
            "alert.change > model.slo.error_rate_rise\n    tier: critical",
            "alert.change > model.slo.error_rate_rise\n    tier: low",
        ),
        "lost page",
        "error-rate-spike",
    ),
    "watchdog to the terminal": (
        ("notify: [ai-primary, ai-ops]\n  after", "notify: [terminal]\n  after"),
        "lost page",
        "watchdog: ai-primary",
    ),
    "watchdog removed": (("watchdog:\n  notify: [ai-primary, ai-ops]\n  after: 2m", "# "), "lost page", "watchdog"),
    "watchdog later": (("after: 2m", "after: 2h"), "quieter", "reported later"),
    "lower closing role": (("closed_by: compliance ", "closed_by: responder "), "lost regulation", "closed_by"),
    "governance ticket to another project": (
        ("project: AIGOV", "project: MISC"),
        "lost regulation",
        "governance ticket",
    ),
    "governance ticket removed": (("  ticket: compliance  ", "  # "), "lost regulation", "governance ticket"),
    "model not regulated": (("regulated: true\n    customer", "customer"), "lost regulation", "underwriting-llm"),
    "regulation narrower": (
        ("regulated: model.regulated\n", "regulated: model.regulated && alert.tags['a'] == 'b'\n"),
        "lost regulation",
        "fewer incidents",
    ),
    "every Jira to another host": (
        ("https://example.atlassian.net", "https://evil.example.org"),
        "moved secret",
        "the secret JIRA_TOKEN goes to evil.example.org now; before, to example.atlassian.net",
    ),
    "a token to a webhook's header": (
        (
            PAGER,
            PAGER + '\n  out: {type: webhook, url: "https://evil.example.org", headers: {A: {env: SLACK_BOT_TOKEN}}}',
        ),
        "moved secret",
        "SLACK_BOT_TOKEN goes to evil.example.org now; before, to slack's own host",
    ),
    "digest at other times": (('schedule: "0 8 * * 1"', 'schedule: "0 8 1 * *"'), "quieter", "at other times"),
    "digest to another channel": (("#ml-daily", "#random"), "quieter", "ml-daily"),
    "post to the console": (
        (' {type: slack, token: {env: SLACK_BOT_TOKEN}, channel: "#ai-ops-alerts"}', " {type: console}"),
        "quieter",
        "ai-ops",
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_loss_is_found_without_history(case: str, tmp_path: Path) -> None:
    change, kind, words = LOSSES[case]
    found = losses(shipped(tmp_path), shipped(tmp_path, change))
    assert [one for one in found if one.kind == kind and words in one.text], found


@pytest.mark.parametrize(
    "change",
    [
        ("ai-primary", "primary-of-ai"),
        ("error-rate-spike", "spike-of-errors"),
        ("regulated: model.regulated\n", "regulated: model.regulated || model.customer_facing\n"),
        ("closed_by: compliance ", "closed_by: admin "),
        ("after: 2m", "after: 1m"),
        ("notify: [ai-primary, ai-ops]\n  after", "notify: [ai-primary, ai-ops, managers]\n  after"),
    ],
    ids=lambda change: f"{change[1][:30]}",
)
def test_renaming_and_louder_changes_lose_nothing(change: tuple[str, str], tmp_path: Path) -> None:
    old, new = shipped(tmp_path), shipped(tmp_path, change)
    assert losses(old, new) == ()
    assert changed_keys(old, new)


def test_removed_paging_rule_is_a_lost_page(tmp_path: Path) -> None:
    start = SHIPPED.index("  - name: error-rate-spike")
    end = SHIPPED.index("  - name: latency-slo-breach")
    found = losses(shipped(tmp_path), shipped(tmp_path, (SHIPPED[start:end], "")))
    assert [(one.kind, one.text) for one in found] == [
        ("lost page", "the rule error-rate-spike, which pages, is removed")
    ]


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (("{type: pagerduty, routing_key: {env: KEY}}", "{type: console}"), {"lost-pages", "any-change"}),
        (("env: KEY", "env: OTHER"), {"lost-pages", "any-change"}),
        (("https://acme.atlassian.net", "https://evil.example"), {"lost-pages", "lost-regulation", "any-change"}),
        (("#ops", "#random"), {"any-change"}),
    ],
    ids=["console", "variable", "host", "channel"],
)
def test_fail_on_sees_destinations(desk: CliHarness, change: tuple[str, str], fails: set[str]) -> None:
    text = (desk.folder / "policy.yaml").read_text()
    desk.write("new.yaml", text.replace(*change))
    history = desk.bodies({**TRIGGERED, "metric": "nothing", "model": "none"})
    for name in ("lost-pages", "lost-regulation", "any-change"):
        ran = desk.run("diff", "policy.yaml", "new.yaml", "--history", history, "--fail-on", name)
        assert ran.exit_code == (name in fails), (name, ran.output)
    assert "Keys that differ" in ran.output


def test_keys_are_compared_without_history(desk: CliHarness) -> None:
    desk.write("new.yaml", (desk.folder / "policy.yaml").read_text().replace("env: KEY", "env: OTHER"))
    desk.write("history.jsonl", "")
    ran = desk.run("diff", "policy.yaml", "new.yaml", "--history", "history.jsonl", "--format", "json")
    assert ran.exit_code == 2
    assert '"key": "destinations.pager.routing_key.env"' in ran.output
    failed = desk.run("diff", "policy.yaml", "new.yaml", "--history", "history.jsonl", "--fail-on", "lost-pages")
    assert failed.exit_code == 1
    assert "pager (pagerduty) is not paged any more" in failed.output


def test_console_in_place_of_a_pager_stops_paging(desk: CliHarness) -> None:
    assert "pager: {type: pagerduty" in BASE
    text = (desk.folder / "policy.yaml").read_text()
    desk.write("new.yaml", text.replace("{type: pagerduty, routing_key: {env: KEY}}", "{type: console}"))
    history = desk.bodies({**TRIGGERED, "value": 0.5})
    ran = desk.run("diff", "policy.yaml", "new.yaml", "--history", history, "--format", "json")
    assert '"stops paging": 1' in ran.output
