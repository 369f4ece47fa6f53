"""Names and types of a condition, checked when it is loaded: never at three in the morning."""

from collections.abc import Mapping
from dataclasses import dataclass

from policy.near import near
from policy.syntax import Call, Field, Items, Literal, Loop, Name, Node, Pairs, children, path_of
from policy.vocabulary import Type, Vocabulary
from policy.written import written

_COMPARISONS = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_ARITHMETIC = {"_+_": "add", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "divide"}
_RESULTS = {
    "size": Type.WHOLE,
    "int": Type.WHOLE,
    "double": Type.NUMBER,
    "string": Type.TEXT,
    "timestamp": Type.MOMENT,
    "duration": Type.SPAN,
    **dict.fromkeys(("bool", "contains", "startsWith", "endsWith", "matches", "@in", "!_"), Type.TRUTH),
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
        Type.WHOLE,
    ),
}
_ON_TEXT = frozenset({"contains", "startsWith", "endsWith", "matches"})
_ON_TIME = frozenset(name for name in _RESULTS if name.startswith("get"))


@dataclass(frozen=True)
class Fault:
    """A fault of a part of a condition. ``offset`` counts characters; ``certain`` tells an error from a doubt."""

    offset: int
    message: str
    certain: bool = True


def check(root: Node, vocabulary: Vocabulary) -> list[Fault]:
    """Every fault of a condition's names and types, in the order of the text."""
    checker = _Checker(vocabulary)
    kind = checker.type_of(root, {})
    if kind not in {Type.TRUTH, Type.ANY}:
        checker.say(root, f"a condition answers true or false; this is {kind}")
    return sorted(checker.faults, key=lambda fault: fault.offset)


