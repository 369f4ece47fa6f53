"""Any body gives a valid Alert or an AlertError, and nothing else."""

import json
import math
import unicodedata
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from alerts import Alert, AlertError, incident_id, normalise, read_alert
from alerts.normalise import FIELD_NAMES, NESTED_KEYS
from tests.alerts.bodies import FLAT, MONITOR

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["TRIGGERED", "cleared", "31 %", "1e400", "2026-11-23T09:15:00Z", "https://a/b", "\u202e"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
known = st.sampled_from(sorted({name for names in FIELD_NAMES.values() for name in names} | set(NESTED_KEYS)))
nested = st.dictionaries(known | st.text(max_size=8), values, max_size=10)
bodies = st.dictionaries(known, values | nested, max_size=12) | st.fixed_dictionaries(
    {"monitor": st.just(MONITOR) | nested}, optional=dict.fromkeys(list(FLAT), values)
)


@given(st.binary(max_size=400))
@example(b'{"monitor_name": "m", "triggered_at": 1e308}')
def test_any_bytes_give_alert_or_alert_error(sent: bytes) -> None:
    try:
        alert = read_alert(sent)
    except AlertError:
        return
    assert alert.monitor


@given(bodies)
def test_any_json_gives_valid_alert_or_error(sent: dict[str, Any]) -> None:
    try:
        alert = normalise(sent)
    except AlertError:
        return
    for number in (alert.value, alert.threshold, alert.baseline, alert.change):
        assert number is None or math.isfinite(number)
    for text in (alert.monitor, alert.model, alert.environment, alert.region, alert.severity):
        assert len(text) <= 255
        unsafe = {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert unsafe <= {"\u200c", "\u200d"}, "only the joiners of letters and emoji"
    assert alert.url == "" or alert.url.startswith(("http://", "https://"))
    assert incident_id(alert).startswith("incident-")
    assert Alert.model_validate_json(alert.model_dump_json()) == alert, "Temporal's serialisation keeps it"


@given(bodies)
def test_normalise_is_idempotent(sent: dict[str, Any]) -> None:
    try:
        alert = normalise(sent)
    except AlertError:
        return
    assert normalise(alert.raw) == alert


@given(bodies)
def test_serialised_body_gives_the_same_alert(sent: dict[str, Any]) -> None:
    try:
        alert = normalise(sent)
        read = read_alert(json.dumps(sent).encode("utf-8", "surrogatepass"))
    except AlertError:
        return
    except UnicodeError:
        return
    assert read.model_dump(exclude={"raw"}) == alert.model_dump(exclude={"raw"})
