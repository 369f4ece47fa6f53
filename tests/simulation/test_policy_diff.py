"""``tocsin policy diff``: changed decisions, pages by team and destination, and alerts that stop paging."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit import AuditLog, AuditRecord, NewRecord, PolicyArchive
from policy import read_source
from simulation.diff_report import MAX_MARKDOWN_CHARS
from tests.cli.harness import TRIGGERED, CliHarness
from tests.policy.policies import BASE, RULES

QUIETER = RULES.replace("error_rate: 0.02", "error_rate: 0.04")
DAY = datetime(2026, 11, 2, tzinfo=UTC)


def flat(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def triggered(day: float, value: float = 0.03, **changes: Any) -> dict[str, Any]:
    return {**TRIGGERED, "value": value, "triggered_at": (DAY + timedelta(days=day)).isoformat(), **changes}


@pytest.fixture
def changed(desk: CliHarness) -> CliHarness:
    """The new policy pages for the chatbot's errors above 4 %, not above 2 %."""
    desk.write("new.yaml", BASE + QUIETER)
    return desk


def test_same_policy_changes_nothing(desk: CliHarness) -> None:
    ran = desk.run(
        "diff", "policy.yaml", "policy.yaml", "--history", desk.bodies(triggered(0)), "--fail-on", "any-change"
    )
    assert ran.exit_code == 0, ran.output
    assert "No alert of this history is decided differently." in ran.output


def test_all_alerts_that_stop_paging_are_listed(changed: CliHarness) -> None:
    history = changed.bodies(*(triggered(day, 0.02 + day / 1000, monitor=f"errors {day}") for day in range(1, 31)))
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--history", history, "--fail-on", "lost-pages")
    assert ran.exit_code == 1
    assert "30 alerts of 30 incidents in 4.1 weeks" in ran.output
    assert "20 alerts stop paging" in flat(ran.output)
    assert "critical → low         20" in ran.output
    for day in range(1, 21):
        assert f"history.jsonl:{day} " in ran.output
        assert f"(errors {day})" in ran.output
    assert "history.jsonl:21 " not in ran.output
    assert changed.run("diff", "policy.yaml", "new.yaml", "--history", history).exit_code == 0


def test_pages_per_week_by_team_and_destination(changed: CliHarness) -> None:
    louder = QUIETER.replace("tier: high, priority: P2", "tier: critical, priority: P2").replace(
        "underwriting: {", "underwriting: {team: credit, customer_facing: true, "
    )
    changed.write("new.yaml", BASE + louder)
    drop: dict[str, Any] = {"monitor": "drop", "metric": "x", "model": "underwriting", "value": 0.5, "baseline": 1}
    history = [triggered(day) for day in (0, 2, 4)] + [triggered(day, **drop) for day in (7, 14)]
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--history", changed.bodies(*history), "--format", "json")
    found = json.loads(ran.output)
    assert found["weeks"] == 2.0
    assert found["pages"]["team"] == [
        {"team": "credit", "before": 0, "after": 2},
        {"team": "support", "before": 3, "after": 0},
    ]
    assert found["pages"]["destination"] == [{"destination": "pager", "before": 3, "after": 2}]
    assert found["kinds"] == {"stops paging": 3, "starts paging": 2}
    table = changed.run("diff", "policy.yaml", "new.yaml", "--history", "history.jsonl").output
    assert "Pages (paging incidents per week)" in table
    assert "team support 1.5 0.0 -1.5" in flat(table)
    assert "team credit 0.0 1.0 +1.0" in flat(table)


def test_alerts_are_grouped_into_incidents(changed: CliHarness) -> None:
    history = [
        triggered(0),
        triggered(0.1),
        triggered(0.2, status="CLEARED"),
        triggered(0.3),
        triggered(2),
        triggered(2.1),
    ]
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--history", changed.bodies(*history), "--format", "json")
    found = json.loads(ran.output)
    assert (found["alerts"], found["incidents"], found["changed"]) == (6, 3, 5)
    assert found["tier_changes"] == [{"before": "critical", "after": "low", "incidents": 3}]


