"""``intake``: mappings are checked when the policy is loaded, and lose no body that they cannot read."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import FIELD_OF, Alert, AlertError, read_json, shape_of_json, unreadable_alert
from integrations.base.registry import destination_types
from policy import Policy, PolicyError, load_policy, read_payload
from policy.cel.mapping import KEY_OF
from tests.policy.policies import BASE, RULES

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def load(folder: Path, intake: str) -> Policy:
    file = folder / "policy.yaml"
    file.write_text(BASE + RULES + intake, encoding="utf-8")
    return load_policy(file, destination_types())


def with_mapping(folder: Path, when: str = "has(payload.d)", **alert: str) -> Policy:
    fields = {"monitor": "payload.d.title", **alert}
    return load(folder, f"intake: {json.dumps({'mappings': [{'name': 'detector', 'when': when, 'alert': fields}]})}\n")


def read(policy: Policy, payload: Any, **options: str) -> Alert:
    reading = read_payload(policy.mappings, payload, **options)
    assert reading.mapping == "detector"
    return reading.alert


ERRORS = [
    ("when: payload.x = 1", "a single = is not a comparison: write =="),
    ("when: payload.x +", "the condition ends where more is expected"),
    ("when: alert.metric == 'x'", "'alert' is unknown; allowed are now, payload"),
    ("when: payloda.x", "'payloda' is unknown: did you mean payload?"),
    ("when: 1 + 2", "a condition must be true or false; this is a whole number"),
    ("when: payload.x.fnord(1)", "the function 'fnord' is unknown"),
    ("alert: {monitor: payload.x, montior: payload.y}", "is not a field that a mapping may set: did you mean monitor?"),
    ("alert: {monitor: payload.x, quarantined: payload.y}", "is not a field that a mapping may set"),
    ("alert: {monitor: payload.x, drill: payload.y}", "is not a field that a mapping may set"),
    ("alert: {monitor: payload.x, value: payload.y / 100}", "write 100.0: numbers of the payload are not whole"),
    ("alert: {monitor: payload.x, value: payload.y > 1.0}", "value is a number; this is true or false"),
    ("alert: {monitor: payload.x, occurred_at: '[1, 2]'}", "occurred_at is a time; this is a list"),
    ("alert: {monitor: ' '}", "is empty: write a CEL expression"),
    ("alert: {metric: payload.x}", "needs monitor, monitor_id or model"),
    ("alert: {monitor: payload.x, metric: 'payload.'}", "Syntax error"),
    ("unknown: 1", "unknown key; allowed are alert, name, when"),
]


@pytest.mark.parametrize(("line", "message"), ERRORS)
def test_error_has_line_and_message(tmp_path: Path, line: str, message: str) -> None:
    entry = {"name": "name: detector", "when": "when: has(payload.d)", "alert": "alert: {monitor: payload.d}"}
    entry[line.partition(":")[0]] = line
    lines = "\n      ".join(entry.values())
    text = f"intake:\n  mappings:\n    - {lines}\n"
    with pytest.raises(PolicyError) as rejected:
        load(tmp_path, text)
    problem = next(one for one in rejected.value.problems if message in one.message)
    start = (BASE + RULES).count("\n") + 3
    assert problem.line == start + list(entry.values()).index(line)
    assert problem.column > 1
    assert problem.path.startswith("intake.mappings[0]")


def test_column_is_that_of_the_fault(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as rejected:
        load(
            tmp_path,
            "intake:\n  mappings:\n    - name: a\n      when: has(payload.d) && payloda.x\n      alert: {monitor: x}\n",
        )
    places = [(one.line - (BASE + RULES).count("\n"), one.column, one.message[:12]) for one in rejected.value.problems]
    assert places == [(4, 31, "'payloda' is"), (5, 24, "'x' is unkno")]


def test_mappings_are_checked_although_file_is_invalid_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as rejected:
        load(
            tmp_path, "intake: {mappings: [{name: a, when: payload.x = 1, alert: {monitor: payload.x}}]}\nunknown: 1\n"
        )
    messages = " ".join(one.message for one in rejected.value.problems)
    assert "unknown key" in messages
    assert "a single = is not a comparison" in messages


def test_names_of_mappings_are_unique(tmp_path: Path) -> None:
    entry = "{name: same, when: has(payload.d), alert: {monitor: payload.d}}"
    with pytest.raises(PolicyError, match="another mapping has the name 'same'"):
        load(tmp_path, f"intake: {{mappings: [{entry}, {entry}]}}\n")


def test_first_matching_mapping_reads(tmp_path: Path) -> None:
    entries = [
        {"name": "one", "when": "payload.n == 1", "alert": {"monitor": '"one"'}},
        {"name": "any", "when": "true", "alert": {"monitor": '"any"'}},
    ]
    policy = load(tmp_path, f"intake: {json.dumps({'mappings': entries})}\n")
    assert [read_payload(policy.mappings, {"n": n}).mapping for n in (1, 2)] == ["one", "any"]
    assert read_payload(policy.mappings, {}).mapping == "any", "a condition that cannot be evaluated does not match"


def test_values_are_read_as_those_of_every_body(tmp_path: Path) -> None:
    policy = with_mapping(
        tmp_path,
        monitor_id="payload.id",
        metric="payload.metric",
        value="payload.value",
        baseline="payload.base",
        tags="payload.labels",
        segment="{'tier': payload.tier}",
        occurred_at="timestamp(payload.at)",
        status="payload.firing ? 'triggered' : 'cleared'",
        url="payload.link",
        region='has(payload.region) ? payload.region : ""',
        notes="payload.note",
    )
    payload = {
        "d": {"title": "churn \u202eevil"},
        "id": 9_007_199_254_740_993,
        "metric": "Error Rate",
        "value": "31 %",
        "base": 1,
        "labels": {"team": "support", "n": 3},
        "tier": "premium",
        "at": "2026-01-05T10:00:00+02:00",
        "firing": False,
        "link": "javascript:alert(1)",
        "note": None,
    }
    unsafe = read_payload(policy.mappings, payload)
    assert (unsafe.mapping, unsafe.failures) == ("", ("mapping detector: url cannot be 'javascript:alert(1)'",))
    alert = read(policy, {**payload, "link": "https://example.com/1"}, event_id="evt-1")
    assert (alert.monitor, alert.monitor_id) == ("churn evil", "9007199254740993")
    assert (alert.metric, alert.value, alert.baseline, alert.change) == ("error_rate", 0.31, 1.0, -0.69)
    assert (alert.tags, alert.segment) == ({"team": "support", "n": "3"}, {"tier": "premium"})
    assert (alert.occurred_at, alert.status) == (datetime(2026, 1, 5, 8, tzinfo=UTC), "cleared")
    assert (alert.event_id, alert.notes, alert.region) == ("evt-1", "", "")
    assert alert.raw["d"] == {"title": "churn \u202eevil"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"d": {}}, 'monitor: "title" is not in this body'),
        ({"d": 3}, "monitor: "),
        ({"d": {"title": None}, "v": 1}, "monitor and monitor_id and model are all empty in this body"),
        ({"d": {"title": "x"}, "v": "many"}, "value cannot be 'many'"),
        ({"d": {"title": "x"}, "v": [1]}, "value cannot be '[1]'"),
        ({"d": {"title": "x"}}, 'value: "v" is not in this body'),
    ],
)
def test_failing_mapping_is_named(tmp_path: Path, payload: Any, reason: str) -> None:
    policy = with_mapping(tmp_path, value="payload.v")
    with pytest.raises(AlertError) as refused:
        read_payload(policy.mappings, payload)
    assert refused.value.reasons[0].startswith(f"mapping detector: {reason}")
    assert "no monitor was found" in refused.value.reasons[1]


def test_failing_mapping_leaves_body_to_the_next_reader(tmp_path: Path) -> None:
    policy = with_mapping(tmp_path, value="payload.v")
    reading = read_payload(policy.mappings, {"d": {"title": "x"}, "monitor_name": "built in"})
    assert (reading.alert.monitor, reading.mapping) == ("built in", "")
    assert reading.failures == ('mapping detector: value: "v" is not in this body',)


def test_whole_numbers_are_read_whatever_their_size(tmp_path: Path) -> None:
    policy = with_mapping(tmp_path, monitor_id="payload.id", value="payload.v * 2.0")
    for number in (0, 5, 2**53, 2**53 + 1, 2**63 - 1, -(2**62)):
        alert = read(policy, {"d": {"title": "x"}, "id": number, "v": 1})
        assert (alert.monitor_id, alert.value) == (str(number), 2.0)
    assert read(policy, {"d": {"title": "x"}, "id": 2**63 + 1, "v": 1.5}).value == 3.0


def test_numbers_beyond_64_bits_keep_their_identity(tmp_path: Path) -> None:
    policy = with_mapping(tmp_path, monitor_id="payload.id", value="payload.v")
    for number in (10**20, 2**70 + 1, 2**70 + 2):
        alert = read(policy, {"d": {"title": "x"}, "id": number, "v": 10**20})
        assert (alert.monitor_id, alert.value) == (str(number), 1e20)
    payload = read_json(b'{"d": {"title": "x"}, "id": 1, "v": 1e999, "other": [-Infinity, 0.12345678901234567891]}')
    assert read(policy, payload).value == sys.float_info.max


def test_date_of_a_mapping_is_no_time(tmp_path: Path) -> None:
    policy = with_mapping(tmp_path, occurred_at="payload.at")
    assert read(policy, {"d": {"title": "x"}, "at": "2026-11-25"}).occurred_at is None
    assert read_payload(policy.mappings, {"d": {"title": "x"}, "at": "soon", "monitor": "m"}).mapping == ""


def test_fields_are_those_that_a_body_may_set() -> None:
    assert {"event_id", "monitor", "model", "value", "occurred_at", "tags", "environment"} <= KEY_OF.keys()
    assert KEY_OF.keys() <= set(FIELD_OF.values()) & set(Alert.model_fields)
    assert not KEY_OF.keys() & {"raw", "identity", "drill", "quarantined"}


def test_unreadable_decides_as_the_policy_says(tmp_path: Path) -> None:
    alert = unreadable_alert(shape_of_json([]), quarantine_id="q-1", reason="", received_at=NOW)
    default = load(tmp_path, "").decide(alert, NOW)
    assert (default.rule, default.tier, [one.name for one in default.steps[0].notify]) == (
        "unreadable",
        "high",
        ["chat"],
    )
    changed = load(tmp_path, "intake: {unreadable: {tier: critical, notify: [pager], tags: [broken]}}\n").decide(
        alert, NOW
    )
    assert (changed.tier, changed.tags, changed.steps[0].notify[0].name) == ("critical", ("broken",), "pager")
    with pytest.raises(PolicyError, match=r"intake\.unreadable\.notify: there is no destination 'nobody'"):
        load(tmp_path, "intake: {unreadable: {tier: high, notify: [nobody]}}\n")
    with pytest.raises(PolicyError, match="notifies nobody"):
        load(tmp_path, "intake: {unreadable: {tier: high, notify: []}}\n")


def test_rule_cannot_be_called_unreadable(tmp_path: Path) -> None:
    rules = RULES.replace("{name: errors,", "{name: unreadable,")
    file = tmp_path / "policy.yaml"
    file.write_text(BASE + rules)
    with pytest.raises(PolicyError, match="another rule has the name 'unreadable'"):
        load_policy(file, destination_types())


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["d", "title", "v", "t", "tags", "name"]), inner, max_size=5)
    ),
    max_leaves=15,
)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    fields = {"value": "payload.v", "tags": "payload.tags", "status": "payload.t"}
    return with_mapping(tmp_path_factory.mktemp("mapped"), when="type(payload) != list", **fields)


@given(payload=_values)
def test_any_json_is_read_or_refused_with_reasons(mapped: Policy, payload: Any) -> None:
    alert, reasons = None, ()
    try:
        alert = read_payload(mapped.mappings, payload).alert
    except AlertError as error:
        reasons = error.reasons
    assert (alert is not None and alert.monitor) or reasons