class _Checker:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._words = vocabulary
        self.faults: list[Fault] = []

    def say(self, node: Node, message: str, *, certain: bool = True) -> None:
        self.faults.append(Fault(node.offset, message, certain))

    def type_of(self, node: Node, bound: Mapping[str, Type]) -> Type:
        """The type of a part; faults in it are noted. ``bound`` are the variables of the loops around it."""
        match node:
            case Literal():
                return _literal(node)
            case Name(name=name):
                return self._name(node, name, bound)
            case Field():
                return self._field(node, bound)
            case Call():
                return self._call(node, bound)
            case Items(items=items):
                for item in items:
                    self.type_of(item, bound)
                return Type.LIST
            case Loop():
                return self._loop(node, bound)
            case Pairs():
                for child in children(node):
                    self.type_of(child, bound)
                return Type.ANY
            case _:
                return Type.ANY

    def _name(self, node: Node, name: str, bound: Mapping[str, Type]) -> Type:
        if name in bound:
            return bound[name]
        if name == "now":
            return Type.MOMENT
        if name not in self._words.roots and name not in {"int", "uint", "double", "string", "bool", "bytes"}:
            self.say(node, f"{name!r} is unknown{near(name, self._words.roots)}")
        return Type.ANY

    def _field(self, node: Field, bound: Mapping[str, Type]) -> Type:
        path = path_of(node.operand)
        found = Type.ANY
        if path in {"alert", "model", "incident"} and path not in bound:
            fields = self._words.fields(path)
            if node.name in fields:
                found = fields[node.name]
            else:
                self.say(node.operand, f"{path}.{node.name} is unknown{near(node.name, fields)}")
        else:
            found = self._inside(node.operand, path, node.name, self.type_of(node.operand, bound))
        return Type.TRUTH if node.asked else found

    def _inside(self, node: Node, path: str, key: str, above: Type) -> Type:
        match above:
            case Type.LABELS:
                return Type.TEXT
            case Type.NUMBERS:
                if path == "model.slo" and key not in self._words.slo:
                    self.say(node, f"model.slo.{key} is set for no model{near(key, self._words.slo)}")
                return Type.NUMBER
            case Type.ANY:
                return Type.ANY
            case _:
                self.say(node, f"{path or 'this'} is {above}: it has no field {key!r}")
                return Type.ANY

    def _call(self, node: Call, bound: Mapping[str, Type]) -> Type:
        operands = (node.of, *node.args) if node.of is not None else node.args
        types = [self.type_of(one, bound) for one in operands]
        name = node.function
        if name in {"_&&_", "_||_", "!_", "@not_strictly_false"}:
            for one, kind in zip(operands, types, strict=True):
                if kind not in {Type.TRUTH, Type.ANY}:
                    self.say(one, f"{written(one)} is {kind}; true or false is needed here")
            return Type.TRUTH
        if name in {"_==_", "_!=_", *_COMPARISONS}:
            self._compare(node, operands, types)
            return Type.TRUTH
        if name == "@in":
            self._within(node, operands, types)
        elif name == "_[_]":
            return self._index(operands, types)
        elif name == "_?_:_":
            return types[1] if types[1] == types[2] else Type.ANY
        elif name in _ARITHMETIC:
            return self._arithmetic(node, operands, types)
        elif name == "-_":
            return types[0]
        elif name in _ON_TEXT or name in _ON_TIME:
            wanted = {Type.TEXT} if name in _ON_TEXT else {Type.MOMENT, Type.SPAN}
            if types and types[0] not in {*wanted, Type.ANY}:
                self.say(node, f"{name} asks {' or '.join(sorted(wanted))}; {written(operands[0])} is {types[0]}")
        return _RESULTS.get(name, Type.ANY)

    def _compare(self, node: Call, operands: tuple[Node, ...], types: list[Type]) -> None:
        left, right = (Type.NUMBER if kind == Type.WHOLE else kind for kind in types)
        ordered = node.function in _COMPARISONS
        if left == right or Type.ANY in {left, right}:
            unordered = next((kind for kind in (left, right) if kind in {Type.LABELS, Type.NUMBERS, Type.LIST}), None)
            if ordered and unordered:
                self.say(node, f"{unordered} is neither more nor less than another")
        elif ordered or not _maybe_null(operands):
            said = [f"{written(one)} is {kind}" for one, kind in zip(operands, types, strict=True)]
            self.say(node, f"{said[0]} and {said[1]}: they never compare")
        self._doubt(operands[0], (operands[1],))
        self._doubt(operands[1], (operands[0],))

    def _within(self, node: Call, operands: tuple[Node, ...], types: list[Type]) -> None:
        container = operands[1]
        if types[1] not in {Type.LIST, Type.LABELS, Type.NUMBERS, Type.ANY}:
            self.say(node, f"in asks a list or a map; {written(container)} is {types[1]}")
        if types[1] in {Type.LABELS, Type.NUMBERS} and types[0] not in {Type.TEXT, Type.ANY}:
            self.say(node, f"the keys of {written(container)} are text; {written(operands[0])} is {types[0]}")
        if isinstance(container, Items):
            number = {Type.NUMBER, Type.WHOLE}
            for item in container.items:
                kind = self.type_of(item, {}) if isinstance(item, Literal) else Type.ANY
                same = kind == types[0] or (kind in number and types[0] in number) or Type.ANY in {kind, types[0]}
                if not same:
                    self.say(
                        item, f"{written(operands[0])} is {types[0]} and {written(item)} is {kind}: they never compare"
                    )
            self._doubt(operands[0], container.items)

    def _index(self, operands: tuple[Node, ...], types: list[Type]) -> Type:
        container, key = operands
        if isinstance(key, Literal) and isinstance(key.value, str):
            path = path_of(container)
            if path in {"alert", "model", "incident"}:
                return self._field(Field(container.offset, container, key.value), {})
            return self._inside(container, path, key.value, types[0])
        if types[0] in {Type.LABELS, Type.NUMBERS} and types[1] not in {Type.TEXT, Type.ANY}:
            self.say(key, f"the keys of {written(container)} are text; {written(key)} is {types[1]}")
        return {Type.LABELS: Type.TEXT, Type.NUMBERS: Type.NUMBER}.get(types[0], Type.ANY)

    def _arithmetic(self, node: Call, operands: tuple[Node, ...], types: list[Type]) -> Type:
        left, right = types
        if Type.ANY in types:
            return Type.ANY
        if {left, right} == {Type.NUMBER, Type.WHOLE}:
            for one, kind in zip(operands, types, strict=True):
                if kind == Type.WHOLE and isinstance(one, Literal):
                    self.say(
                        one, f"write {one.value}.0: CEL does not {_ARITHMETIC[node.function]} whole and other numbers"
                    )
                    return Type.NUMBER
        time = {Type.MOMENT, Type.SPAN}
        if left in time and right in time and node.function in {"_+_", "_-_"}:
            return Type.SPAN if left == right else Type.MOMENT
        if left != right or left in {Type.TRUTH, Type.LABELS, Type.NUMBERS}:
            said = " and ".join(f"{written(one)} is {kind}" for one, kind in zip(operands, types, strict=True))
            self.say(node, f"{said}: CEL does not {_ARITHMETIC[node.function]} them")
            return Type.ANY
        return left

    def _loop(self, node: Loop, bound: Mapping[str, Type]) -> Type:
        over = self.type_of(node.over, bound)
        if over not in {Type.LIST, Type.LABELS, Type.NUMBERS, Type.ANY}:
            self.say(node.over, f"{written(node.over)} is {over}: there is nothing in it to go through")
        key = Type.TEXT if over in {Type.LABELS, Type.NUMBERS} else Type.ANY
        inner = {**bound, node.variable: key, node.accumulator: Type.ANY}
        for part in node.parts:
            self.type_of(part, inner)
        start = node.parts[0]
        return Type.TRUTH if isinstance(start, Literal) and isinstance(start.value, bool) else Type.ANY

    def _doubt(self, field: Node, values: tuple[Node, ...]) -> None:
        path = path_of(field)
        for value in values:
            if path and isinstance(value, Literal) and isinstance(value.value, str):
                doubt = self._words.doubt(path, value.value)
                if doubt:
                    self.say(value, doubt[0], certain=doubt[1])


def _literal(node: Literal) -> Type:
    match node.value:
        case bool():
            return Type.TRUTH
        case int():
            return Type.WHOLE
        case float():
            return Type.NUMBER
        case str():
            return Type.TEXT
        case _:
            return Type.ANY


def _maybe_null(operands: tuple[Node, ...]) -> bool:
    return any(isinstance(one, Literal) and one.value is None for one in operands)
