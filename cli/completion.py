"""Shell completion starts the command at every TAB, so it must load next to nothing."""

import os
import sys
from typing import Any

from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]  # Typer calls it for apps whose options it adds
from typer.core import TyperArgument, TyperOption

VARIABLE = "_TOCSIN_COMPLETE"


def prepare_completion() -> None:
    """Register the shells. If a shell asks for completions, turn off what Typer loads for running commands only."""
    completion_init()
    if VARIABLE not in os.environ:
        return
    # Typer converts every parameter with Pydantic, even one that is not given. Completion runs no command, and the
    # names of commands and options do not depend on values.
    TyperOption.process_value = TyperArgument.process_value = _unconverted
    # Typer renders help lines with rich, if it can be imported, to remove markup. Tocsin's help lines have none.
    sys.modules["rich"] = None  # pyright: ignore[reportArgumentType]  # the documented way to hide a module


def _unconverted(self: Any, ctx: Any, value: Any) -> Any:
    del self, ctx
    return value
