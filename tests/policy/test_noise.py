"""``noise`` and ``rollout``: which incident an alert belongs to, when notifications wait, and what is live."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts import Alert, incident_id
from policy import Policy
from policy.decision import Flapping
from tests.policy.policies import BASE, NOW, RULES, load, problems

ALERT: dict[str, Any] = {"monitor": "m", "monitor_id": "m-1", "metric": "error_rate", "value": 0.31}


def alert(**changes: Any) -> Alert:
    return Alert.model_validate({**ALERT, "model": "chatbot", "environment": "production", **changes})


def noise(tmp_path: Path, text: str) -> Policy:
    return load(tmp_path, f"{BASE}{RULES}noise: {text}\n")


def group(policy: Policy, **changes: Any) -> str:
    return policy.incident_of(policy.interpret(alert(**changes)))


# ── Grouping ────────────────────────────────────────────────────────────────────────────────────────────


def test_alerts_that_share_the_fields_share_an_incident(tmp_path: Path) -> None:
    policy = noise(tmp_path, "{group_by: [alert.model, alert.environment]}")
    first = group(policy)
    assert first.startswith("incident-chatbot-production-")
    assert group(policy, monitor_id="m-2", metric="latency", identity=("monitor", "m-2")) == first
    assert group(policy, model="Chatbot") == first  # as the catalogue writes it
    assert group(policy, environment="prod") == first
    assert group(policy, model="underwriting") != first
    assert group(policy, environment="staging") != first


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ('alert.tags["squad"]', {"tags": {"squad": "a"}}, {"tags": {"squad": "b"}}),
        ("alert.segment.tier", {"segment": {"tier": "gold"}}, {"segment": {"tier": "free"}}),
        ("model.team", {"model": "chatbot"}, {"model": "other"}),
        ("model.regulated", {"model": "chatbot"}, {"model": "underwriting"}),
    ],
)
def test_any_text_or_truth_value_can_group(field: str, one: Any, other: Any, tmp_path: Path) -> None:
    policy = noise(tmp_path, f"{{group_by: ['{field}']}}")
    assert group(policy, **one) == group(policy, **one, monitor_id="m-2", identity=("monitor", "m-2"))
    assert group(policy, **one) != group(policy, **other)


@pytest.mark.parametrize(
    "changes", [{"region": ""}, {"drill": "errors", "region": "eu"}, {"quarantined": "q-1", "region": "eu"}]
)
def test_without_a_value_an_alert_has_an_incident_of_its_own(changes: dict[str, str], tmp_path: Path) -> None:
    policy = noise(tmp_path, "{group_by: [alert.model, alert.region]}")
    assert group(policy, **changes) == incident_id(alert(**changes))


def test_by_default_nothing_is_grouped_and_nothing_reopened(tmp_path: Path) -> None:
    policy = load(tmp_path, BASE + RULES)
    assert group(policy) == incident_id(alert())
    decision = policy.decide(alert(), NOW)
    assert (decision.group_window, decision.reopen_within, decision.flapping) == (900.0, None, None)


def test_decision_has_the_times(tmp_path: Path) -> None:
    decision = noise(
        tmp_path, "{group_window: 5m, reopen_within: 1h, flapping: {changes: 6, within: 2h, until_stable: 10m}}"
    ).decide(alert(), NOW)
    assert (decision.group_window, decision.reopen_within, decision.refire_after) == (300.0, 3600.0, 3600.0)
    assert decision.flapping == Flapping(changes=6, within=7200.0, until_stable=600.0)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{group_by: [alert.modle]}", "alert.modle is unknown: did you mean model?"),
        (
            "{group_by: [alert.value]}",
            "alert.value is a number; only texts, and what is true or false, can be compared",
        ),
        ("{group_by: [alert.tags]}", "alert.tags is a map of texts; only texts"),
        ("{group_by: [model]}", "'model' is no field: write alert.model or model.team, for example"),
        ("{group_by: ['alert.model == \"a\"']}", "is no field: write alert.model"),
        ("{group_by: [incident.tier]}", "is no field: write alert.model"),
        ("{group_by: [alert.model, alert.model]}", "alert.model is listed twice"),
        ("{maintenance: [{when: 'true', duration: 1h}]}", "needs either cron or rrule"),
        (
            "{maintenance: [{when: 'true', cron: 0 2 * * 0, rrule: FREQ=DAILY, duration: 1h}]}",
            "needs either cron or rrule",
        ),
        ("{maintenance: [{when: 'true', cron: every night, duration: 1h}]}", "is not a cron expression"),
        ("{maintenance: [{when: 'true', rrule: FREQ=NIGHTLY, duration: 1h}]}", "is not an RRULE"),
        (
            "{maintenance: [{when: 'true', cron: 0 2 * * 0, duration: 1h, timezone: Berlin}]}",
            "did you mean Europe/Berlin?",
        ),
        ("{maintenance: [{when: alert.modle == 'a', cron: 0 2 * * 0, duration: 1h}]}", "alert.modle is unknown"),
        ("{flapping: {changes: 2}}", "found 2; a number of at least 3"),
    ],
)
def test_slips_are_errors_with_their_remedy(text: str, error: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"{BASE}{RULES}noise: {text}\n")
    assert len(found) == 1
    assert error in found[0]


# ── Maintenance ─────────────────────────────────────────────────────────────────────────────────────────


def window(tmp_path: Path, text: str) -> Policy:
    return noise(tmp_path, f"{{maintenance: [{{when: 'alert.model == \"chatbot\"', {text}, reason: re-index}}]}}")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spans(policy: Policy, now: str, **changes: Any) -> list[tuple[str, str]]:
    found = policy.decide(alert(**changes), utc(now)).maintenance
    return [(f"{one.since:%m-%d %H:%M}", f"{one.until:%m-%d %H:%M}") for one in found]


def test_window_of_a_cron_expression(tmp_path: Path) -> None:
    policy = window(tmp_path, 'cron: "0 2 * * 0", duration: 2h')
    assert spans(policy, "2026-11-22 02:30") == [("11-22 02:00", "11-22 04:00"), ("11-29 02:00", "11-29 04:00")]
    assert spans(policy, "2026-11-22 04:00") == [("11-29 02:00", "11-29 04:00")]
    assert spans(policy, "2026-11-22 02:30", model="other") == []
    decision = policy.decide(alert(), utc("2026-11-22 02:30"))
    assert decision.trace[-1].rule == "noise.maintenance"
    assert decision.trace[-1].reason == "re-index, until 2026-11-22 04:00 UTC"
    assert decision.reason.startswith("alert.metric")


def test_window_that_lasts_over_midnight_and_over_the_next_one(tmp_path: Path) -> None:
    policy = window(tmp_path, 'cron: "0 22 * * *", duration: 30h')
    found = spans(policy, "2026-11-22 03:00")
    assert len(found) == 1
    assert found[0][0] == "11-20 22:00"  # each begins in the one before


def test_many_short_windows(tmp_path: Path) -> None:
    policy = window(tmp_path, 'cron: "*/10 * * * *", duration: 5m')
    assert spans(policy, "2026-11-22 23:01")[0] == ("11-22 23:00", "11-22 23:05")
    assert spans(policy, "2026-11-22 23:51")[0] == ("11-22 23:50", "11-22 23:55")
    assert spans(policy, "2026-11-22 23:56")[0][0] == "11-23 00:00"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=0;BYSECOND=0", ["11-22 02:00", "11-29 02:00"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;BYHOUR=2;BYMINUTE=0", ["11-22 02:00"]),  # counted from 2024-01-01
        ("DTSTART:20261122T023000\\nRRULE:FREQ=DAILY;COUNT=2", ["11-22 02:30", "11-23 02:30"]),
        ("FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=2;BYMINUTE=0", ["11-29 02:00"]),
    ],
)
def test_window_of_a_recurrence_rule(rule: str, expected: list[str], tmp_path: Path) -> None:
    policy = window(tmp_path, f'rrule: "{rule}", duration: 1h')
    assert [since for since, _ in spans(policy, "2026-11-22 02:10")] == expected


@pytest.mark.parametrize("schedule", ['cron: "30 2 * * *"', 'rrule: "FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0"'])
@pytest.mark.parametrize(
    ("now", "since"),
    [
        ("2026-07-01 00:00", "07-01 00:30"),  # summer time
        ("2026-12-01 00:00", "12-01 01:30"),
        ("2027-03-28 00:00", "03-28 01:00"),  # 02:30 is skipped: when the hour is over
    ],
)
def test_window_follows_its_time_zone(schedule: str, now: str, since: str, tmp_path: Path) -> None:
    policy = window(tmp_path, f"{schedule}, duration: 1h, timezone: Europe/Berlin")
    first, until = spans(policy, now)[0]
    assert abs((utc(f"2026-{first}") - utc(f"2026-{since}")).total_seconds()) <= 1800  # both readings of a skipped time
    assert utc(f"2026-{until}") - utc(f"2026-{first}") == timedelta(hours=1)


def test_drill_is_in_no_maintenance(tmp_path: Path) -> None:
    policy = window(tmp_path, 'cron: "* * * * *", duration: 2h')
    assert policy.decide(alert(), NOW).maintenance
    assert not policy.decide(alert(drill="errors"), NOW).maintenance


def test_window_whose_condition_cannot_be_evaluated_is_none(tmp_path: Path) -> None:
    policy = noise(tmp_path, "{maintenance: [{when: alert.change > 0.1, cron: '* * * * *', duration: 2h}]}")
    assert policy.decide(alert(change=0.2), NOW).maintenance
    assert not policy.decide(alert(), NOW).maintenance


def test_scaled_policy_has_scaled_times(tmp_path: Path) -> None:
    decision = noise(tmp_path, "{group_window: 5m, flapping: {changes: 4}}").scaled(60).decide(alert(), NOW)
    assert (decision.group_window, decision.refire_after) == (5.0, 30.0)
    assert decision.flapping == Flapping(changes=4, within=60.0, until_stable=30.0)


# ── Rollout ─────────────────────────────────────────────────────────────────────────────────────────────


def rollout(tmp_path: Path, text: str) -> Policy:
    return load(tmp_path, f"{BASE}{RULES}rollout: {text}\n")


def notified(policy: Policy, **changes: Any) -> list[tuple[float, list[str]]]:
    decision = policy.decide(alert(**changes), NOW)
    return [(step.after, [target.name for target in step.notify]) for step in decision.steps]


def test_warn_is_never_louder_than_a_post(tmp_path: Path) -> None:
    policy = rollout(tmp_path, "{phase: warn}")
    assert notified(policy) == [(0, ["chat"]), (900, ["chat"])]
    decision = policy.decide(alert(), NOW)
    assert (decision.tier, decision.phase) == ("critical", "warn")
    assert [target.name for target in decision.withheld] == ["pager"]
    assert decision.trace[-1].reason == "phase warn"
    high = policy.decide(alert(metric="csat", change=-0.4), NOW)
    assert [target.name for step in high.steps for target in step.notify] == ["chat"]
    assert (high.fallback, high.withheld) == ((), ())
    assert high.on_ack_timeout is not None  # critical's chat
    assert {target.kind for step in high.on_ack_timeout.steps for target in step.notify} == {"post"}


def test_observe_notifies_nobody_and_keeps_a_regulated_ticket(tmp_path: Path) -> None:
    policy = rollout(tmp_path, "{phase: observe}")
    decision = policy.decide(alert(), NOW)
    assert (decision.steps, decision.digest, decision.fallback, decision.tickets) == ((), (), (), ())
    assert decision.on_ack_timeout is decision.remind is None
    assert [target.name for target in decision.withheld] == ["pager", "chat"]
    regulated = policy.decide(alert(model="underwriting"), NOW)
    assert [target.name for target in regulated.tickets] == ["work"]
    assert policy.decide(alert(metric="psi", kind="drift"), NOW).tickets == ()


def test_first_exception_that_matches_counts(tmp_path: Path) -> None:
    policy = rollout(
        tmp_path,
        "{phase: observe, exceptions: [{when: alert.model == 'chatbot', phase: page}, {when: 'true', phase: warn}]}",
    )
    assert policy.decide(alert(), NOW).phase == "page"
    other = policy.decide(alert(model="other"), NOW)
    assert (other.phase, other.trace[-1].reason) == ("warn", "phase warn: true")


def test_exception_that_cannot_be_evaluated_makes_it_louder(tmp_path: Path) -> None:
    policy = rollout(tmp_path, """{phase: observe, exceptions: [{when: 'int(alert.tags["x"]) > 5', phase: page}]}""")
    assert policy.decide(alert(tags={"x": "many"}), NOW).phase == "page"
    assert policy.decide(alert(tags={"x": "4"}), NOW).phase == "observe"
    assert policy.decide(alert(), NOW).phase == "observe"


def test_drill_pages_in_every_phase(tmp_path: Path) -> None:
    assert notified(rollout(tmp_path, "{phase: observe}"), drill="errors")[0] == (0, ["pager"])


def test_warn_without_a_post_is_an_error(tmp_path: Path) -> None:
    text = BASE.replace("{notify: [chat]}], respond_within", "{notify: [pager]}], respond_within")
    assert any("it posts nowhere" in one for one in problems(tmp_path, f"{text}rollout: {{phase: warn}}\n"))
