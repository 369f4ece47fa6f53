"""A condition's syntax tree, with the offset of each node in the source text.

The library returns a parsed expression as ``cel.expr.ParsedExpr``, the format that CEL implementations exchange
(source: cel-spec, ``proto/cel/expr/syntax.proto``). Only the fields that are read here are declared here: protobuf
skips the rest. Node names are those of the specification.
"""
# Message classes that protobuf creates at run time are untyped: they are read in this file only.
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
    "Position": ((1, "key", "int64"), (2, "value", "int32")),  # an entry of a map, in its wire format
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
    """The message class ``ParsedExpr``, built from ``_MESSAGES``."""
    file = descriptor_pb2.FileDescriptorProto(name="tocsin/cel.proto", package="tocsin.cel", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, label, kind in fields:
            repeated, kind = kind.startswith("[]"), kind.removeprefix("[]")
            declared = message.field.add(name=label, number=number, label=3 if repeated else 1)
            if kind in _PRIMITIVES:
                declared.type = _PRIMITIVES[kind]
            else:
                declared.type, declared.type_name = (
                    descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
                    f".tocsin.cel.{kind}",
                )
            if name == "Constant":
                declared.oneof_index = 0
        if name == "Constant":
            message.oneof_decl.add(name="kind")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tocsin.cel.ParsedExpr"))


_ParsedExpr = _parsed_expr()


@dataclass(frozen=True)
class Node:
    """A node of the tree. Nodes with the same content are equal, wherever they stand.

    ``offset`` counts characters from the beginning of the condition, from 0.
    """

    offset: int = field(compare=False)


@dataclass(frozen=True)
class Constant(Node):
    value: bool | int | float | str | bytes | None
    unsigned: bool = False


@dataclass(frozen=True)
class Ident(Node):
    name: str


@dataclass(frozen=True)
class Select(Node):
    """``operand.name``; ``has(operand.name)`` if ``test_only``."""

    operand: Node
    name: str
    test_only: bool = False


@dataclass(frozen=True)
class Call(Node):
    """A function or an operator, by CEL's name, such as ``_&&_``; ``target`` is the receiver of a method call."""

    function: str
    args: tuple[Node, ...]
    target: Node | None = None


@dataclass(frozen=True)
class ListExpr(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class MapExpr(Node):
    """A map."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True)
class Comprehension(Node):
    """The expansion of ``all``, ``exists``, ``map`` or ``filter`` over the elements of ``iter_range``."""

    iter_var: str
    iter_range: Node
    accu_var: str
    parts: tuple[Node, ...]


def parse_syntax(serialized: bytes) -> Node:
    """The tree of an expression that the library parsed and serialised."""
    envelope = any_pb2.Any()
    envelope.ParseFromString(serialized)
    parsed = _ParsedExpr()
    parsed.ParseFromString(envelope.value)
    positions = {entry.key: entry.value for entry in parsed.source_info.positions}
    return _node(parsed.expr, positions)


def _node(expr: Any, positions: dict[int, int]) -> Node:
    at = positions.get(expr.id, 0)

    def inner(part: Any) -> Node:
        return _node(part, positions)

    if expr.HasField("const"):
        kind = expr.const.WhichOneof("kind")
        value = None if kind in {None, "null"} else getattr(expr.const, kind)
        return Constant(at, value, kind == "uint64")
    if expr.HasField("ident"):
        return Ident(at, expr.ident.name)
    if expr.HasField("select"):
        return Select(at, inner(expr.select.operand), expr.select.field, expr.select.test_only)
    if expr.HasField("call"):
        call = expr.call
        target = inner(call.target) if call.HasField("target") else None
        return Call(at, call.function, tuple(map(inner, call.args)), target)
    if expr.HasField("list"):
        return ListExpr(at, tuple(map(inner, expr.list.elements)))
    if expr.HasField("comprehension"):
        loop = expr.comprehension
        parts = (loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)
        return Comprehension(at, loop.iter_var, inner(loop.iter_range), loop.accu_var, tuple(map(inner, parts)))
    return MapExpr(at, tuple((inner(entry.map_key), inner(entry.value)) for entry in expr.struct.entries))


def children(node: Node) -> Iterator[Node]:
    """The direct children of a node."""
    match node:
        case Select(operand=operand):
            yield operand
        case Call(args=args, target=target):
            if target is not None:
                yield target
            yield from args
        case ListExpr(items=items):
            yield from items
        case MapExpr(pairs=pairs):
            for pair in pairs:
                yield from pair
        case Comprehension(iter_range=iter_range, parts=parts):
            yield iter_range
            yield from parts
        case _:
            pass


def walk(node: Node) -> Iterator[Node]:
    """A node and all its descendants."""
    yield node
    for child in children(node):
        yield from walk(child)


def uses(node: Node, name: str) -> bool:
    """Whether an expression uses a variable."""
    return any(isinstance(one, Ident) and one.name == name for one in walk(node))


def path_of(node: Node) -> str:
    """``alert.value``, ``model.slo.error_rate`` or ``alert.segment["tier"]``; empty if the node is not a plain path."""
    match node:
        case Ident(name=name):
            return name
        case Select(operand=operand, name=name, test_only=False):
            above = path_of(operand)
            return f"{above}.{name}" if above else ""
        case Call(function="_[_]", args=(operand, Constant(value=str(key)))):
            above = path_of(operand)
            return f'{above}["{key}"]' if above else ""
        case _:
            return ""