@pytest.mark.parametrize(
    ("model", "change", "kind", "before", "after"),
    [
        (
            "chatbot",
            ("tier: critical}\n  - {name: drop", "tier: critical, hold: 5m}\n  - {name: drop"),
            "pages later",
            "critical by errors, at once",
            "critical by errors, waits 5m",
        ),
        (
            "chatbot",
            ("tier: critical}\n  - {name: drop", "tier: high}\n  - {name: drop"),
            "stops paging",
            "critical by errors, notifies pager",
            "high by errors, notifies chat",
        ),
        (
            "chatbot",
            ("tier: critical}\n  - {name: drop", "tier: critical, ticket: work}\n  - {name: drop"),
            "other",
            "critical by errors, no ticket",
            "critical by errors, ticket in work",
        ),
        (
            "chatbot",
            ("tier: critical}\n  - {name: drop", "tier: critical, priority: P1}\n  - {name: drop"),
            "other",
            "no priority",
            "priority P1",
        ),
        (
            "underwriting",
            ("regulated: model.regulated", "regulated: 'false'"),
            "no longer regulated",
            "closed by compliance",
            "closed by anyone",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_kind_of_change(
    changed: CliHarness, model: str, change: tuple[str, str], kind: str, before: str, after: str
) -> None:
    assert change[0] in RULES
    changed.write("new.yaml", BASE + RULES.replace(*change))
    history = changed.bodies(triggered(0, 0.3, model=model))
    found = json.loads(changed.run("diff", "policy.yaml", "new.yaml", "--history", history, "--format", "json").output)
    assert found["kinds"] == {kind: 1}
    table = changed.run("diff", "policy.yaml", "new.yaml", "--history", history, "--format", "markdown").output
    assert before in table, table
    assert after in table, table


def test_fail_on_lost_regulation(changed: CliHarness) -> None:
    changed.write("new.yaml", BASE + RULES.replace("regulated: model.regulated", "regulated: 'false'"))
    history = changed.bodies(triggered(0, model="underwriting"))
    assert (
        changed.run("diff", "policy.yaml", "new.yaml", "--history", history, "--fail-on", "lost-pages").exit_code == 0
    )
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--history", history, "--fail-on", "lost-regulation")
    assert ran.exit_code == 1
    assert "1 is no longer regulated" in flat(ran.output)


def test_ten_examples_one_for_each_group(changed: CliHarness) -> None:
    history = [triggered(0, monitor=f"errors {number}", environment=f"place-{number % 12}") for number in range(36)]
    found = json.loads(
        changed.run("diff", "policy.yaml", "new.yaml", "--history", changed.bodies(*history), "--format", "json").output
    )
    assert len(found["examples"]) == 10
    assert {example["alerts"] for example in found["examples"]} == {3}
    assert len(found["lost_pages"]) == 36


def test_markdown_escapes_alert_text_and_fits_a_comment(changed: CliHarness) -> None:
    hostile = "@everyone <img src=x> | `a` [x](http://evil.example) **b** \\ \u2028 #1"
    ran = changed.run(
        "diff",
        "policy.yaml",
        "new.yaml",
        "--history",
        changed.bodies(triggered(0, monitor=hostile)),
        "--format",
        "markdown",
    )
    assert ran.exit_code == 0
    assert "⚠️ **1 alert stops paging.**" in ran.output
    for unescaped in (r"@everyone", r"(?<!\\)<img", r"http://evil", r"(?<!\\)\| `a`", r"(?<!\\)\[x"):
        assert not re.search(unescaped, ran.output), unescaped
    many = changed.bodies(*(triggered(0, monitor=f"{hostile} {number}") for number in range(600)))
    long = changed.run("diff", "policy.yaml", "new.yaml", "--history", many, "--format", "markdown").output
    assert len(long) < MAX_MARKDOWN_CHARS + 500
    assert "more: `--format json` lists all" in long


def test_report_to_a_file(changed: CliHarness) -> None:
    history = changed.bodies(triggered(0))
    for form in ("table", "markdown", "json"):
        ran = changed.run(
            "diff", "policy.yaml", "new.yaml", "--history", history, "--format", form, "--output", "report"
        )
        assert (ran.exit_code, ran.output) == (0, "")
        assert "1 alert" in (changed.folder / "report").read_text() or form == "json"


def test_invalid_lines_are_left_out_and_reported(changed: CliHarness) -> None:
    lines = ["{", '{"a": 1}', '{"event": "prompt.version.created"}', json.dumps(triggered(0)), ""]
    changed.write("history.jsonl", "\n".join(lines))
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--history", "history.jsonl")
    assert ran.exit_code == 0
    assert "left out: history.jsonl:1: the body is not JSON" in ran.output
    assert "left out: history.jsonl:2: no monitor was found" in ran.output
    assert "1 alert of 1 incident" in ran.output
    changed.write("history.jsonl", "{}\n")
    assert changed.run("diff", "policy.yaml", "new.yaml", "--history", "history.jsonl").exit_code == 2
    assert changed.run("diff", "policy.yaml", "new.yaml", "--history", "none.jsonl").exit_code == 2


@pytest.mark.parametrize(
    "fields",
    [{}, {"at": "yesterday"}, {"data": "x"}, {"data": {"alert": 1}}, {"incident": None}, {"number": "x"}],
    ids=str,
)
def test_damaged_record_is_left_out_and_reported(changed: CliHarness, fields: dict[str, Any]) -> None:
    whole = AuditRecord(**vars(record(1, "received", {})), number=1, previous="", anchor="", hash="").model_dump(
        mode="json"
    )
    damaged = {**whole, **fields} if fields else {"anchor": ""}
    changed.write("history.jsonl", "\n".join(map(json.dumps, (damaged, triggered(0)))))
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--history", "history.jsonl")
    assert (ran.exit_code, "left out: history.jsonl:1: " in ran.output) == (0, True), ran.output


def record(number: int, event: str, alert: dict[str, Any]) -> NewRecord:
    return NewRecord(
        incident="incident-a",
        first_run_id="1",
        key=str(number),
        at=DAY + timedelta(days=number),
        event=event,
        by="tocsin",
        text="",
        data={"alert": alert},
    )


def test_audit_log_is_the_default_history(changed: CliHarness) -> None:
    from alerts import normalise

    kept = normalise(triggered(0)).model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
    log = AuditLog(f"sqlite:///{changed.folder}/state/audit.db")
    log.append([[record(1, "received", kept), record(2, "classified", {}), record(8, "alert_added", kept)]])
    ran = changed.run("diff", "policy.yaml", "new.yaml", "--fail-on", "lost-pages")
    assert ran.exit_code == 1
    assert "2 alerts of 1 incident in 1.0 weeks" in ran.output
    assert "incident-a record 1" in ran.output
    with (changed.folder / "export.jsonl").open("w") as file:
        for one in log.read():
            file.write(one.model_dump_json() + "\n")
    exported = changed.run("diff", "policy.yaml", "new.yaml", "--history", "export.jsonl")
    assert "2 alerts of 1 incident in 1.0 weeks" in exported.output


def test_policy_named_by_its_digest(changed: CliHarness) -> None:
    source = read_source(changed.folder / "policy.yaml")
    kept = PolicyArchive(f"sqlite:///{changed.folder}/state/audit.db")
    assert kept.add(source, DAY)
    assert not kept.add(source, DAY), "once"
    ran = changed.run(
        "diff", source.digest, "new.yaml", "--history", changed.bodies(triggered(0)), "--fail-on", "lost-pages"
    )
    assert ran.exit_code == 1, ran.output
    shown = changed.run("show", source.digest)
    assert shown.output == BASE + RULES
    assert changed.run("show", f"{source.digest[:6]}").output == BASE + RULES
    assert changed.run("show", f"{source.digest}/60").output == BASE + RULES, (
        "as a decision of a scaled policy names it"
    )
    assert changed.run("show", "--list").output == f"{source.digest}  since 2026-11-02 00:00:00 UTC  policy.yaml\n"
    unknown = changed.run("show", "0123456789ab")
    assert unknown.exit_code == 1
    assert f"that was in force; archived: {source.digest[:12]}" in unknown.output
    assert changed.run("show").output == BASE + RULES, "the one in use"
