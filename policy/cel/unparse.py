"""A syntax tree as CEL text, in one normal form: for messages and for evaluating a part of a condition."""

import json
from datetime import datetime

from policy.cel.syntax import Call, Comprehension, Constant, Ident, ListExpr, MapExpr, Node, Select

_BINARY = {  # by CEL's name: the operator and its precedence
    "_||_": ("||", 1),
    "_&&_": ("&&", 2),
    "_==_": ("==", 3),
    "_!=_": ("!=", 3),
    "_<_": ("<", 3),
    "_<=_": ("<=", 3),
    "_>_": (">", 3),
    "_>=_": (">=", 3),
    "@in": ("in", 3),
    "_+_": ("+", 4),
    "_-_": ("-", 4),
    "_*_": ("*", 5),
    "_/_": ("/", 5),
    "_%_": ("%", 5),
}


def unparse(node: Node, around: int = 0) -> str:
    """CEL source of a node. ``around`` is the precedence of the enclosing operator, for parentheses."""
    match node:
        case Constant(value=value, unsigned=unsigned):
            return (repr(value) if isinstance(value, float) else format_value(value)) + ("u" if unsigned else "")
        case Ident(name=name):
            return name
        case Select(operand=operand, name=name, test_only=test_only):
            text = f"{unparse(operand, 7)}.{name}"
            return f"has({text})" if test_only else text
        case Call(function="_[_]", args=(operand, key)):
            return f"{unparse(operand, 7)}[{unparse(key)}]"
        case Call(function="_?_:_", args=(condition, then, otherwise)):
            text = f"{unparse(condition, 1)} ? {unparse(then, 1)} : {unparse(otherwise)}"
            return f"({text})" if around else text
        case Call(function="!_" | "-_" as function, args=(operand,)):
            return f"{function[0]}{unparse(operand, 6)}"
        case Call(function=function, args=(left, right)) if function in _BINARY:
            sign, precedence = _BINARY[function]
            text = f"{unparse(left, precedence)} {sign} {unparse(right, precedence + 1)}"
            return f"({text})" if precedence < around else text
        case Call(function=function, args=args, target=target):
            call = f"{function}({', '.join(map(unparse, args))})"
            return f"{unparse(target, 7)}.{call}" if target is not None else call
        case ListExpr(items=items):
            return f"[{', '.join(map(unparse, items))}]"
        case MapExpr(pairs=pairs):
            return "{" + ", ".join(f"{unparse(key)}: {unparse(value)}" for key, value in pairs) + "}"
        case Comprehension(iter_var=iter_var, iter_range=iter_range):
            return f"{unparse(iter_range, 7)}.…({iter_var}, …)"
        case _:
            return "…"


def format_value(value: object) -> str:
    """A value in CEL syntax: ``0.31``, ``"premium"``, ``true``."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}" if abs(value) < 1e15 else repr(value)
        case int():
            return str(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)
