"""Mappings: CEL expressions on a parsed body that make an alert of it, checked when the policy is loaded.

Whole numbers of a body are converted to doubles, as for conditions: whether a sender writes 5 or 5.0 changes nothing.
Larger ones than a double holds exactly, such as ids, stay whole; beyond 64 bits they are texts.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from cel_expr_python import cel

from alerts import FIELD_OF, Alert, AlertError, TocsinError, normalise
from alerts.values import is_date
from policy.authoring.suggestions import did_you_mean
from policy.cel.conditions import Outcome, to_issues
from policy.cel.declarations import ALERT, MAPS, Declarations, Type
from policy.cel.evaluation import Failure, evaluate
from policy.cel.plausible import constant_issues, nested_payload_issues
from policy.cel.syntax import Call, Constant, Ident, Node, Select, parse_syntax, walk
from policy.cel.type_check import Issue, infer

_ENV = cel.NewEnv(variables={"payload": cel.Type.DYN, "now": cel.Type.TIMESTAMP})
_NULL, _BOOL = cel.Type.NULL, cel.Type.BOOL
_MAX_EXACT = 2**53
_MAX_WHOLE = 2**63

KEY_OF: Mapping[str, str] = {
    field: key for key, field in reversed(list(FIELD_OF.items())) if field in Alert.model_fields
}
"""The fields that a mapping may set, each with a name under which the reader looks for it."""
REQUIRED = ("monitor", "monitor_id", "model")
_TEXTS = frozenset({Type.STRING, Type.NUMBER, Type.INT, Type.DYN})
_ACCEPTED = {
    Type.NUMBER: _TEXTS,
    Type.TIMESTAMP: _TEXTS | {Type.TIMESTAMP},
    Type.STRING_MAP: frozenset({*MAPS, Type.LIST, Type.STRING, Type.DYN}),
}
_ARITHMETIC = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_"})


class MappingError(TocsinError):
    """A mapping matches a body, and does not give an alert. The text names the mapping, the field and the reason."""

    code: ClassVar[str] = "mapping_failed"


class PayloadDeclarations(Declarations):
    """The names that a mapping may use."""

    @property
    def roots(self) -> tuple[str, ...]:
        return ("payload", "now")


_DECLARATIONS = PayloadDeclarations(slo=frozenset(), values={})


class Payload:
    """A parsed body as mappings see it, converted once for all of them."""

    def __init__(self, value: Any, now: datetime | None = None) -> None:
        self.activation = _ENV.Activation({"payload": _to_cel(value), "now": now or datetime.now(UTC)})


class AlertMapping:
    """One mapping of the policy, compiled."""

    def __init__(self, name: str, when: str, fields: Mapping[str, str]) -> None:
        """The expressions must have been checked with ``check_expression``."""
        self.name = name
        self._when = _ENV.compile(when.rstrip())
        self._fields = {field: _ENV.compile(source.rstrip()) for field, source in fields.items()}

    def matches(self, payload: Payload) -> Outcome:
        """Whether this mapping reads the body. One that cannot be evaluated does not; the reason says why."""
        result = evaluate(self._when, payload.activation)
        if isinstance(result, Failure):
            return Outcome(False, _reason(result), failed=not result.missing)
        if result.type() == _BOOL:
            return Outcome(bool(result.value()), "")
        return Outcome(False, "the result is neither true nor false", failed=True)

    def read(self, payload: Payload, event_id: str = "", event: str = "") -> Alert:
        """The alert of a body that it matches. Its texts and numbers are read as those of every body.

        Raises:
            MappingError: an expression cannot be evaluated for this body, or its value cannot be read.
        """
        values = {field: self._value(field, payload) for field in self._fields}
        stated = {KEY_OF[field]: value for field, value in values.items() if value not in (None, "", [], {})}
        try:
            alert = normalise(stated, event_id, event)
        except AlertError:
            raise MappingError(f"mapping {self.name}: {' and '.join(REQUIRED)} are all empty in this body") from None
        for field, value in values.items():
            if KEY_OF[field] in stated and getattr(alert, field) in (None, "", {}) and not is_date(value):
                raise MappingError(f"mapping {self.name}: {field} cannot be {str(value)[:80]!r}")
        return alert

    def _value(self, field: str, payload: Payload) -> Any:
        result = evaluate(self._fields[field], payload.activation)
        if isinstance(result, Failure):
            raise MappingError(f"mapping {self.name}: {field}: {_reason(result)}")
        value = _to_python(result)
        # The reader takes times as texts or numbers.
        return value.isoformat() if isinstance(value, datetime) else value


def check_expression(source: str, field: str = "") -> Iterator[Issue]:
    """The problems of the expression for a field of the alert, or of a condition if ``field`` is empty."""
    try:
        tree = parse_syntax(_ENV.compile(source.rstrip(), disable_check=True).serialize())
    except RuntimeError as error:
        yield from to_issues(error, source)
        return
    kind, issues = infer(tree, _DECLARATIONS)
    issues += [*_whole_numbers(tree), *constant_issues(tree), *nested_payload_issues(tree)]
    if not field and kind not in {Type.BOOL, Type.DYN}:
        issues.append(Issue(tree.offset, f"a condition must be true or false; this is {kind}"))
    if field and kind not in _ACCEPTED.get(ALERT.get(field, Type.STRING), _TEXTS):
        issues.append(Issue(tree.offset, f"{field} is {ALERT.get(field, Type.STRING)}; this is {kind}"))
    if all(issue.warning for issue in issues):
        try:
            _ENV.compile(source.rstrip())
        except RuntimeError as error:
            issues += to_issues(error, source)
    yield from sorted(issues, key=lambda issue: issue.offset)


def check_field(field: str) -> str:
    """Why an alert's field cannot be set by a mapping; empty if it can."""
    return "" if field in KEY_OF else f"is not a field that a mapping may set{did_you_mean(field, KEY_OF)}"


