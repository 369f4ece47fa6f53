"""Checks a condition's names and types when the policy is loaded, so that none fails when an alert arrives."""

from collections.abc import Mapping
from dataclasses import dataclass

from policy.authoring.suggestions import did_you_mean
from policy.cel.declarations import MAPS, Declarations, Type
from policy.cel.slips import name_slip
from policy.cel.syntax import Call, Comprehension, Constant, Ident, ListExpr, MapExpr, Node, Select, children, path_of
from policy.cel.unparse import unparse

_COMPARISONS = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_ARITHMETIC = {"_+_": "add", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "divide"}
_RESULTS = {
    "size": Type.INT,
    "int": Type.INT,
    "double": Type.NUMBER,
    "string": Type.STRING,
    "timestamp": Type.TIMESTAMP,
    "duration": Type.DURATION,
    **dict.fromkeys(("bool", "contains", "startsWith", "endsWith", "matches", "@in", "!_"), Type.BOOL),
    **dict.fromkeys(
        (
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
        ),
        Type.INT,
    ),
}
_TYPE_NAMES = frozenset({"int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type"})
_ON_TEXT = frozenset({"contains", "startsWith", "endsWith", "matches"})
_ON_TIME = frozenset(name for name in _RESULTS if name.startswith("get"))


@dataclass(frozen=True)
class Issue:
    """A problem in a condition. ``offset`` counts characters from its beginning, from 0."""

    offset: int
    message: str
    warning: bool = False


def check(root: Node, declarations: Declarations) -> list[Issue]:
    """All problems with a condition's names and types, in the order of the text."""
    kind, issues = infer(root, declarations)
    if kind not in {Type.BOOL, Type.DYN}:
        issues.append(Issue(root.offset, f"a condition must be true or false; this is {kind}"))
    return sorted(issues, key=lambda issue: issue.offset)


def infer(root: Node, declarations: Declarations) -> tuple[Type, list[Issue]]:
    """The type of an expression, and all problems with its names and types."""
    checker = _Checker(declarations)
    return checker.type_of(root, {}), checker.issues


