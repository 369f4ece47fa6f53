# ruff: noqa: E501  # expected messages are one line each
"""``tocsin arize plan``: what is declared becomes what Arize has, in place or by a replacement."""

import pytest

from tests.cli.arize_harness import NOTHING, ONE, ArizeHarness
from tests.monitors.declared import ALL_KINDS


def test_all_kinds_are_applied_as_declared(arize: ArizeHarness) -> None:
    arize.declare(ALL_KINDS)
    plan = arize.plan()
    assert {change["action"] for change in plan["changes"]} == {"create"}
    assert len(plan["changes"]) == 5
    assert arize.apply().exit_code == 0
    found = arize.monitors()
    assert {name: row["type"] for name, row in found.items()} == {
        "slow-answers": "TRACING",
        "failures": "CUSTOM_METRIC",
        "empty-answers": "DATA_QUALITY",
        "topic-drift": "DRIFT",
        "precision": "PERFORMANCE",
    }
    slow = found["slow-answers"]
    assert slow["threshold"] == {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 5000}
    assert (slow["evaluation_window_length_seconds"], slow["delay_seconds"]) == (600, 300)
    assert slow["scheduled_runtime"] == {"enabled": True, "cadence_seconds": 600, "days_of_week": [1, 2, 3, 4, 5]}
    assert slow["filters"][0]["operator"] == "NOT_EQUALS"
    assert slow["notes"].startswith(
        "Slow answers lose customers.\n\nSince the re-index of May.\n\nowner:support runbook:"
    )
    assert slow["notes"].splitlines()[-1].startswith("managed-by: tocsin/slow-answers applied:")
    assert arize.tags("slow-answers") == {"team:support", "latency"}
    assert len(slow["notification_configs"]) == 3
    assert found["failures"]["threshold"]["type"] == "MANUAL_RANGE"
    assert found["empty-answers"]["downtime"] == {
        "start": "2026-12-06T02:00:00.000000Z",
        "duration_seconds": 7200,
        "frequency_days": 7,
    }
    assert found["topic-drift"]["threshold"]["upper"]["multiplier"] == 4
    precision = found["precision"]
    assert (precision["positive_class_value"], precision["metric_at_ranking_k_value"]) == ("relevant", 10)
    extras = arize.tenant.state.extras
    assert extras[found["failures"]["id"]].environment == "tracing"
    assert extras[found["empty-answers"]["id"]].environment == "validation"
    assert extras[slow["id"]].environment == "tracing"
    assert extras[found["precision"]["id"]].graphql == {"topKPercentileValue": 2.5}
    result = arize.run("plan")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "No changes: 5 of 5 monitors are as declared.")


def test_phase_decides_who_is_notified(arize: ArizeHarness) -> None:
    arize.declare(ALL_KINDS)
    arize.bring_about()
    found = arize.monitors()
    keys = {row["id"]: row["name"] for row in arize.tenant.state.integration_keys.oldest()}
    contacts = {
        name: [keys.get(one.get("integration_id"), one["type"]) for one in row.get("notification_configs", [])]
        for name, row in found.items()
    }
    assert sorted(contacts["slow-answers"]) == ["EMAIL", "oncall", "ops-slack"]  # page
    assert contacts["failures"] == ["ops-slack"]  # warn: nobody is paged
    assert contacts["empty-answers"] == []  # observe
    arize.declare(ALL_KINDS.replace("phase: observe", "phase: page"))
    (change,) = arize.plan()["changes"]
    assert (change["action"], [one[0] for one in change["differences"]]) == ("update", ["phase", "contacts"])
    assert arize.apply().exit_code == 0
    (contact,) = arize.monitors()["empty-answers"]["notification_configs"]
    assert keys[contact["integration_id"]] == "oncall"


