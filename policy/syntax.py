"""A condition's syntax tree, with the place of each part in its text.

The library hands a parsed expression out as ``cel.expr.ParsedExpr``, the form that CEL's implementations exchange
(source: cel-spec, ``proto/cel/expr/syntax.proto``). Only what is read here is declared here: protobuf skips the rest.
"""
# What protobuf makes at run time carries no types: it is read here and nowhere else.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_PRIMITIVES = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
}
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "ParsedExpr": ((2, "expr", "Expr"), (3, "source_info", "SourceInfo")),
    "SourceInfo": ((4, "positions", "[]Position"),),
    "Position": ((1, "key", "int64"), (2, "value", "int32")),  # an entry of a map, as it goes over the wire
    "Expr": (
        (2, "id", "int64"),
        (3, "const", "Constant"),
        (4, "ident", "Ident"),
        (5, "select", "Select"),
        (6, "call", "Call"),
        (7, "list", "List"),
        (8, "struct", "Struct"),
        (9, "comprehension", "Comprehension"),
    ),
    "Constant": (
        (1, "null", "int32"),
        (2, "bool", "bool"),
        (3, "int64", "int64"),
        (4, "uint64", "uint64"),
        (5, "double", "double"),
        (6, "string", "string"),
        (7, "bytes", "bytes"),
    ),
    "Ident": ((1, "name", "string"),),
    "Select": ((1, "operand", "Expr"), (2, "field", "string"), (3, "test_only", "bool")),
    "Call": ((1, "target", "Expr"), (2, "function", "string"), (3, "args", "[]Expr")),
    "List": ((1, "elements", "[]Expr"),),
    "Struct": ((2, "entries", "[]Entry"),),
    "Entry": ((3, "map_key", "Expr"), (4, "value", "Expr")),
    "Comprehension": (
        (1, "iter_var", "string"),
        (2, "iter_range", "Expr"),
        (3, "accu_var", "string"),
        (4, "accu_init", "Expr"),
        (5, "loop_condition", "Expr"),
        (6, "loop_step", "Expr"),
        (7, "result", "Expr"),
    ),
}


def _parsed_expr() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="tocsin/cel.proto", package="tocsin.cel", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, label, kind in fields:
            repeated, kind = kind.startswith("[]"), kind.removeprefix("[]")
            one = message.field.add(name=label, number=number, label=3 if repeated else 1)
            if kind in _PRIMITIVES:
                one.type = _PRIMITIVES[kind]
            else:
                one.type, one.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".tocsin.cel.{kind}"
            if name == "Constant":
                one.oneof_index = 0
        if name == "Constant":
            message.oneof_decl.add(name="kind")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tocsin.cel.ParsedExpr"))


_ParsedExpr = _parsed_expr()


@dataclass(frozen=True)
class Node:
    """A part of a condition. Two parts that say the same are equal.

    ``offset`` counts characters from the condition's first.
    """

    offset: int = field(compare=False)


@dataclass(frozen=True)
class Literal(Node):
    value: bool | int | float | str | bytes | None
    unsigned: bool = False


@dataclass(frozen=True)
class Name(Node):
    name: str


@dataclass(frozen=True)
class Field(Node):
    """``operand.name``, or ``has(operand.name)`` where ``asked`` is true."""

    operand: Node
    name: str
    asked: bool = False


@dataclass(frozen=True)
class Call(Node):
    """A function or an operator by CEL's own name, such as ``_&&_``; ``of`` is what a method is called on."""

    function: str
    args: tuple[Node, ...]
    of: Node | None = None


@dataclass(frozen=True)
class Items(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Pairs(Node):
    """A map."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True)
class Loop(Node):
    """What ``all``, ``exists``, ``map`` and ``filter`` become: ``variable`` runs over ``over``."""

    variable: str
    over: Node
    accumulator: str
    parts: tuple[Node, ...]


def read_syntax(serialized: bytes) -> Node:
    """The tree of an expression that the library has parsed and serialised."""
    envelope = any_pb2.Any()
    envelope.ParseFromString(serialized)
    parsed = _ParsedExpr()
    parsed.ParseFromString(envelope.value)
    places = {one.key: one.value for one in parsed.source_info.positions}
    return _node(parsed.expr, places)


def _node(expr: Any, places: dict[int, int]) -> Node:
    at = places.get(expr.id, 0)

    def inner(part: Any) -> Node:
        return _node(part, places)

    if expr.HasField("const"):
        kind = expr.const.WhichOneof("kind")
        value = None if kind in {None, "null"} else getattr(expr.const, kind)
        return Literal(at, value, kind == "uint64")
    if expr.HasField("ident"):
        return Name(at, expr.ident.name)
    if expr.HasField("select"):
        return Field(at, inner(expr.select.operand), expr.select.field, expr.select.test_only)
    if expr.HasField("call"):
        call = expr.call
        of = inner(call.target) if call.HasField("target") else None
        return Call(at, call.function, tuple(map(inner, call.args)), of)
    if expr.HasField("list"):
        return Items(at, tuple(map(inner, expr.list.elements)))
    if expr.HasField("comprehension"):
        loop = expr.comprehension
        parts = (loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)
        return Loop(at, loop.iter_var, inner(loop.iter_range), loop.accu_var, tuple(map(inner, parts)))
    return Pairs(at, tuple((inner(one.map_key), inner(one.value)) for one in expr.struct.entries))


def children(node: Node) -> Iterator[Node]:
    """The parts that a part is made of."""
    match node:
        case Field(operand=operand):
            yield operand
        case Call(args=args, of=of):
            if of is not None:
                yield of
            yield from args
        case Items(items=items):
            yield from items
        case Pairs(pairs=pairs):
            for pair in pairs:
                yield from pair
        case Loop(over=over, parts=parts):
            yield over
            yield from parts
        case _:
            pass


def walk(node: Node) -> Iterator[Node]:
    """A part and all that is in it."""
    yield node
    for child in children(node):
        yield from walk(child)


def path_of(node: Node) -> str:
    """``alert.value`` or ``model.slo.error_rate`` or ``alert.segment["tier"]``; empty where it is no plain path."""
    match node:
        case Name(name=name):
            return name
        case Field(operand=operand, name=name, asked=False):
            above = path_of(operand)
            return f"{above}.{name}" if above else ""
        case Call(function="_[_]", args=(operand, Literal(value=str(key)))):
            above = path_of(operand)
            return f'{above}["{key}"]' if above else ""
        case _:
            return ""
