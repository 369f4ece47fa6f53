"""Declarations for tests: of all kinds, written and generated, and what they mean in a tenant."""

import json
from pathlib import Path
from typing import Any, get_args

from hypothesis import strategies as st

from integrations.base.registry import destination_types
from monitors import Declarations, Integration, MonitorsError, Project, Tenant, parse_monitors
from monitors import vocabulary as words
from policy import Policy, load_policy
from policy.source import PolicySource
from tests.policy.policies import BASE, RULES

ALL_KINDS = """\
version: 1
defaults:
  project: chatbot
monitors:
  slow-answers:
    kind: tracing
    project: ""
    model: chatbot
    metric: p95
    dimension: {category: span_attribute, name: latency_ms}
    threshold: {operator: greater_than, slo: p95_latency_ms}
    window: 10m
    delay: 5m
    cadence: 10m
    days: [mon, tue, wed, thu, fri]
    filters:
      - {category: span_attribute, name: traffic, operator: not_equals, values: [probe]}
    tags: ["team:support", latency]
    contacts: [{integration: ops-slack}, {integration: oncall}, {email: ml@example.com}]
    owner: support
    runbook: https://runbooks.example.com/latency
    notes: |
      Slow answers lose customers.

      Since the re-index of May.
  failures:
    kind: custom_metric
    custom_metric: Error Rate
    model_environment: tracing
    threshold: {lower: {value: 0}, upper: {operator: less_than_or_equal, value: 0.05}}
    phase: warn
    contacts: [{integration: ops-slack}, {integration: oncall}]
  empty-answers:
    kind: data_quality
    metric: percent_empty
    dimension: {category: predictions}
    model_environment: validation
    threshold: {operator: greater_than, multiplier: 3}
    downtime: {start: 2026-12-06T02:00:00Z, duration: 2h, every: 7d}
    phase: observe
    contacts: [{integration: oncall}]
  topic-drift:
    kind: drift
    metric: js
    dimension: {category: feature_label, name: topic}
    threshold: {lower: {multiplier: 2}, upper: {multiplier: 4}}
  precision:
    kind: performance
    metric: ranking_precision
    positive_class: relevant
    prediction_class: relevant
    ranking_k: 10
    top_k_percentile: 2.5
    threshold: {operator: less_than, value: 0.8}
"""


def a_policy(folder: Path) -> Policy:
    file = folder / "policy.yaml"
    rules = RULES.replace("slo: {error_rate: 0.02}", "slo: {error_rate: 0.02, p95_latency_ms: 5000}")
    file.write_text(BASE + rules, encoding="utf-8")
    return load_policy(file, destination_types())


def parse(policy: Policy, *texts: str) -> Declarations:
    """Read monitors files that are named ``a.yaml``, ``b.yaml`` …"""
    files = tuple((f"{chr(ord('a') + index)}.yaml", text.encode()) for index, text in enumerate(texts))
    return parse_monitors(PolicySource(files), policy)


def problems(policy: Policy, *texts: str) -> list[str]:
    try:
        parse(policy, *texts)
    except MonitorsError as error:
        return [str(problem) for problem in error.problems]
    return []


def as_yaml(entries: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "monitors": entries}, ensure_ascii=False)  # JSON is YAML


TENANT = Tenant(
    projects=(Project("P1", "chatbot", "S1"), Project("P2", "search", "S1")),
    integrations=(
        Integration("I1", "ops-slack", "slack"),
        Integration("I2", "oncall", "pagerduty"),
        Integration("I3", "ops-genie", "opsgenie"),
    ),
    custom_metrics={"P1": {"C1": "Error Rate", "C2": "Cost"}, "P2": {}},
)

# ── Generated declarations ──────────────────────────────────────────────────────────────────────────────────────────

WORD = st.text("abcdefghijklmnopqrstuvwxyz:/.-_0123456789", min_size=1, max_size=20)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp", "Cn", "Co")), max_size=30)
NOTES = st.lists(
    TEXT | st.sampled_from(["", "owner:ml runbook:https://r", "phase:warn", "phase:page", "managed-by: somebody"]),
    max_size=4,
).map("\n".join)
NUMBER = st.floats(-1e6, 1e6).map(lambda number: round(number, 6)) | st.integers(-1000, 1000)
MULTIPLIER = st.floats(0.1, 10).map(lambda number: round(number, 3))
LOWER, UPPER = st.sampled_from(words.LOWER_OPERATORS), st.sampled_from(words.UPPER_OPERATORS)


