"""Hypothesis strategies for conditions, rules, alerts and documents."""

from typing import Any

from hypothesis import strategies as st

from alerts import Alert

METRICS = ("error_rate", "embedding_drift", "psi")
ENVIRONMENTS = ("production", "staging")
NUMBERS = (-1.0, 0.0, 0.5, 1.0, 2.0)

_numbers = st.sampled_from(NUMBERS).map(repr)
_compared = st.builds(
    "{} {} {}".format,
    st.sampled_from(["alert.value", "alert.change", "alert.baseline"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.one_of(_numbers, st.just("model.slo.limit")),
)
_swapped = st.builds("{} {} alert.value".format, _numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
_texts = st.one_of(
    st.builds("alert.metric {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(METRICS)),
    st.builds("alert.environment {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(ENVIRONMENTS)),
    st.lists(st.sampled_from(METRICS), min_size=1, max_size=3, unique=True).map(
        lambda names: f"alert.metric in [{', '.join(repr(name) for name in names)}]"
    ),
)
_others = st.sampled_from(
    ["model.regulated", "alert.segment['tier'] == 'premium'", "has(alert.baseline)", "incident.alerts > 3", "true"]
)
conditions: st.SearchStrategy[str] = st.recursive(
    st.one_of(_compared, _swapped, _texts, _others),
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)
"""Valid conditions over few fields and values, so that rules often overlap."""

alerts: st.SearchStrategy[Alert] = st.builds(
    Alert,
    monitor=st.just("m"),
    metric=st.sampled_from((*METRICS, "")),
    environment=st.sampled_from((*ENVIRONMENTS, "")),
    model=st.sampled_from(("plain", "ruled", "unknown")),
    value=st.one_of(st.none(), st.sampled_from(NUMBERS)),
    change=st.one_of(st.none(), st.sampled_from(NUMBERS)),
    baseline=st.one_of(st.none(), st.sampled_from(NUMBERS)),
    segment=st.one_of(st.just({}), st.just({"tier": "premium"}), st.just({"tier": "free"})),
)

MODELS = "models: {defaults: {slo: {limit: 0.5}}, plain: {slo: {limit: 1}}, ruled: {regulated: true}}\n"


def policy_text(base: str, rules: list[tuple[str, str]]) -> str:
    """A policy with these conditions and tiers."""
    lines = [f'  - {{name: r{index}, tier: {tier}, when: "{when}"}}\n' for index, (when, tier) in enumerate(rules)]
    return base + MODELS + ("rules:\n" + "".join(lines) if lines else "")


rule_lists: st.SearchStrategy[list[tuple[str, str]]] = st.lists(
    st.tuples(conditions, st.sampled_from(("critical", "high", "low"))), max_size=6
)

_words = st.sampled_from(
    ["version", "1", "rules", "tiers", "critical", "steps", "notify", "destinations", "type", "console", "when", "a"]
)
documents: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_words, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_words, inner, max_size=4)),
    max_leaves=12,
)
"""YAML documents that contain keys of a policy."""