@pytest.mark.parametrize(
    ("old", "new", "action"),
    [
        ("value: 5000", "value: 6000", "update"),
        ("operator: greater_than, value: 5000", "operator: greater_than, multiplier: 2", "update"),
        ("operator: greater_than, value: 5000", "lower: {value: 1}, upper: {value: 2}", "update"),
        ("operator: greater_than, value: 5000", "lower: {multiplier: 1}, upper: {multiplier: 2}", "replace"),
        ("metric: p95", "metric: p99", "update"),
        ("metric: p95", "metric: p95\n    window: 2h\n    delay: 10m", "update"),
        ("metric: p95", "metric: p95\n    name: Another name", "update"),
        ("metric: p95", "metric: p95\n    notes: Text\n    owner: ml", "update"),
        ("metric: p95", "metric: p95\n    filters: [{category: tag, name: x, values: [1, true]}]", "update"),
        ("metric: p95", "metric: p95\n    tags: [a]", "update"),
        ("{integration: ops-slack}", "{email: a@example.com}", "update"),
        ("contacts: [{integration: ops-slack}]", "contacts: []", "update"),
        ("name: latency_ms", "name: llm.cost", "replace"),
        ("metric: p95", "metric: p95\n    cadence: 5m", "replace"),
        ("metric: p95", "metric: p95\n    downtime: {start: 2026-12-06, duration: 2h, every: 7d}", "replace"),
        ("model: chatbot", "project: search", "replace"),
        ("kind: tracing", "kind: data_quality", "replace"),
    ],
)
def test_change_is_in_place_or_a_replacement(arize: ArizeHarness, old: str, new: str, action: str) -> None:
    if new == "kind: data_quality":
        new_text = ONE.replace(old, new).replace("span_attribute", "feature_label")
    else:
        new_text = ONE.replace(old, new)
    assert new_text != ONE
    arize.declare(ONE)
    arize.bring_about()
    before = arize.monitors()["slow"]["id"]
    arize.declare(new_text)
    (change,) = arize.plan()["changes"]
    assert change["action"] == action
    assert bool(change["replaced_because"]) == (action == "replace")
    assert ("-/+ slow" in arize.run("plan").output) == (action == "replace")
    assert arize.apply().exit_code == 0
    (after,) = arize.monitors().values()
    assert (after["id"] == before) == (action == "update")
    assert arize.run("plan").exit_code == 0
    arize.declare(ONE)  # and back: what was set is removed again
    arize.bring_about()
    assert arize.run("plan").exit_code == 0