class _Checker:
    def __init__(self, declarations: Declarations) -> None:
        self._declarations = declarations
        self.issues: list[Issue] = []

    def add(self, node: Node, message: str, *, warning: bool = False) -> None:
        self.issues.append(Issue(node.offset, message, warning))

    def type_of(self, node: Node, bound: Mapping[str, Type]) -> Type:
        """The type of a node; adds its issues. ``bound`` holds the variables of the comprehensions around it."""
        match node:
            case Constant():
                return _literal(node)
            case Ident(name=name):
                return self._name(node, name, bound)
            case Select():
                return self._field(node, bound)
            case Call():
                return self._call(node, bound)
            case ListExpr(items=items):
                for item in items:
                    self.type_of(item, bound)
                return Type.LIST
            case Comprehension():
                return self._comprehension(node, bound)
            case MapExpr():
                for child in children(node):
                    self.type_of(child, bound)
                return Type.DYN
            case _:
                return Type.DYN

    def _name(self, node: Node, name: str, bound: Mapping[str, Type]) -> Type:
        if name in bound:
            return bound[name]
        if name == "now":
            return Type.TIMESTAMP
        if name not in self._declarations.roots and name not in _TYPE_NAMES:
            meant = name_slip(name) or did_you_mean(name, self._declarations.roots)
            quoted = "" if meant.endswith("?") else f'; a text is written "{name}"'
            self.add(node, f"{name!r} is unknown{meant}{quoted}")
        return Type.DYN

    def _field(self, node: Select, bound: Mapping[str, Type]) -> Type:
        path = path_of(node.operand)
        found = Type.DYN
        if path in {"alert", "model", "incident"} and path in self._declarations.roots and path not in bound:
            fields = self._declarations.fields(path)
            if node.name in fields:
                found = fields[node.name]
            else:
                self.add(node.operand, f"{path}.{node.name} is unknown{did_you_mean(node.name, fields)}")
        else:
            found = self._inside(node.operand, path, node.name, self.type_of(node.operand, bound))
        return Type.BOOL if node.test_only else found

    def _inside(self, node: Node, path: str, key: str, above: Type) -> Type:
        match above:
            case Type.STRING_MAP:
                return Type.STRING
            case Type.NUMBER_MAP:
                if path == "model.slo" and key not in self._declarations.slo:
                    self.add(
                        node, f"model.slo.{key} is not set for any model{did_you_mean(key, self._declarations.slo)}"
                    )
                return Type.NUMBER
            case Type.DYN:
                return Type.DYN
            case _:
                self.add(node, f"{path or 'this'} is {above} and has no field {key!r}")
                return Type.DYN

    def _call(self, node: Call, bound: Mapping[str, Type]) -> Type:
        operands = (node.target, *node.args) if node.target is not None else node.args
        types = [self.type_of(operand, bound) for operand in operands]
        name = node.function
        if name in {"_&&_", "_||_", "!_", "@not_strictly_false"}:
            for operand, kind in zip(operands, types, strict=True):
                if kind not in {Type.BOOL, Type.DYN}:
                    self.add(operand, f"{unparse(operand)} is {kind}; it must be true or false here")
            return Type.BOOL
        if name in {"_==_", "_!=_", *_COMPARISONS}:
            self._compare(node, operands, types)
            return Type.BOOL
        if name == "@in":
            self._in(node, operands, types)
        elif name == "_[_]":
            return self._index(operands, types)
        elif name == "_?_:_":
            return types[1] if types[1] == types[2] else Type.DYN
        elif name in _ARITHMETIC:
            return self._arithmetic(node, operands, types)
        elif name == "-_":
            return types[0]
        elif name in _ON_TEXT or name in _ON_TIME:
            wanted = {Type.STRING} if name in _ON_TEXT else {Type.TIMESTAMP, Type.DURATION}
            if types and types[0] not in {*wanted, Type.DYN}:
                self.add(node, f"{name} needs {' or '.join(sorted(wanted))}; {unparse(operands[0])} is {types[0]}")
        return _RESULTS.get(name, Type.DYN)

    def _compare(self, node: Call, operands: tuple[Node, ...], types: list[Type]) -> None:
        left, right = (Type.NUMBER if kind == Type.INT else kind for kind in types)
        ordered = node.function in _COMPARISONS
        if left == right or Type.DYN in {left, right}:
            unordered = next((kind for kind in (left, right) if kind in {*MAPS, Type.LIST}), None)
            if ordered and unordered:
                self.add(node, f"{unordered} cannot be compared with < or >")
        elif ordered or not _maybe_null(operands):
            sides = [f"{unparse(operand)} is {kind}" for operand, kind in zip(operands, types, strict=True)]
            self.add(node, f"{sides[0]} and {sides[1]}: they cannot be compared")
        self._check_values(operands[0], (operands[1],))
        self._check_values(operands[1], (operands[0],))

    def _in(self, node: Call, operands: tuple[Node, ...], types: list[Type]) -> None:
        container = operands[1]
        if types[1] not in {*MAPS, Type.LIST, Type.DYN}:
            self.add(node, f"in needs a list or a map; {unparse(container)} is {types[1]}")
        if types[1] in MAPS and types[0] not in {Type.STRING, Type.DYN}:
            self.add(node, f"the keys of {unparse(container)} are text; {unparse(operands[0])} is {types[0]}")
        if isinstance(container, ListExpr):
            number = {Type.NUMBER, Type.INT}
            for item in container.items:
                kind = self.type_of(item, {}) if isinstance(item, Constant) else Type.DYN
                same = kind == types[0] or (kind in number and types[0] in number) or Type.DYN in {kind, types[0]}
                if not same:
                    self.add(
                        item,
                        f"{unparse(operands[0])} is {types[0]} and {unparse(item)} is {kind}: they cannot be compared",
                    )
            self._check_values(operands[0], container.items)

    def _index(self, operands: tuple[Node, ...], types: list[Type]) -> Type:
        container, key = operands
        if isinstance(key, Constant) and isinstance(key.value, str):
            path = path_of(container)
            if path in {"alert", "model", "incident"} and path in self._declarations.roots:
                return self._field(Select(container.offset, container, key.value), {})
            return self._inside(container, path, key.value, types[0])
        if types[0] in MAPS and types[1] not in {Type.STRING, Type.DYN}:
            self.add(key, f"the keys of {unparse(container)} are text; {unparse(key)} is {types[1]}")
        return {Type.STRING_MAP: Type.STRING, Type.NUMBER_MAP: Type.NUMBER}.get(types[0], Type.DYN)

    def _arithmetic(self, node: Call, operands: tuple[Node, ...], types: list[Type]) -> Type:
        left, right = types
        if Type.DYN in types:
            return Type.DYN
        if {left, right} == {Type.NUMBER, Type.INT}:
            for operand, kind in zip(operands, types, strict=True):
                if kind == Type.INT and isinstance(operand, Constant):
                    verb = _ARITHMETIC[node.function]
                    self.add(operand, f"write {operand.value}.0: CEL does not {verb} whole and other numbers")
                    return Type.NUMBER
        time = {Type.TIMESTAMP, Type.DURATION}
        if left in time and right in time and node.function in {"_+_", "_-_"}:
            return Type.DURATION if left == right else Type.TIMESTAMP
        if left != right or left in {Type.BOOL, *MAPS}:
            sides = " and ".join(f"{unparse(operand)} is {kind}" for operand, kind in zip(operands, types, strict=True))
            self.add(node, f"{sides}: CEL does not {_ARITHMETIC[node.function]} them")
            return Type.DYN
        return left

    def _comprehension(self, node: Comprehension, bound: Mapping[str, Type]) -> Type:
        over = self.type_of(node.iter_range, bound)
        if over not in {*MAPS, Type.LIST, Type.DYN}:
            self.add(node.iter_range, f"{unparse(node.iter_range)} is {over}; a list or a map is needed here")
        key = Type.STRING if over in MAPS else Type.DYN
        inner = {**bound, node.iter_var: key, node.accu_var: Type.DYN}
        for part in node.parts:
            self.type_of(part, inner)
        start = node.parts[0]
        return Type.BOOL if isinstance(start, Constant) and isinstance(start.value, bool) else Type.DYN

    def _check_values(self, field: Node, values: tuple[Node, ...]) -> None:
        path = path_of(field)
        for value in values:
            if path and isinstance(value, Constant) and isinstance(value.value, str):
                issue = self._declarations.check_value(path, value.value)
                if issue:
                    self.add(value, issue.message, warning=issue.warning)


def _literal(node: Constant) -> Type:
    match node.value:
        case bool():
            return Type.BOOL
        case int():
            return Type.INT
        case float():
            return Type.NUMBER
        case str():
            return Type.STRING
        case _:
            return Type.DYN


def _maybe_null(operands: tuple[Node, ...]) -> bool:
    return any(isinstance(operand, Constant) and operand.value is None for operand in operands)
