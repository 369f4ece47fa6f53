"""Conditions in CEL: compiled once, checked for unknown names at load, evaluated without ever raising."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import cel

from alerts import Alert
from policy.decision import IncidentFacts

_STRING = re.compile(r"""r?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""")
_FIELD = re.compile(r"\b(alert|model|incident)\s*\.\s*([A-Za-z_]\w*)(?:\s*\.\s*([A-Za-z_]\w*))?(?!\s*\()")
_FUNCTIONS = frozenset(
    [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "has",
        "all",
        "exists",
        "exists_one",
        "map",
        "filter",
        "min",
        "max",
        "int",
        "uint",
        "double",
        "string",
        "bool",
        "bytes",
        "duration",
        "timestamp",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ]
)
_ALERT_FIELDS = tuple(name for name in Alert.model_fields if name not in {"raw", "identity", "event_id"})
_INCIDENT_FIELDS = tuple(IncidentFacts.model_fields)
# One value of each field's type: a condition that fails on every one of these has a type error.
_SPECIMEN = Alert(
    monitor="m",
    value=1.0,
    threshold=1.0,
    baseline=1.0,
    change=1.0,
    window_seconds=1,
    segment={},
    tags={},
    url="https://example.com",
    occurred_at=None,
)


class ConditionError(ValueError):
    """The condition can never be evaluated; the text says why and what is near."""


@dataclass(frozen=True)
class Outcome:
    """``why`` gives the values a match rests on, or what was missing."""

    matched: bool
    why: str


class Facts:
    """Everything a condition may ask, converted once an alert and shared by all its conditions."""

    def __init__(self, alert: Alert, model: Mapping[str, Any], incident: IncidentFacts) -> None:
        fields = alert.model_dump(include=set(_ALERT_FIELDS), exclude_none=True)
        # An empty text stays: `alert.region == ""` is a fair question. A missing number does not:
        # it has no value to compare, and the decision says so.
        self._values: dict[str, Any] = {
            "alert": fields,
            "model": _floats(model),
            "incident": incident.model_dump(),
        }

    @cached_property
    def context(self) -> cel.Context:
        return cel.Context(self._values)

    def told(self, fields: tuple[str, ...]) -> str:
        """``alert.value = 0.31, model.slo.error_rate = 0.05``"""
        parts: list[str] = []
        for field in fields:
            value: Any = self._values
            for name in field.split("."):
                value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, Mapping) else None
            parts.append(f"{field} is not in this alert" if value is None else f"{field} = {_show(value)}")
        return ", ".join(parts)


class Condition:
    """One compiled CEL expression that answers true or false."""

    def __init__(self, source: str, model_fields: Mapping[str, frozenset[str]]) -> None:
        """Raises ConditionError on a syntax error, an unknown name or a type error."""
        self.source = " ".join(source.split())
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            raise ConditionError(_first_line(error)) from None
        bare = _STRING.sub('""', source)
        self.fields = _check_names(self._program, bare, model_fields)
        self._try_out(model_fields)

    def matches(self, facts: Facts) -> Outcome:
        """Never raises: what cannot be evaluated does not match, and the outcome says why."""
        try:
            result = self._program.execute(facts.context)
        except KeyError as error:
            return Outcome(False, f"skipped: {_missing(error, self.fields)} is not in this alert")
        except (TypeError, ValueError, RuntimeError, OverflowError, ArithmeticError) as error:
            return Outcome(False, f"skipped: {_first_line(error)}")
        return Outcome(result is True, facts.told(self.fields))

    def _try_out(self, model_fields: Mapping[str, frozenset[str]]) -> None:
        """Evaluate on a specimen that has every field, so that a type error shows at load."""
        model: dict[str, Any] = dict.fromkeys(model_fields, "")
        model |= {name: False for name in ("customer_facing", "regulated", "retriever") if name in model}
        model["slo"] = dict.fromkeys(model_fields.get("slo", ()), 1.0)
        model |= {name: {} for name in ("links", "arize") if name in model}
        facts = Facts(_SPECIMEN, model, IncidentFacts())
        try:
            result = self._program.execute(facts.context)
        except KeyError:
            return  # of a map such as alert.segment: an alert's own business
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConditionError(_first_line(error)) from None
        if not isinstance(result, bool):
            raise ConditionError(f"a condition answers true or false, this one answers {_show(result)}")


def _check_names(program: cel.Program, bare: str, model_fields: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    bound = set(re.findall(r"\.(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,", bare))
    for name in program.variables():
        if name not in {"alert", "model", "incident"} | bound:
            raise ConditionError(f"{name!r} is unknown{_near(name, ('alert', 'model', 'incident'))}")
    for name in program.functions():
        if re.match(r"[a-zA-Z]", name) and name not in _FUNCTIONS:
            raise ConditionError(f"the function {name!r} is unknown{_near(name, tuple(_FUNCTIONS))}")
    known: dict[str, tuple[str, ...]] = {
        "alert": _ALERT_FIELDS,
        "model": tuple(model_fields),
        "incident": _INCIDENT_FIELDS,
    }
    fields: list[str] = []
    for root, field, inner in _FIELD.findall(bare):
        if field not in known[root]:
            raise ConditionError(f"{root}.{field} is unknown{_near(field, known[root])}")
        path = f"{root}.{field}"
        if root == "model" and field == "slo" and inner:
            if inner not in model_fields["slo"]:
                raise ConditionError(f"model.slo.{inner} is set for no model{_near(inner, tuple(model_fields['slo']))}")
            path += f".{inner}"
        if path not in fields:
            fields.append(path)
    return tuple(fields)


def _near(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return f": did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known)[:30])}"


def _floats(value: Any) -> Any:
    """Whole numbers as doubles, since CEL keeps the two apart."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _floats(item) for key, item in cast("Mapping[str, Any]", value).items() if item is not None}
    return value


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')[:80]


def _missing(error: KeyError, fields: tuple[str, ...]) -> str:
    """CEL names the last part only; the condition knows the whole."""
    name = str(error.args[0]) if error.args else "a field"
    return next((field for field in fields if field.endswith(f".{name}")), name)


def _first_line(error: Exception) -> str:
    text = str(error)
    match = re.search(r"ERROR: <input>:(\d+):(\d+): (.+)", text)
    if match:
        return f"{match[3].strip()} (at column {match[2]} of line {match[1]} of the condition)"
    return text.splitlines()[0].split(". CEL does not")[0][:200] if text else type(error).__name__
