"""The identity of a problem: two problems never share an incident, and one problem always has one."""

import json
import unicodedata
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from alerts import Alert, incident_id, normalise, read_alert
from alerts.identity import exact_event_id
from tests.alerts.bodies import MONITOR

NAMED = {"monitor_name": "flt", "status": "TRIGGERED", "model": "support-chatbot", "environment": "production"}
WITH_ID = {"monitor_id": "TW9uaXRvcjo2MTAwMDphWjYxMDAw", "status": "TRIGGERED"}

letters = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
nested = st.recursive(
    st.none() | st.booleans() | numbers | letters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
    max_leaves=6,
)
# A scalar at the top counts as its text: 5 is "5".
segments = st.dictionaries(
    letters, nested.map(lambda one: f"x{one}" if isinstance(one, str) else one), min_size=1, max_size=6
)


def id_of(sent: dict[str, Any]) -> str:
    """Through bytes, as a gateway reads it."""
    return incident_id(read_alert(json.dumps(sent).encode()))


def meaning(value: Any) -> Any:
    """What is equal of two segments: texts in NFC, numbers by their exact value, maps in any order."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, int | float):
        return ("number", Fraction(value))
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return ("map", sorted(((meaning(key), meaning(item)) for key, item in items), key=repr))
    return ("list", [meaning(item) for item in value])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"store_id": 1234567.0}, {"store_id": 1234568.0}),
        ({"store_id": 2**53}, {"store_id": 2**53 + 1}),
        ({"store_id": 10**30}, {"store_id": 10**30 + 1}),
        ({"share": 0.1234567}, {"share": 0.1234568}),
        ({"tier": {"name": "premium"}}, {"tier": {"name": "free"}}),
        ({"tier": {"a": ["x", "y"]}}, {"tier": {"a": ["x, y"]}}),
        ({"tier": ["a", "b"]}, {"tier": "a, b"}),
        ({"tier": {"n": 1}}, {"tier": {"n": "1"}}),
        ({"tier": {"n": None}}, {"tier": {}}),
        ({"tier": None}, {"tier": ""}),
        ({"name": "x" * 300 + "a"}, {"name": "x" * 300 + "b"}),
        ({"x" * 300 + "a": 1}, {"x" * 300 + "b": 1}),
        ({f"k{n}": "v" for n in range(100)}, {f"k{n}": "v" if n != 99 else "w" for n in range(100)}),
        ({"a=b": "c"}, {"a": "b=c"}),
        ({"a": "b", "c": "d"}, {"a": "b, c=d"}),
        ({"a": "1\u200b"}, {"a": "1"}),
        (["tier=a", "tier=b"], ["tier=b"]),
        ([{"name": "age", "operator": ">", "value": 60}], [{"name": "age", "operator": "<", "value": 60}]),
        ([["tier", "gold"]], [["tier", "free"]]),
        (7, 8),
    ],
)
@pytest.mark.parametrize("base", [NAMED, WITH_ID], ids=["names", "id"])
def test_different_segments_are_two_problems(base: dict[str, Any], one: Any, other: Any) -> None:
    assert id_of({**base, "segment": one}) != id_of({**base, "segment": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"share": 0.12345678901234567891}', '{"share": 0.12345678901234567892}'),
        ('{"n": 12345678901234567.1}', '{"n": 12345678901234567.2}'),
        ('{"n": 1e400}', '{"n": 1e401}'),
        (f'{{"n": {"9" * 5000}}}', f'{{"n": {"9" * 4999}8}}'),
    ],
)
def test_numbers_beyond_floats_are_two_problems(one: str, other: str) -> None:
    ids = {incident_id(read_alert(b'{"monitor_name": "m", "segment": %s}' % sent.encode())) for sent in (one, other)}
    assert len(ids) == 2


def filtered(*filters: tuple[str, str, Any]) -> dict[str, Any]:
    return {
        "name": "adults",
        "filters": [
            {"dimension": {"category": "FEATURE_LABEL", "name": name}, "operator": operator, "values": values}
            for name, operator, values in filters
        ],
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (filtered(("age", "GREATER_THAN", ["60"])), filtered(("age", "LESS_THAN", ["60"]))),
        (filtered(("age", ">", ["60"])), filtered(("age", "<", ["60"]))),
        (filtered(("age", "\u226b", ["60"])), filtered(("age", "\u226a", ["60"]))),
        (filtered(("age", "EQUALS", ["60"])), filtered(("age", "NOT_EQUALS", ["60"]))),
        (filtered(("a", "EQUALS", ["1"]), ("a", "LESS_THAN", ["9"])), filtered(("a", "LESS_THAN", ["9"]))),
        (filtered(("a", "EQUALS", ["x, y"])), filtered(("a", "EQUALS", ["x", "y"]))),
        (filtered(("a", "EQUALS", ["x" * 300 + "1"])), filtered(("a", "EQUALS", ["x" * 300 + "2"]))),
        (
            {**filtered(("a", "EQUALS", ["1"])), "segment": {"tier": "gold"}},
            {**filtered(("a", "EQUALS", ["2"])), "segment": {"tier": "gold"}},
        ),
    ],
)
def test_different_filters_without_an_id_are_two_problems(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert id_of(one) != id_of(other)
    assert id_of({**one, **WITH_ID, "segment": None}) == id_of({**other, **WITH_ID, "segment": None})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"monitor_name": "x" * 300 + "a"}, {"monitor_name": "x" * 300 + "b"}),
        ({"monitor_id": "x" * 300 + "a"}, {"monitor_id": "x" * 300 + "b"}),
        ({"monitor_id": 1234567.0}, {"monitor_id": 1234568.0}),
        ({"monitor_id": 2**63 + 1}, {"monitor_id": 2**63 + 2}),
        ({"monitor_name": "m", "region": "eu"}, {"monitor_name": "m", "region": "us"}),
        ({"monitor_name": "m", "environment": "production"}, {"monitor_name": "m", "environment": "staging"}),
        ({"model": "m", "metric": "error_rate"}, {"model": "m", "metric": "p95_latency_ms"}),
        ({"model": "m", "metric": "P95", "dimension": "a"}, {"model": "m", "metric": "P95", "dimension": "b"}),
    ],
)
def test_different_names_are_two_problems(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert id_of(one) != id_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (WITH_ID, {**NAMED, **WITH_ID}),
        ({**NAMED, **WITH_ID}, {**NAMED, **WITH_ID, "monitor_name": "renamed", "model": "moved"}),
        (WITH_ID, {"monitor_id": "TW9uaXRvcjo2MTAwMDphWjYxMDAw".rstrip("="), "status": "CLEARED"}),
        ({"monitor_id": "TW9uaXRvcjoxMjM="}, {"monitor_id": "TW9uaXRvcjoxMjM"}),
        ({"monitor_id": 61000}, {"monitor_id": "61000"}),
        ({**NAMED, "environment": "Production"}, NAMED),
        ({**NAMED, "segment": {"n": 1234567.0}}, {**NAMED, "segment": {"n": 1234567}}),
        ({**NAMED, "segment": {"n": 10**20}}, {**NAMED, "segment": {"n": 1e20}}),
        ({**NAMED, "segment": {"n": 5}}, {**NAMED, "segment": {"n": "5"}}),
        ({**NAMED, "segment": {"t": "a", "u": "b"}}, {**NAMED, "segment": ["u:b", "t=a"]}),
        ({**NAMED, "segment": {"t": "a", "u": "b"}}, {**NAMED, "segment": "u=b; t = a"}),
        ({**NAMED, "segment": {"t": "a"}}, {**NAMED, "segment": [{"key": "t", "value": "a"}]}),
        ({**NAMED, "segment": {"t": {"a": 1, "b": 2}}}, {**NAMED, "segment": {"t": {"b": 2.0, "a": 1}}}),
        (filtered(("a", "EQUALS", ["x", "y"])), filtered(("a", "equals", ["y", "x"]))),
        (filtered(("a", "GREATER_THAN", ["1"])), filtered(("a", ">", [1]))),
        (
            filtered(("a", "EQUALS", ["1"]), ("b", "EQUALS", ["2"])),
            filtered(("b", "EQUALS", ["2"]), ("a", "EQUALS", ["1"])),
        ),
    ],
)
def test_one_problem_has_one_incident(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert id_of(one) == id_of(other)


def test_range_of_two_filters_is_in_the_segment() -> None:
    alert = normalise({**MONITOR, **filtered(("age", "GREATER_THAN_OR_EQUAL", ["20"]), ("age", "LESS_THAN", ["30"]))})
    assert alert.segment == {"age": ">= 20 and < 30"}
    stated = [{"name": "age", "operator": "GREATER_THAN", "value": 20}, {"name": "age", "operator": "<", "value": 30}]
    assert normalise({**NAMED, "segment": stated}).segment == {"age": "> 20 and < 30"}


def test_nested_segment_is_shown() -> None:
    assert normalise({**NAMED, "segment": {"tier": {"name": "premium"}}}).segment == {"tier": '{"name": "premium"}'}
    assert normalise({**NAMED, "segment": ["tier:a", "tier:b"]}).segment == {"tier": "a, b"}


def test_hundred_keys_are_the_same_in_any_order() -> None:
    keys = {f"k{number:03}": str(number) for number in range(100)}
    one, other = normalise({**NAMED, "segment": keys}), normalise({**NAMED, "segment": dict(reversed(keys.items()))})
    assert incident_id(one) == incident_id(other)
    assert one.segment == other.segment


@given(segments, segments)
@example({"a=b": "c"}, {"a": "b=c"})
@example({"a": 0}, {"a": False})
@example({"a": 0.1}, {"a": 0.10000000000000002})
def test_unequal_segments_never_share_an_incident(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(meaning(one) != meaning(other))
    for base in (NAMED, WITH_ID):
        assert id_of({**base, "segment": one}) != id_of({**base, "segment": other})


@given(letters, st.integers(0, 11), st.integers(0, 15))
def test_one_bit_makes_another_incident(text: str, place: int, bit: int) -> None:
    place %= len(text)
    changed = text[:place] + chr(ord(text[place]) ^ (1 << bit)) + text[place + 1 :]
    assume(unicodedata.normalize("NFC", text) != unicodedata.normalize("NFC", changed))
    assume(not any(0xD800 <= ord(char) < 0xE000 for char in changed))
    for base in (NAMED, WITH_ID):
        assert id_of({**base, "segment": {"name": text}}) != id_of({**base, "segment": {"name": changed}})
        assert id_of({**base, "segment": {text: "x"}}) != id_of({**base, "segment": {changed: "x"}})


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_unequal_numbers_never_share_an_incident(one: float, other: float) -> None:
    assume(one != other)
    assert id_of({**NAMED, "segment": {"n": one}}) != id_of({**NAMED, "segment": {"n": other}})


@given(segments, st.randoms(use_true_random=False), st.sampled_from(["NFC", "NFD"]), letters)
def test_order_form_and_name_change_nothing(segment: dict[str, Any], random: Any, form: Any, name: str) -> None:
    def rewritten(value: Any) -> Any:
        if isinstance(value, str):
            return unicodedata.normalize(form, value)
        if isinstance(value, dict):
            items = [(rewritten(key), rewritten(item)) for key, item in value.items()]
            random.shuffle(items)
            return dict(items)
        return [rewritten(item) for item in value] if isinstance(value, list) else value

    assume(len(rewritten(segment)) == len(segment))
    assume(all(len(unicodedata.normalize("NFC", key)) for key in segment))
    renamed = {**rewritten({**WITH_ID, "segment": segment}), "monitor_name": name, "model": "other"}
    assert id_of({**WITH_ID, "segment": segment}) == id_of(renamed)
    assert id_of({**NAMED, "segment": segment}) == id_of(rewritten({**NAMED, "segment": segment}))


def test_identity_is_bounded_and_survives_storage() -> None:
    sent = {"monitor_name": "n" * 9000, "model": "m" * 9000, "segment": {f"k{n}": "v" * 500 for n in range(100)}}
    alert = read_alert(json.dumps(sent).encode())
    assert sum(map(len, alert.identity)) < 200
    assert incident_id(Alert.model_validate_json(alert.model_dump_json())) == incident_id(alert)
    assert len(incident_id(alert).rpartition("-")[2]) == 24


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("e" * 206 + "1", "e" * 206 + "2"),
        ("evt\x001", "evt1"),
        ("evt  1", "evt 1"),
        (2**60, 2**60 + 1),
        ("e" * 199 + "…", "e" * 199 + "12"),
    ],
)
def test_event_ids_are_whole(one: Any, other: Any) -> None:
    ids = [normalise({**NAMED, "event_id": sent}).event_id for sent in (one, other)]
    assert ids[0] != ids[1]
    assert all(len(sent) <= 200 and sent.isprintable() for sent in ids)
    assert exact_event_id("evt_9") == "evt_9"


GLOBAL = "TW9uaXRvcjo4MTIzNDpxWTdL"


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"id": "evt-1", "monitor": {"id": GLOBAL, "name": "flt"}}},
        {"payload": {"id": "evt-1", "type": "triggered", "monitor": {"id": GLOBAL, "name": "flt"}}},
        {"id": "evt-1", "alert": {"id": "evt-1", "name": "fired", "monitor": {"id": GLOBAL, "name": "flt"}}},
        {"alert": {"id": "evt-1"}, "monitor": {"id": GLOBAL, "name": "flt"}},
        {"data": {"id": "evt-1", "monitor_name": "flt", "link": f"https://app.arize.com/monitors/{GLOBAL}"}},
        {"monitor": {"id": GLOBAL, "name": "flt", "data": {"id": "evt-1", "name": "x"}}},
    ],
)
def test_id_of_an_envelope_is_no_monitor(body: dict[str, Any]) -> None:
    """Each delivery has another one: every repeat would page, and no clear would reach its incident."""
    alert = normalise(body)
    assert (alert.monitor_id, alert.monitor) == (GLOBAL, "flt")


def test_id_of_an_alert_counts_only_without_a_name() -> None:
    named = [{"monitor": {"name": "flt"}, "alert": {"id": one, "model": "m"}} for one in ("evt-1", "evt-2")]
    assert len({id_of(one) for one in named}) == 1
    nameless = [{"alert": {"id": one, "model": "m"}} for one in ("m-1", "m-2")]
    assert len({id_of(one) for one in nameless}) == 2


def test_object_of_a_monitor_names_itself() -> None:
    """Beside others that it mentions."""
    others = [f"https://app.arize.com/monitors/{one}" for one in (GLOBAL, "TW9uaXRvcjo2MTAwMDphWjYxMDAw")]
    assert normalise({"monitor": {"id": "m-1", "name": "flt", "related": others}}).monitor_id == "m-1"
    assert normalise({"monitor": {"id": GLOBAL, "name": "flt", "related": others}}).monitor_id == GLOBAL


FLAT_OBJECT = {"id": "mon-1", "name": "Error rate", "model": "m", "status": "TRIGGERED"}


@pytest.mark.parametrize(
    "around",
    [
        {"data": {"value": 0.4}},
        {"data": {}},
        {"data": None},
        {"alert": {"status": "triggered", "value": 0.4}},
        {"payload": {"data": {"value": 0.4}}},
        {"task": {"id": "t1"}},
        {"alert": {"status": "triggered"}, "data": {"value": 0.4}},
    ],
)
def test_object_of_values_hides_no_name(around: dict[str, Any]) -> None:
    """Two monitors whose deliveries have such an object are two; a clear without it is of the same problem."""
    one = {**FLAT_OBJECT, **around}
    assert (normalise(one).monitor_id, normalise(one).monitor) == ("mon-1", "Error rate")
    assert id_of(one) == id_of({**FLAT_OBJECT, "status": "CLEARED"})
    assert id_of(one) != id_of({**one, "id": "mon-2", "name": "Checkout failures"})


@pytest.mark.parametrize("around", [{}, {"data": {"value": 0.4}}, {"data": None}])
def test_plain_id_beside_a_named_monitor_is_the_events(around: dict[str, Any]) -> None:
    ids = {id_of({"id": one, "monitor_name": "flt", "model": "m", **around}) for one in ("evt-1", "evt-2")}
    assert ids == {id_of({"monitor_name": "flt", "model": "m"})}