def _whole_numbers(tree: Node) -> Iterator[Issue]:
    """A number of the payload is never whole, and CEL does not calculate with a whole and another number."""
    for node in walk(tree):
        if not isinstance(node, Call) or node.function not in _ARITHMETIC:
            continue
        if any(_of_payload(operand) for operand in node.args):
            for operand in node.args:
                if (
                    isinstance(operand, Constant)
                    and isinstance(operand.value, int)
                    and not isinstance(operand.value, bool)
                ):
                    yield Issue(operand.offset, f"write {operand.value}.0: numbers of the payload are not whole")


def _of_payload(node: Node) -> bool:
    while isinstance(node, Select) or (isinstance(node, Call) and node.function == "_[_]"):
        node = node.operand if isinstance(node, Select) else node.args[0]
    return isinstance(node, Ident) and node.name == "payload"


def _reason(failure: Failure) -> str:
    return f"{failure.missing[:80]} is not in this body" if failure.missing else failure.reason


def _to_cel(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if _MAX_EXACT < abs(value) < _MAX_WHOLE:
            return value
        number = float(value)
        return number if number == value else str(value)  # an id that CEL has no number for stays whole as text
    if isinstance(value, float):
        return float(value)  # not of the reader's own type, which CEL's library does not take
    if isinstance(value, dict):
        return {key: _to_cel(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_to_cel(item) for item in cast("list[Any]", value)]
    return value


def _to_python(value: Any) -> Any:
    """A CEL value as JSON's types; doubles without a fraction become whole numbers again, so that ids stay ids."""
    if value.type() == _NULL:  # value() is not called: release 0.1.3 of the library loses a reference to None
        return None
    plain = value.value()
    if isinstance(plain, dict):
        return {str(key): _to_python(item) for key, item in cast("dict[Any, Any]", plain).items()}
    if isinstance(plain, list):
        return [_to_python(item) for item in cast("list[Any]", plain)]
    if isinstance(plain, float) and plain.is_integer() and abs(plain) <= _MAX_EXACT:
        return int(plain)
    return plain if isinstance(plain, str | int | float | bool | datetime) else str(plain)
