"""Conditions in CEL: compiled and checked when the policy is loaded, evaluated without raising."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, cast

from cel_expr_python import cel
from google.protobuf.timestamp_pb2 import Timestamp

from alerts import Alert, TocsinError
from alerts.filters import with_short_names
from policy.cel.declarations import ALERT, Declarations, Type
from policy.cel.dnf import Clause, find_guard, to_clauses
from policy.cel.evaluation import Failure, evaluate
from policy.cel.plausible import constant_issues, cost_issues, range_issues
from policy.cel.slips import function_slip, syntax_slip
from policy.cel.syntax import Call, Ident, Node, Select, children, parse_syntax, path_of, walk
from policy.cel.type_check import Issue, check
from policy.cel.unparse import format_value
from policy.decision import IncidentFacts

_BOOL = cel.Type.BOOL
_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_ENV = cel.NewEnv(variables={"alert": _MAP, "model": _MAP, "incident": _MAP, "now": cel.Type.TIMESTAMP})
_LIBRARY_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]+)")
_MAX_REASON_CHARS = 300
_MAX_VALUE_CHARS = 80
_LACKS_NUMBER = frozenset(f"alert.{name} is not in this alert" for name in ("value", "threshold", "baseline", "change"))

GUARDS = (
    "alert.metric",
    "alert.kind",
    "alert.model",
    *(f"alert.{name}" for name, kind in ALERT.items() if kind == Type.STRING),
)
"""Fields that every alert has, if only as an empty text, so that a rule can be skipped by their value alone.

The first three distinguish most rules.
"""


class ConditionError(TocsinError, ValueError):
    """The condition cannot be used. ``issues`` holds every problem with its offset."""

    code: ClassVar[str] = "invalid_condition"

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__("; ".join(issue.message for issue in issues))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a condition matched. ``reason`` gives the values that it used, or the field that was missing.

    ``undetermined``: the condition does not match only because the alert lacks a number. ``failed``: it cannot be
    evaluated for this alert, and not because the alert lacks a field; whether it matches is unknown.
    """

    matched: bool
    reason: str
    undetermined: bool = False
    failed: bool = False


class Facts:
    """All values that a condition may use, converted once for an alert and shared by all conditions."""

    __slots__ = ("_alert", "_descriptions", "_values", "activation")

    def __init__(
        self,
        alert: Alert,
        model: Mapping[str, Any],
        incident: IncidentFacts,
        now: datetime,
        names: Iterable[str] = ALERT,
    ) -> None:
        """
        Args:
            alert: in the policy's words.
            model: the catalogue's entry as ``model_facts`` returns it.
            incident: what is known of it.
            now: the time.
            names: the fields of the alert that the conditions to be evaluated use.
        """
        # An empty text is a value: `alert.region == ""` may be asked. A missing number is left out: it cannot be
        # compared, and the decision's trace then says that it is missing.
        self._alert = alert
        fields = {name: value for name in names if (value := getattr(alert, name)) is not None}
        if "segment" in fields:
            fields["segment"] = with_short_names(alert.segment)
        asked = {"alerts": incident.alerts, "age": incident.age, "tier": incident.tier}
        self._values: dict[str, Any] = {"alert": fields, "model": model, "incident": asked, "now": now}
        self._descriptions: dict[str, str] = {}
        self.activation = _ENV.Activation(
            {"alert": _to_cel(fields), "model": model, "incident": _to_cel(asked), "now": now}
        )

    def value(self, path: str) -> Any:
        """The value at a path such as ``alert.segment["tier"]``; None if there is none."""
        root, *names = split_path(path)
        value: Any = self._values.get(root)
        if root == "alert" and names and names[0] in ALERT and names[0] not in value:
            stated = getattr(self._alert, names[0])
            value = {names[0]: with_short_names(stated) if names[0] == "segment" else stated}
        for name in names:
            value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, dict) else None
        return value

    def describe(self, paths: tuple[str, ...]) -> str:
        """``alert.value = 0.31, model.slo.error_rate = 0.05``"""
        known = self._descriptions
        for path in paths:
            if path not in known:
                value = self.value(path)
                known[path] = _absent(path) if value is None else f"{path} = {format_value(value)[:_MAX_VALUE_CHARS]}"
        return ", ".join([known[path] for path in paths])