def _literal(literal: Any) -> st.SearchStrategy[str]:
    return st.sampled_from(get_args(literal))


def _duration(unit: str, most: int) -> st.SearchStrategy[str]:
    return st.integers(1, most).map(lambda number: f"{number}{unit}")


@st.composite
def thresholds(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.sampled_from(["value", "multiplier", "range", "dynamic range"]))
    if shape == "value":
        return {"operator": draw(_literal(words.Operator)), "value": draw(NUMBER)}
    if shape == "multiplier":
        return {"operator": draw(_literal(words.Operator)), "multiplier": draw(MULTIPLIER)}
    key = "value" if shape == "range" else "multiplier"
    low, high = sorted([draw(NUMBER), draw(NUMBER)]) if shape == "range" else (draw(MULTIPLIER), draw(MULTIPLIER))
    high = low + 1 if low == high else high
    return {"lower": {"operator": draw(LOWER), key: low}, "upper": {"operator": draw(UPPER), key: high}}


def _dimension(categories: Any) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({"category": st.sampled_from(categories), "name": WORD})


SPANS = get_args(words.TracingCategory)
OTHERS = [one for one in get_args(words.Category) if one not in SPANS]
ENVIRONMENT = {"model_environment": _literal(words.ModelEnvironment)}
_KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tracing": ({"metric": _literal(words.TracingMetric), "dimension": _dimension(SPANS)}, {}),
    "data_quality": ({"metric": _literal(words.DataQualityMetric), "dimension": _dimension(OTHERS)}, ENVIRONMENT),
    "drift": ({"metric": _literal(words.DriftMetric), "dimension": _dimension(get_args(words.Category))}, {}),
    "performance": (
        {"metric": _literal(words.PerformanceMetric)},
        {
            **ENVIRONMENT,
            "positive_class": WORD,
            "prediction_class": WORD,
            "ranking_k": st.integers(1, 100),
            "top_k_percentile": st.floats(0.1, 100).map(lambda number: round(number, 4)),
        },
    ),
    "custom_metric": ({"custom_metric": st.sampled_from(["Error Rate", "Cost"])}, ENVIRONMENT),
}
CONTACTS = st.lists(
    st.sampled_from([{"integration": "ops-slack"}, {"integration": "oncall"}, {"integration": "ops-genie"}])
    | WORD.map(lambda word: {"email": f"{word}@example.com"}),
    max_size=4,
)
FILTERS = st.lists(
    st.fixed_dictionaries(
        {
            "category": _literal(words.Category),
            "name": WORD,
            "operator": st.sampled_from(sorted(words.SETTABLE_OPERATORS)),
            "values": st.lists(TEXT, max_size=3),
        }
    ),
    max_size=3,
)
DOWNTIME = st.fixed_dictionaries(
    {"start": st.just("2026-12-06T02:00:00Z"), "duration": _duration("h", 47), "every": _duration("d", 30)}
)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """One valid declaration of any kind."""
    kind = draw(st.sampled_from(sorted(_KINDS)))
    required, optional = _KINDS[kind]
    common = {
        "window": _duration("m", 10_000),
        "delay": _duration("s", 10_000),
        "filters": FILTERS,
        "contacts": CONTACTS,
        "downtime": DOWNTIME,
        "tags": st.lists(st.sampled_from(["a", "b", "team:ml", "Latency"]), max_size=3, unique=True),
        "phase": st.sampled_from(["observe", "warn"]),  # page beside notes that end with phase:warn is an error
        "owner": WORD,
        "runbook": WORD,
        "notes": NOTES,
    }
    entry = draw(st.fixed_dictionaries({**required}, optional={**optional, **common}))
    if draw(st.booleans()):
        entry |= {"cadence": draw(_duration("m", 1000)), "days": draw(st.lists(_literal(words.Day), max_size=7))}
    return {"kind": kind, "project": "chatbot", "threshold": draw(thresholds()), **entry}


DECLARATIONS = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).filter(lambda key: key[0] != "-"),
    entries(),
    min_size=1,
    max_size=3,
)