def test_exit_codes_of_plan(arize: ArizeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    arize.declare(NOTHING)
    assert arize.run("plan").exit_code == 0
    arize.declare(ONE)
    assert arize.run("plan").exit_code == 2
    arize.declare(ONE.replace("p95", "p96"))
    assert arize.run("plan").exit_code == 1
    arize.declare(ONE)
    assert arize.run("plan", "--no-such-option").exit_code == 1
    assert arize.run("plan", "missing.yaml").exit_code == 1
    assert arize.run("plan", "--out", "missing/plan.json").exit_code == 1
    monkeypatch.setenv("ARIZE_API_KEY", "")
    result = arize.run("plan")
    assert (result.exit_code, "set ARIZE_API_KEY" in result.output) == (1, True)
    assert arize.mutations() == []


def test_unknown_names_have_line_and_column(arize: ArizeHarness) -> None:
    text = ALL_KINDS.replace("Error Rate", "Eror Rate").replace("{integration: oncall}]", "{integration: onkall}]")
    arize.declare(text.replace("  project: chatbot\n", "  project: chatbott\n", 1))
    result = arize.run("plan")
    assert result.exit_code == 1
    assert (
        "monitors/monitors.yaml:3:3: defaults.project: Arize has no project chatbott: did you mean chatbot?"
        in result.output
    )
    arize.declare(text)
    lines = arize.run("plan").output.splitlines()
    assert (
        "monitors/monitors.yaml:28:5: monitors.failures.custom_metric: the project chatbot has no custom metric 'Eror Rate': did you mean Error Rate?"
        in lines
    )
    assert (
        "monitors/monitors.yaml:32:43: monitors.failures.contacts[1].integration: Arize has no integration 'onkall': did you mean oncall?"
        in lines
    )


def test_webhook_is_a_step_by_hand(arize: ArizeHarness) -> None:
    url = "https://tocsin.example.com/webhooks/arize"
    with_webhook = ONE.replace("[{integration: ops-slack}]", f"[{{integration: ops-slack}}, {{webhook: {url!r}}}]")
    arize.declare(with_webhook)
    (step,) = arize.plan()["manual"]
    assert f"add the webhook {url}" in step["text"]
    assert f"add the webhook {url}" in arize.apply().output
    slow = arize.monitors()["slow"]
    result = arize.run("plan")
    assert (result.exit_code, slow["uri"] in result.output) == (0, True)  # no change, and still to be done
    webhook = arize.tenant.add_webhook(url, token="secret")
    arize.tenant.attach_webhook(slow["id"], webhook["id"])
    assert arize.plan()["manual"] == []
    # Arize replaces all contacts: what it removed is said.
    arize.declare(with_webhook.replace("ops-slack", "oncall"))
    arize.plan()
    assert f"add the webhook {url}" in arize.apply().output
    arize.tenant.attach_webhook(slow["id"], webhook["id"])
    arize.declare(with_webhook.replace("ops-slack", "oncall").replace("kind:", "phase: observe\n    kind:"))
    (step,) = arize.plan()["manual"]
    assert f"remove the webhook {url}" in step["text"]


def test_what_the_api_cannot_set_is_a_conflict(arize: ArizeHarness) -> None:
    arize.declare(ONE.replace("value: 5000", "multiplier: 2, calculation: mad"))
    result = arize.run("plan")
    assert (result.exit_code, "Arize's API cannot set the calculation mad" in result.output) == (1, True)
    arize.declare(ONE + "    filters: [{category: tag, name: x, operator: contains, values: [y]}]\n")
    result = arize.run("plan")
    assert (result.exit_code, "cannot set the filter operator contains" in result.output) == (1, True)


def test_takeover_of_a_wrong_monitor_is_refused(arize: ArizeHarness) -> None:
    theirs = arize.tenant.add_monitor(project="chatbot", name="x", notes="managed-by: tocsin/team-b/x")
    other = arize.tenant.add_monitor(project="search", name="y")
    for identifier, reason in [
        ("TW9uaXRvcjox", "does not exist; without this key, a new one is created"),
        (theirs["id"], "is managed by tocsin/team-b/x"),
        (other["id"], "is a tracing monitor of search"),
    ]:
        arize.declare(ONE.replace("kind: tracing", f"kind: tracing\n    id: {identifier}"))
        result = arize.run("plan")
        assert result.exit_code == 1
        assert f"monitors/monitors.yaml:5:5: monitors.slow.id: the monitor {identifier} {reason}" in result.output


def test_tags_are_managed_only_if_declared(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    slow = arize.monitors()["slow"]
    tag = arize.tenant.state.tag("by hand", arize.tenant.space_id)
    arize.tenant.state.extras[slow["id"]].tags.append(tag["id"])
    assert arize.run("plan").exit_code == 0
    assert arize.run("drift").exit_code == 0
    arize.declare(ONE + "    tags: [By Hand, new]\n")
    (change,) = arize.plan()["changes"]
    assert change["differences"] == [["tags", "by hand", "By Hand, new"]]
    assert arize.apply().exit_code == 0  # the tag of another case exists, and is used
    assert arize.tags("slow") == {"by hand", "new"}
    assert arize.run("plan").exit_code == 0


def test_namespaces_keep_repositories_apart(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    arize.declare(ONE.replace("version: 1", "version: 1\nnamespace: team-b").replace("slow:", "fast:"))
    plan = arize.plan()
    assert [(change["action"], change["key"]) for change in plan["changes"]] == [("create", "fast")]
    assert arize.apply().exit_code == 0
    assert arize.monitors()["fast"]["notes"].startswith("managed-by: tocsin/team-b/fast applied:")
