"""A part of a condition as CEL text, in one spelling: for messages, and to tell whether two parts say the same."""

import json
from datetime import datetime

from policy.syntax import Call, Field, Items, Literal, Loop, Name, Node, Pairs

_BINARY = {
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


def written(node: Node, around: int = 0) -> str:
    """CEL text that means the same. ``around`` is how tightly what stands around it binds."""
    match node:
        case Literal(value=value, unsigned=unsigned):
            return (repr(value) if isinstance(value, float) else show(value)) + ("u" if unsigned else "")
        case Name(name=name):
            return name
        case Field(operand=operand, name=name, asked=asked):
            text = f"{written(operand, 7)}.{name}"
            return f"has({text})" if asked else text
        case Call(function="_[_]", args=(operand, key)):
            return f"{written(operand, 7)}[{written(key)}]"
        case Call(function="_?_:_", args=(asked_first, then, otherwise)):
            text = f"{written(asked_first, 1)} ? {written(then, 1)} : {written(otherwise)}"
            return f"({text})" if around else text
        case Call(function="!_" | "-_" as function, args=(operand,)):
            return f"{function[0]}{written(operand, 6)}"
        case Call(function=function, args=(left, right)) if function in _BINARY:
            sign, tightness = _BINARY[function]
            text = f"{written(left, tightness)} {sign} {written(right, tightness + 1)}"
            return f"({text})" if tightness < around else text
        case Call(function=function, args=args, of=of):
            call = f"{function}({', '.join(map(written, args))})"
            return f"{written(of, 7)}.{call}" if of is not None else call
        case Items(items=items):
            return f"[{', '.join(map(written, items))}]"
        case Pairs(pairs=pairs):
            return "{" + ", ".join(f"{written(key)}: {written(value)}" for key, value in pairs) + "}"
        case Loop(variable=variable, over=over):
            return f"{written(over, 7)}.…({variable}, …)"
        case _:
            return "…"


def show(value: object) -> str:
    """A value as a condition writes it: ``0.31``, ``"premium"``, ``true``."""
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
