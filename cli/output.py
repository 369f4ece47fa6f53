"""What commands print: JSON, and text that is right on a terminal, in a pipe, at 80 columns and without colour.

Ids and URLs are never broken or cut. Text wraps between words at the terminal's width, or at COLUMNS if it is set; in a
pipe without COLUMNS every row is one line.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cli.streams import stdout_is_utf8

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 10_000
_NARROWEST = 30
"""The last column moves to a line of its own if less than this is left for it."""


class Format(StrEnum):
    text = "text"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="json is for programs.")]


class Styled(NamedTuple):
    """A cell with a colour, which terminals show."""

    text: str
    colour: str = ""


Cell = str | Styled


def echo_json(value: Any) -> None:
    """Print JSON, indented. It is the same value in every encoding: what one lacks is written as an escape."""
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=not stdout_is_utf8()))


def width() -> int:
    """The columns that text may fill."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return int(columns)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED


def echo(text: str, colour: str = "", *, bold: bool = False) -> None:
    """Print text, wrapped between words, and coloured on a terminal."""
    for line in _wrapped(text, width()):
        typer.echo(painted(line, colour, bold=bold))


def painted(text: str, colour: str = "", *, bold: bool = False) -> str:
    """The text with its colour, if standard output is a terminal and NO_COLOR is not set."""
    if not (colour or bold) or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return typer.style(text, fg=colour or None, bold=bold or None)


def print_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print rows in columns. Only the last column wraps; all others are as wide as their longest cell."""
    table = [[cell if isinstance(cell, Styled) else Styled(cell) for cell in row] for row in rows]
    widths = [max(len(cell.text) for cell in column) for column in zip(map(Styled, header), *table, strict=True)][:-1]
    indent = sum(widths) + 2 * len(widths)
    for row in ([Styled(name) for name in header], *table):
        start = "  ".join(
            painted(cell.text, cell.colour) + " " * (size - len(cell.text))
            for cell, size in zip(row[:-1], widths, strict=True)
        )
        last = row[-1]
        if width() - indent >= _NARROWEST or len(last.text) <= width() - indent:
            lines = _wrapped(last.text, width() - indent)
            typer.echo(f"{start}  {painted(lines[0], last.colour)}".rstrip())
            following = " " * indent
        else:
            typer.echo(start.rstrip())
            following = " " * 4
            lines = ["", *_wrapped(last.text, width() - 4)]
        for line in lines[1:]:
            typer.echo(following + painted(line, last.colour))


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print a label and a value a line; fields without a value are left out."""
    shown = [(label, value) for label, value in fields if value]
    indent = max((len(label) for label, _ in shown), default=0) + 2
    for label, value in shown:
        lines = _wrapped(value, width() - indent)
        typer.echo(painted(f"{label:<{indent}}", "bright_black") + lines[0])
        for line in lines[1:]:
            typer.echo(" " * indent + line)


def _rich_console() -> "Console":
    """A console of rich, for reports that ``simulation`` renders. It does not break lines in a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width(), highlight=False, emoji=False, markup=False)


def print_rich(renderable: Any) -> None:
    """Print a renderable of rich. In a pipe no line ends with spaces, and no URL is folded."""
    console = _rich_console()
    if console.is_terminal:
        console.print(renderable)
        return
    text = _rendered(console, renderable, UNLIMITED)
    narrow = _rendered(console, renderable, width())
    if all(url in narrow for url in re.findall(r"https?://\S+", text)):
        text = narrow
    typer.echo("\n".join(line.rstrip() for line in text.splitlines()))


def _rendered(console: "Console", renderable: Any, columns: int) -> str:
    console.width = columns
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def _wrapped(text: str, columns: int) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        lines += wrap(line, max(columns, 20), break_long_words=False, break_on_hyphens=False) or [""]
    return lines or [""]
