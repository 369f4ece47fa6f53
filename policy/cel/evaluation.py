"""Evaluates compiled expressions. Whatever the library raises becomes a ``Failure``: every alert is decided."""

import re
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

MAX_ITERATIONS = 10_000
"""Of all loops of one evaluation together; with as many or more, the library gives up (source: cel-cpp, the runtime
option ``comprehension_max_iterations``)."""
_ERROR = cel.Type.ERROR
_MISSING = re.compile(r"Key not found in map : (.*)", re.DOTALL)
_MAX_REASON_CHARS = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an expression has no value."""

    reason: str
    missing: str = ""
    """The key that the alert or the body lacks, as CEL writes it: most alerts lack most keys. Empty if it failed for
    another reason."""


def evaluate(program: cel.Expression, activation: cel.Activation) -> "cel.Value | Failure":
    """The value of an expression, or why it has none. Never raises."""
    try:
        result: Any = program.eval(activation)
    except Exception as error:  # noqa: BLE001  # the library raises RuntimeError, for one, for too many iterations
        return Failure(_reworded(str(error) or type(error).__name__))
    if result.type() != _ERROR:
        return result
    text = str(result.value())
    if missing := _MISSING.search(text):
        return Failure(f"{missing[1][:_MAX_REASON_CHARS]} is missing", missing[1])
    return Failure(text.partition(": ")[2][:_MAX_REASON_CHARS] or text[:_MAX_REASON_CHARS])


def _reworded(text: str) -> str:
    if "Iteration budget exceeded" in text:
        return f"it needs over {MAX_ITERATIONS:,} steps for this one"
    return " ".join(re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", text).split())[:_MAX_REASON_CHARS]
