"""Conditions in CEL: compiled once, checked whole when they are loaded, evaluated without ever raising."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from cel_expr_python import cel
from google.protobuf.timestamp_pb2 import Timestamp

from alerts import Alert
from policy.checking import Fault, check
from policy.clauses import Alternative, alternatives, guard
from policy.decision import IncidentFacts
from policy.syntax import Call, Field, Name, Node, children, path_of, read_syntax
from policy.vocabulary import ALERT, Type, Vocabulary
from policy.written import show

_BOOL = cel.Type.BOOL
_ERROR = cel.Type.ERROR
_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_ENV = cel.NewEnv(variables={"alert": _MAP, "model": _MAP, "incident": _MAP, "now": cel.Type.TIMESTAMP})
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]+)")
_LONGEST = 300

# An alert always has these, if only as "": asking them first is safe. Best those that tell most rules apart.
GUARDS = (
    "alert.metric",
    "alert.kind",
    "alert.model",
    *(f"alert.{name}" for name, kind in ALERT.items() if kind == Type.TEXT),
)


class ConditionError(ValueError):
    """The condition cannot be used. Holds every fault, with its place in the text."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.message for fault in faults))


@dataclass(frozen=True, slots=True)
class Outcome:
    """``why`` gives the values that it rests on, or what was missing."""

    matched: bool
    why: str


class Facts:
    """Everything a condition may ask, converted once an alert and shared by all its conditions."""

    __slots__ = ("_told", "_values", "activation")

    def __init__(self, alert: Alert, model: Mapping[str, Any], incident: IncidentFacts, now: datetime) -> None:
        """``model`` is the catalogue's entry as ``model_facts`` gives it."""
        # An empty text stays: `alert.region == ""` is a fair question. A missing number does not:
        # it has no value to compare, and the decision says so.
        fields = {name: value for name in ALERT if (value := getattr(alert, name)) is not None}
        asked = {"alerts": incident.alerts, "age": incident.age, "tier": incident.tier}
        self._values: dict[str, Any] = {"alert": fields, "model": model, "incident": asked, "now": now}
        self._told: dict[str, str] = {}
        self.activation = _ENV.Activation(
            {"alert": _plain(fields), "model": model, "incident": _plain(asked), "now": now}
        )

    def value(self, path: str) -> Any:
        """What stands at a path such as ``alert.segment["tier"]``; None where nothing does."""
        value: Any = self._values
        for name in _keys(path):
            value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, dict) else None
        return value

    def told(self, paths: tuple[str, ...]) -> str:
        """``alert.value = 0.31, model.slo.error_rate = 0.05``"""
        told = self._told
        for path in paths:
            if path not in told:
                value = self.value(path)
                told[path] = f"{path} is not in this alert" if value is None else f"{path} = {show(value)[:80]}"
        return ", ".join([told[path] for path in paths])


