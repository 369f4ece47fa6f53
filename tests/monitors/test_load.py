# ruff: noqa: E501  # expected messages are one line each
"""Every problem of a monitors file is reported with its line and column, and the nearest word."""

from pathlib import Path

import pytest

from policy import Policy
from tests.monitors.declared import ALL_KINDS, a_policy, parse, problems

HEAD = "version: 1\nmonitors:\n  slow:\n"
GOOD = """\
    kind: tracing
    model: chatbot
    metric: p95
    dimension: {category: span_attribute, name: latency_ms}
    threshold: {operator: greater_than, value: 5000}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return a_policy(tmp_path)


def test_all_kinds_are_read(policy: Policy) -> None:
    read = parse(policy, ALL_KINDS)
    assert [one.config.kind for one in read.monitors] == [
        "data_quality",
        "custom_metric",
        "performance",
        "tracing",
        "drift",
    ]
    slow = next(one for one in read.monitors if one.key == "slow-answers")
    assert (slow.projects, slow.slo["p95_latency_ms"]) == (("chatbot",), 5000)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: tracing", "kind: tracin", "a.yaml:4:5: monitors.slow.kind: there is no kind 'tracin': did you mean tracing?"),
        ("    kind: tracing\n", "", "a.yaml:3:3: monitors.slow: a monitor needs a kind, one of data_quality, performance, drift, custom_metric, tracing"),
        ("metric: p95", "metrik: p95", "a.yaml:6:5: monitors.slow.metrik: unknown key: did you mean metric?"),
        ("metric: p95", "metric: p96", "a.yaml:6:5: monitors.slow.metric: found 'p96': did you mean p99?"),
        ("metric: p95", "metric: new_values", "a.yaml:6:5: monitors.slow.metric: found 'new_values'; allowed are avg, cardinality, count, p50, p95, p99, p99_9, percent_empty, standard_deviation, sum"),
        ("span_attribute,", "span_atribute,", "a.yaml:7:17: monitors.slow.dimension.category: found 'span_atribute': did you mean span_attribute?"),
        ("model: chatbot", "model: chatbott", "a.yaml:5:5: monitors.slow.model: the policy's catalogue has no model 'chatbott': did you mean chatbot?"),
        ("    model: chatbot\n", "", "a.yaml:3:3: monitors.slow: needs a model of the policy's catalogue, or an Arize project"),
        ("value: 5000", "slo: p95_latency", "a.yaml:8:41: monitors.slow.threshold.slo: model chatbot has no objective 'p95_latency': did you mean p95_latency_ms?"),
        ("model: chatbot", "project: x\n    owner: a b", "a.yaml:6:5: monitors.slow.owner: found 'a b'; a word without spaces is needed"),
        ("value: 5000", "value: 5000, multiplier: 2", "a.yaml:8:5: monitors.slow.threshold: exactly one of value, slo and multiplier is needed, or a range: lower and upper"),
        ("operator: greater_than, ", "", "a.yaml:8:5: monitors.slow.threshold: needs an operator, such as greater_than"),
        ("operator: greater_than, value: 5000", "lower: {value: 1}", "a.yaml:8:5: monitors.slow.threshold: a range needs both lower and upper"),
        ("operator: greater_than, value: 5000", "lower: {operator: less_than, value: 1}, upper: {value: 2}", "a.yaml:8:5: monitors.slow.threshold: the operator of lower must be greater_than or greater_than_or_equal"),
        ("operator: greater_than, value: 5000", "lower: {value: 1}, upper: {multiplier: 2}", "a.yaml:8:5: monitors.slow.threshold: either both ends of a range have a multiplier, or none"),
        ("value: 5000}", "value: 5000, calculation: mad}", "a.yaml:8:5: monitors.slow.threshold: calculation belongs to a dynamic threshold, which has a multiplier"),
        ("metric: p95", "metric: p95\n    window: 72", "a.yaml:7:5: monitors.slow.window: found 72; a duration is a whole number with its unit, such as 30s, 15m, 24h or 7d"),
        ("metric: p95", "metric: p95\n    days: [mon]", "a.yaml:3:3: monitors.slow: days needs a cadence beside it"),
        ("metric: p95", "metric: p95\n    downtime: {start: 2026-12-06T02:00:00Z, duration: 90m, every: 7d}", "a.yaml:7:5: monitors.slow.downtime: the duration of a downtime is in whole hours, such as 2h"),
        ("metric: p95", "metric: p95\n    contacts: [{email: a@b.c, webhook: x}]", "a.yaml:7:16: monitors.slow.contacts[0]: a contact is exactly one of email, integration and webhook"),
        ("metric: p95", "metric: p95\n    contacts: [{slack: ops}]", "a.yaml:7:17: monitors.slow.contacts[0].slack: unknown key; allowed are email, integration, webhook"),
        ("metric: p95", "metric: p95\n    phase: pages", "a.yaml:7:5: monitors.slow.phase: found 'pages': did you mean page?"),
        ("metric: p95", "metric: p95\n    notes: |\n      x\n      managed-by: tocsin/other", "a.yaml:7:5: monitors.slow.notes: ends with Tocsin's own mark, which is written for you: remove the line"),
        ("metric: p95", "metric: p95\n    notes: whsec_0123456789abcdef", "a.yaml:7:5: monitors.slow.notes: this looks like a webhook's signing secret: a declaration is no place for a secret"),
        ("kind: tracing", "kind: data_quality", "a.yaml:3:3: monitors.slow: a monitor of span_attribute is of the kind tracing"),
        ("metric: p95", "metric: p95\n  Slow:\n    kind: drift", "a.yaml:7:3: monitors.Slow: found 'Slow'; a name has at most 63 lower-case letters, digits, - and _, and begins with a letter or a digit"),
        ("version: 1", "version: 2", "a.yaml:1:1: version: found 2; allowed are 1"),
        ("monitors:", "monitor:", "a.yaml:2:1: monitor: unknown key: did you mean monitors?"),
        ("metric: p95", 'metric: p95\n    filters: [{category: tag, name: x, values: ["\\ud83d"]}]', "a.yaml:7:49: monitors.slow.filters[0].values[0]: the text has half a character, such as \\ud83d without its second half"),
        ("metric: p95", "metric: p95\n    phase: page\n    notes: phase:warn", "a.yaml:8:5: monitors.slow.notes: ends with phase:warn, and the key phase is page: remove one of the two"),
        ("metric: p95", "metric: [p95", "a.yaml:7:14: not YAML: expected ',' or ']', but got ':'"),
    ],
)  # fmt: skip
def test_problem_has_line_column_and_remedy(policy: Policy, old: str, new: str, expected: str) -> None:
    text = HEAD + GOOD
    assert problems(policy, text) == []
    assert old in text
    assert expected in problems(policy, text.replace(old, new, 1))


def test_file_that_is_no_map(policy: Policy) -> None:
    expected = "a.yaml:1:1: a monitors file is a map of sections: version, namespace, defaults, monitors"
    assert problems(policy, "- 1\n") == [expected]


def test_problem_of_defaults_has_its_place(policy: Policy) -> None:
    text = "version: 1\ndefaults:\n  model: chatbott\n  phase: pag\n" + HEAD.removeprefix("version: 1\n") + GOOD
    found = problems(policy, text.replace("    model: chatbot\n", ""))
    assert found == [
        "a.yaml:4:3: defaults.phase: found 'pag': did you mean page?",
    ]
    found = problems(policy, text.replace("    model: chatbot\n", "").replace("pag\n", "page\n"))
    assert found == [
        "a.yaml:3:3: defaults.model: the policy's catalogue has no model 'chatbott': did you mean chatbot?"
    ]


def test_all_problems_of_all_files_are_reported(policy: Policy) -> None:
    found = problems(
        policy, HEAD + GOOD.replace("p95", "p96"), HEAD.replace("slow", "fast") + GOOD.replace("5000", "x")
    )
    assert [one.split(": ")[0] for one in found] == ["a.yaml:6:5", "b.yaml:8:41"]


def test_key_in_two_files(policy: Policy) -> None:
    assert problems(policy, HEAD + GOOD, HEAD + GOOD) == ["b.yaml:3:3: monitors.slow: is already in a.yaml"]


def test_files_share_one_namespace(policy: Policy) -> None:
    other = (HEAD + GOOD).replace("slow", "fast").replace("version: 1", "version: 1\nnamespace: team")
    (found,) = problems(policy, HEAD + GOOD, other)
    assert found.endswith("namespace: all files of a folder need the same namespace; they have none, team")
    both = [one.replace("version: 1\n", "version: 1\nnamespace: team\n") for one in (HEAD + GOOD, HEAD.replace("slow", "b") + GOOD)]  # fmt: skip
    assert parse(policy, *both).namespace == "team"


def test_defaults_belong_to_one_file(policy: Policy) -> None:
    first = "version: 1\ndefaults: {owner: one, phase: warn}\nmonitors:\n  a:\n" + GOOD
    second = "version: 1\ndefaults: {owner: two}\nmonitors:\n  b:\n" + GOOD + "    owner: three\n"
    third = "version: 1\nmonitors:\n  c:\n" + GOOD
    read = {one.key: one.config for one in parse(policy, first, second, third).monitors}
    assert [(read[key].owner, read[key].phase) for key in "abc"] == [("one", "warn"), ("three", "page"), ("", "page")]
