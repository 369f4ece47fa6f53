"""Command groups that are imported when they are used: ``--help`` and shell completion start at every TAB."""

import os
import sys
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
import typer.main
from typer.core import TyperGroup

from cli.completion import VARIABLE
from cli.errors import reported_errors


class Entry(NamedTuple):
    """A command or a command group: the module and the attribute that hold it, and its line in ``tocsin --help``."""

    module: str
    attribute: str
    help: str


def command_group(help: str) -> typer.Typer:  # noqa: A002  # Typer's own name
    """A group of commands with plain-text help; importing rich for it takes longer than most commands run."""
    return typer.Typer(
        help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )


class LazyGroup(TyperGroup):
    """The root group. It knows the names and help lines of its commands, and imports one when it is entered."""

    entries: ClassVar[dict[str, Entry]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name, entry)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        mistyped = args and args[0] not in self.entries and not args[0].startswith("-")
        if mistyped and not ctx.resilient_parsing:  # shell completion parses so, and says nothing
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.entries, 1)
            ctx.fail(f"no command {args[0]!r}" + (f": did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        # Typer asks each command that fits for its help line, and so would import it.
        for name, entry in self.entries.items():
            self.commands.setdefault(name, TyperGroup(name=name, short_help=entry.help))
        return super().shell_complete(ctx, incomplete)

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command and end the process. Errors are reported in one line, see ``cli.errors``."""
        with reported_errors(silent=VARIABLE in os.environ):
            code = super().main(*args, standalone_mode=False, **extra)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _load(name: str, entry: Entry) -> Any:
    found = getattr(import_module(entry.module), entry.attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        app.command(name)(found)
        found = app
    command = typer.main.get_command(found)
    command.name = name
    return command