def model_facts(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """A catalogue entry as conditions see it."""
    return {name: _plain(value) for name, value in model.items() if value is not None}


class Condition:
    """One compiled CEL expression that answers true or false."""

    def __init__(self, source: str, vocabulary: Vocabulary) -> None:
        """Raises ConditionError on a syntax error, an unknown name or a type error."""
        source = source.rstrip()
        self.source = " ".join(source.split())
        faults: list[Fault] = []
        try:
            self.tree: Node = read_syntax(_ENV.compile(source, disable_check=True).serialize())
        except RuntimeError as error:
            raise ConditionError(_faults(error, source)) from None
        faults += check(self.tree, vocabulary)
        try:
            self._program = _ENV.compile(source)
        except RuntimeError as error:
            known = {fault.offset for fault in faults if fault.certain}
            # What the check above has told in better words need not be told again.
            faults += [fault for fault in _faults(error, source) if not known]
        if any(fault.certain for fault in faults):
            raise ConditionError(sorted(faults, key=lambda fault: fault.offset))
        self.doubts = tuple(faults)
        self.fields = tuple(dict.fromkeys(paths_of(self.tree)))
        self.alternatives: tuple[Alternative, ...] | None = alternatives(self.tree)
        guarded = guard(self.alternatives, GUARDS)
        self.guard_field = guarded[0].removeprefix("alert.") if guarded else ""
        self.guard_told = (guarded[0],) if guarded else ()
        self.guard_values: frozenset[object] = frozenset(guarded[1]) if guarded else frozenset()

    def matches(self, facts: Facts) -> Outcome:
        """Never raises: what cannot be evaluated does not match, and the outcome says why."""
        result = self._program.eval(facts.activation)
        # Only a truth is taken out by value(): in release 0.1.3 taking out a null gives a reference of None away.
        if result.type() == _BOOL:
            return Outcome(bool(result.value()), facts.told(self.fields))
        if result.type() == _ERROR:
            return Outcome(False, f"skipped: {self._trouble(str(result.value()))}")
        return Outcome(False, "skipped: the answer is neither true nor false")

    def holds(self, facts: Facts) -> bool:
        """Whether it matches, without the reasons."""
        result = self._program.eval(facts.activation)
        return result.type() == _BOOL and bool(result.value())

    def _trouble(self, text: str) -> str:
        missing = re.search(r'Key not found in map : "(.*)"', text, re.DOTALL)
        if missing:
            # CEL names the last part only; the condition knows the whole.
            ends = (f".{missing[1]}", f"[{show(missing[1])}]")
            path = next((field for field in self.fields if field.endswith(ends)), missing[1])
            return f"{path} is not in this alert"
        return text.partition(": ")[2][:_LONGEST] or text[:_LONGEST]


def _plain(value: Any) -> Any:
    """A value as the library takes it: one that it cannot take fails every condition, whatever that asks for.

    Whole numbers become doubles, since CEL keeps the two apart; a time in a map is taken as protobuf's only; a text
    with a lone surrogate is no text to C++.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime):
        moment = Timestamp()
        moment.FromDatetime(value)
        return moment
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _keys(path: str) -> list[str]:
    return [
        quoted.replace('\\"', '"') or plain
        for plain, quoted in re.findall(r'([A-Za-z_]\w*)|\["((?:[^"\\]|\\.)*)"\]', path)
    ]


class Question:
    """A part of a condition that has been checked, to be asked on its own."""

    def __init__(self, source: str) -> None:
        try:
            self._program = _ENV.compile(source, disable_check=True)
        except RuntimeError:
            self._program = None  # a loop, whose text is not kept

    def answer(self, facts: Facts) -> bool | None:
        """None where it cannot be answered, as by an alert that lacks the field."""
        if self._program is None:
            return None
        result = self._program.eval(facts.activation)
        return bool(result.value()) if result.type() == _BOOL else None


def paths_of(node: Node) -> list[str]:
    """The whole paths that a condition asks, in the order of its text."""
    plain = Field(node.offset, node.operand, node.name) if isinstance(node, Field) else node
    path = path_of(plain)
    if path and isinstance(plain, Field | Call | Name):
        root = path.partition(".")[0]
        return [path] if root in {"alert", "model", "incident", "now"} and (path != root or root == "now") else []
    return [path for child in children(node) for path in paths_of(child)]


def _faults(error: RuntimeError, source: str) -> list[Fault]:
    text = str(error)
    if "recursion" in text:
        return [Fault(0, "is nested deeper than 32 levels")]
    lines = source.split("\n")
    found: list[Fault] = []
    for line, column, message in _PLACE.findall(text):
        before = sum(len(one) + 1 for one in lines[: max(int(line) - 1, 0)])
        found.append(Fault(before + max(int(column) - 1, 0), _plainly(message.strip())))
        if message.strip().startswith("Syntax error"):
            break  # what follows it only follows from it
    return found or [Fault(0, text.splitlines()[0][:_LONGEST])]


def _plainly(message: str) -> str:
    message = re.sub(r" expecting \{.*", "", message)
    if message.startswith("Syntax error: token recognition error at: '= "):
        return "a single = compares nothing: write =="
    message = message.replace("mismatched input '<EOF>'", "it ends where more is expected")
    message = re.sub(r" \(in container ''\)", "", message)
    unknown = re.match(r"undeclared reference to '(\w+)'", message)
    return (f"the function {unknown[1]!r} is unknown" if unknown else message)[:_LONGEST]