def model_facts(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """A catalogue entry as conditions see it."""
    return {name: _to_cel(value) for name, value in model.items() if value is not None}


class Condition:
    """One compiled CEL expression that is true or false."""

    def __init__(self, source: str, declarations: Declarations) -> None:
        """Raises ConditionError on a syntax error, an unknown name or a type error."""
        source = source.rstrip()
        self.source = " ".join(source.split())
        self.tree: Node = parse_expression(source)
        issues = [*check(self.tree, declarations), *constant_issues(self.tree), *cost_issues(self.tree)]
        try:
            self._program = _ENV.compile(source)
        except RuntimeError as error:
            # The library's own message is used only if the check above, whose messages are clearer, found no error.
            if all(issue.warning for issue in issues):
                issues += to_issues(error, source)
        if not all(issue.warning for issue in issues):
            raise ConditionError(sorted(issues, key=lambda issue: issue.offset))
        self.fields = tuple(dict.fromkeys(paths_of(self.tree)))
        self.alert_names = _alert_names(self.tree, self.fields)
        self.clauses: tuple[Clause, ...] | None = to_clauses(self.tree)
        self.warnings = tuple(dict.fromkeys([*issues, *range_issues(self.clauses, declarations.units)]))
        guard = find_guard(self.clauses, GUARDS)
        self.guard_field = guard[0].removeprefix("alert.") if guard else ""
        self.guard_paths = (guard[0],) if guard else ()
        self.guard_values: frozenset[object] = frozenset(guard[1]) if guard else frozenset()

    def matches(self, facts: Facts) -> Outcome:
        """Evaluate the condition. Never raises: a condition that cannot be evaluated does not match."""
        result = evaluate(self._program, facts.activation)
        if isinstance(result, Failure):
            if not result.missing:
                return Outcome(False, f"skipped: {result.reason}", failed=True)
            reason = _absent(self._path_of(result.missing))
            return Outcome(False, f"skipped: {reason}", undetermined=reason in _LACKS_NUMBER)
        # value() is called for booleans only: release 0.1.3 of the library loses a reference to None for every null.
        if result.type() == _BOOL:
            return Outcome(bool(result.value()), facts.describe(self.fields))
        return Outcome(False, "skipped: the result is neither true nor false", failed=True)

    def holds(self, facts: Facts) -> bool:
        """Whether the condition matches, without the reason. One that cannot be evaluated does not."""
        result = evaluate(self._program, facts.activation)
        return not isinstance(result, Failure) and result.type() == _BOOL and bool(result.value())

    def _path_of(self, missing: str) -> str:
        """CEL names only the last part of the path; the condition knows the whole path."""
        key = missing.removeprefix('"').removesuffix('"')
        ends = (f".{key}", f"[{format_value(key)}]")
        return next((field for field in self.fields if field.endswith(ends)), key)


def parse_expression(source: str) -> Node:
    """The syntax tree of an expression, unchecked. Raises ConditionError on a syntax error."""
    try:
        return parse_syntax(_ENV.compile(source, disable_check=True).serialize())
    except RuntimeError as error:
        raise ConditionError(to_issues(error, source)) from None


def _to_cel(value: Any) -> Any:
    """A value in a form that the library accepts: one value that it rejects would fail every condition.

    Whole numbers become doubles, because CEL does not mix the two. Inside a map, the library accepts a time only as
    protobuf's Timestamp. A text with a lone surrogate cannot be converted to UTF-8.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime):
        timestamp = Timestamp()
        timestamp.FromDatetime(value)
        return timestamp
    if isinstance(value, dict):
        return {_to_cel(key): _to_cel(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _absent(path: str) -> str:
    return f"{path} is not set for this model" if path.startswith("model.") else f"{path} is not in this alert"


@lru_cache(maxsize=4096)
def split_path(path: str) -> tuple[str, ...]:
    """``alert.segment["tier"]`` as its three names."""
    return tuple(
        quoted.replace('\\"', '"') or plain
        for plain, quoted in re.findall(r'([A-Za-z_]\w*)|\["((?:[^"\\]|\\.)*)"\]', path)
    )


class Subexpression:
    """A part of a condition that has been checked, evaluated on its own."""

    def __init__(self, source: str) -> None:
        try:
            self._program = _ENV.compile(source, disable_check=True)
        except RuntimeError:
            self._program = None  # a comprehension, which cannot be unparsed

    def evaluate(self, facts: Facts) -> bool | None:
        """None if it cannot be evaluated, for example because the alert lacks the field."""
        if self._program is None:
            return None
        result = evaluate(self._program, facts.activation)
        if isinstance(result, Failure) or result.type() != _BOOL:
            return None
        return bool(result.value())


def paths_of(node: Node) -> list[str]:
    """The full paths of the fields that an expression uses, in the order of its text."""
    plain = Select(node.offset, node.operand, node.name) if isinstance(node, Select) else node
    path = path_of(plain)
    if path and isinstance(plain, Select | Call | Ident):
        root = path.partition(".")[0]
        return [path] if root in {"alert", "model", "incident", "now"} and (path != root or root == "now") else []
    return [path for child in children(node) for path in paths_of(child)]


def _alert_names(tree: Node, fields: Iterable[str]) -> frozenset[str]:
    """The fields of the alert that an expression may use: all of them if it uses the alert as a whole."""
    if _uses_whole_alert(tree):
        return frozenset(ALERT)
    split = (split_path(path) for path in fields)
    tested = {node.name for node in walk(tree) if isinstance(node, Select) and node.operand == Ident(0, "alert")}
    return frozenset({names[1] for names in split if names[0] == "alert" and len(names) > 1} | tested) & ALERT.keys()


def _uses_whole_alert(node: Node) -> bool:
    if isinstance(node, Ident):
        return node.name == "alert"
    if isinstance(node, Select) and isinstance(node.operand, Ident):
        return False
    return any(_uses_whole_alert(part) for part in children(node))


def to_issues(error: RuntimeError, source: str) -> list[Issue]:
    """The library's error messages as issues."""
    text = str(error)
    if "recursion" in text:
        return [Issue(0, "is nested deeper than 32 levels")]
    lines = source.split("\n")
    found: list[Issue] = []
    for line, column, message in _LIBRARY_ERROR.findall(text):
        before = sum(len(previous) + 1 for previous in lines[: max(int(line) - 1, 0)])
        at = before + max(int(column) - 1, 0)
        slip = syntax_slip(source, at) if re.match(r"Syntax error|reserved identifier", message.strip()) else ""
        found.append(Issue(at, slip or _reword(message.strip())))
        if slip or message.strip().startswith("Syntax error"):
            break  # the errors after the first syntax error are consequences of it
    return found or [Issue(0, text.splitlines()[0][:_MAX_REASON_CHARS])]


def _reword(message: str) -> str:
    message = re.sub(r" expecting \{.*", "", message)
    message = message.replace("mismatched input '<EOF>'", "the condition ends where more is expected")
    message = re.sub(r" \(in container ''\)", "", message)
    unknown = re.match(r"undeclared reference to '(\w+)'", message)
    known = f"the function {unknown[1]!r} is unknown{function_slip(unknown[1])}" if unknown else message
    return known[:_MAX_REASON_CHARS]
