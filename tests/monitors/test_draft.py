"""A drafted policy covers every monitor, whatever it measures and is called, and passes its own tests."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import Description
from integrations.base.registry import destination_types
from monitors.coverage import Gap, cover
from monitors.draft import Draft, make_draft, tier_of
from monitors.draft_text import cases_text, policy_text
from policy import Policy, PolicySource, parse_policy
from simulation.test_cases import read_tests
from simulation.test_runner import run
from tests.vendors.arize.every_kind import THRESHOLDS, monitors_of_every_kind

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LATENCY = {"type": "TRACING", "metric": "P95", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"}}


def parse(text: str) -> Policy:
    return parse_policy(PolicySource((("tocsin.yaml", text.encode()),)), destination_types())


def drafted(descriptions: Sequence[Description]) -> tuple[Draft, str, Policy]:
    def text_of(draft: Draft) -> str:
        return policy_text(draft, "Acme", len(descriptions), "tocsin.yaml")

    draft = make_draft(descriptions, text_of, parse)
    text = text_of(draft)
    return draft, text, parse(text)


def check(descriptions: Sequence[Description], folder: Path) -> str:
    """The drafted policy, after it was checked, and its tests were run."""
    _, text, policy = drafted(descriptions)
    for one in descriptions:
        row = cover(policy, one, NOW, attached=True)
        assert Gap.UNMAPPED not in row.gaps, (one.monitor, text)
    file = folder / "tests.yaml"
    file.write_text(cases_text(descriptions, policy, "Acme", NOW), encoding="utf-8")
    results = run(read_tests([file], policy), policy)
    assert len(results.results) >= len(descriptions)
    assert not results.failed, [one.differences for one in results.results if not one.passed]
    return text


def a_monitor(number: int, project: str = "support-chatbot", **fields: Any) -> Description:
    extra = {
        key: fields.pop(key) for key in ("custom_metric", "formula", "tags", "project_tags", "missing") if key in fields
    }
    monitor = {
        "id": f"m{number}",
        "name": f"monitor {number}",
        "project_id": f"id of {project}",
        **({} if "type" in fields else LATENCY),
        "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 5000},
        "evaluation_window_length_seconds": 300,
        **fields,
    }
    return Description(monitor_id=f"m{number}", monitor=monitor, project=project, described_at=NOW, **extra)


def test_every_kind_of_monitor_is_drafted(tmp_path: Path) -> None:
    every = monitors_of_every_kind("TW9kZWw6NTAwMDphWjUwMDA=", "Q3VzdG9tTWV0cmljOjcwMDphWjcwMA==")
    descriptions = [
        Description(monitor_id=f"m{index}", monitor={"id": f"m{index}", **one}, project="p", described_at=NOW)
        for index, one in enumerate(every)
    ]
    check(descriptions, tmp_path)


def test_rules_have_the_loosest_thresholds(tmp_path: Path) -> None:
    threshold = {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 8000}
    descriptions = [a_monitor(1), a_monitor(2, threshold=threshold), a_monitor(3, "search", threshold=threshold)]
    text = check(descriptions, tmp_path)
    assert "alert.value > model.slo.p95_latency_ms" in text
    draft, _, policy = drafted(descriptions)
    assert {one.name: dict(one.slo) for one in draft.models} == {
        "support-chatbot": {"p95_latency_ms": 5000},
        "search": {"p95_latency_ms": 8000},
    }
    assert dict(draft.slo) == {"p95_latency_ms": 5000}
    assert cover(policy, descriptions[2], NOW, attached=True).tier == "critical"


def test_wrong_side_of_a_range_pages_nobody(tmp_path: Path) -> None:
    band = {"type": "MANUAL_RANGE", "lower": {"value": 50}, "upper": {"value": 5000}}
    text = check([a_monitor(1, threshold=band)], tmp_path)
    assert "alert.value > model.slo.p95_latency_ms" in text
    assert "slo: {p95_latency_ms: 5000}" in text


def test_dynamic_threshold_has_no_number_in_its_rule(tmp_path: Path) -> None:
    dynamic = {"type": "DYNAMIC_SINGLE", "operator": "GREATER_THAN", "multiplier": 2}
    text = check([a_monitor(1, threshold=dynamic), a_monitor(2)], tmp_path)
    assert "slo:" not in text
    assert "a dynamic threshold" in text


def test_unknown_metrics_get_names(tmp_path: Path) -> None:
    custom: dict[str, Any] = {"type": "CUSTOM_METRIC", "custom_metric_id": "c1"}
    less = {"type": "MANUAL_SINGLE", "operator": "LESS_THAN", "value": 0.4}
    gauge: dict[str, Any] = {
        **LATENCY,
        "metric": "AVG",
        "dimension": {"category": "SPAN_ATTRIBUTE", "name": "my gauge"},
    }
    descriptions = [
        a_monitor(1, **custom, custom_metric="Checkout Zeal", formula="SELECT 1\nFROM model", threshold=less),
        a_monitor(2, **gauge),
        a_monitor(3, type="CUSTOM_METRIC", custom_metric_id="c2", missing=("its custom metric: denied",)),
        a_monitor(4, type="CUSTOM_METRIC", custom_metric_id="c3", custom_metric="in"),
        a_monitor(5, type="CUSTOM_METRIC", custom_metric_id="c4", custom_metric="質"),
    ]
    text = check(descriptions, tmp_path)
    assert 'checkout_zeal: {names: ["Checkout Zeal"], better: higher}   # in Arize: SELECT 1 FROM model' in text
    assert (
        """avg_my_gauge: {match: 'alert.aggregation == "avg" && alert.dimension == "my gauge"', better: lower}"""
        in text
    )
    assert "names: [c2]" in text
    assert "metric_in: {names: [in]" in text


def test_catalogue_has_what_tags_state(tmp_path: Path) -> None:
    descriptions = [
        a_monitor(1, project_tags=("team:core", "owner:anna", "regulated:true")),
        a_monitor(2, "search-staging"),
        a_monitor(3, "search", project_id="s1"),
        a_monitor(4, "Search", project_id="s2"),
        a_monitor(5, "eval", tags=("environment:staging",)),
    ]
    text = check(descriptions, tmp_path)
    assert "support-chatbot: {team: core, owner: anna, regulated: true, slo:" in text
    assert "governance: {regulated: model.regulated" in text
    assert "add environment: staging if its name means that" in text
    assert "arize: {projects: [s1]}" in text
    assert "name: not-production" in text
    _, _, policy = drafted(descriptions)
    assert cover(policy, descriptions[4], NOW, attached=True).tier == "low"
    assert [policy.interpret(one.as_alert()).model for one in descriptions[2:4]] == ["search", "Search-2"]


def test_late_monitors_are_remarked() -> None:
    soon: dict[str, Any] = {"scheduled_runtime": {"enabled": True, "cadence_seconds": 300}}
    _, late, _ = drafted([a_monitor(1)])
    assert "consider a cadence of 5m and a window of 15m" in late
    assert "every 1h (Arize's default) over 5m (late)" in late
    _, fine, _ = drafted([a_monitor(1, **soon)])
    assert "(late)" not in fine


def test_tiers_are_proposed_by_the_metric() -> None:
    assert [
        tier_of(*one) for one in (("error_rate", "performance"), ("llm_cost", "cost"), ("cardinality", "data_quality"))
    ] == [
        "critical",
        "high",
        "low",
    ]


names = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "on", "null", "a: b", "# x", "'q\"", "\\", "\x85\u2028\ufeff", "😀", "-", "defaults", "{}", "%"]
    ),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(names, names, names, st.sampled_from(THRESHOLDS), names), min_size=1, max_size=5))
def test_any_text_of_a_tenant_is_drafted(
    tmp_path_factory: Any, rows: list[tuple[str, str, str, dict[str, Any], str]]
) -> None:
    descriptions = [
        a_monitor(
            index,
            project,
            name=name,
            threshold=threshold,
            tags=(f"team:{tag}", f"owner:{tag}"),
            **(
                {"type": "CUSTOM_METRIC", "custom_metric_id": f"c{index}", "custom_metric": dimension, "formula": tag}
                if index % 2
                else {**LATENCY, "metric": "AVG", "dimension": {"category": "SPAN_ATTRIBUTE", "name": dimension}}
            ),
        )
        for index, (project, name, dimension, threshold, tag) in enumerate(rows)
    ]
    check(descriptions, tmp_path_factory.mktemp("draft"))
