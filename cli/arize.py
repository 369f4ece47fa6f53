"""``tocsin arize``: commands for a tenant of Arize. Each is imported when it runs, see ``cli.groups``."""

from typing import Any

import typer

from cli.errors import FAILED
from cli.groups import Entry, LazyGroup

_CHANGES_ARE_2 = frozenset({"plan", "drift"})
"""Commands whose exit code 2 means that there are changes, so that an error must have another one."""


class ArizeCommands(LazyGroup):
    """The commands of the group, in the order of ``tocsin arize --help``."""

    entries = {  # noqa: RUF012  # a ClassVar of the base
        "connect": Entry(
            "cli.arize_connect", "connect", "Connect Tocsin with a tenant: its webhook, a test, the payload."
        ),
        "doctor": Entry(
            "cli.arize_doctor", "doctor", "Check the key, its rights, the webhook and the last deliveries."
        ),
        "coverage": Entry("cli.arize_coverage", "coverage", "Show what the policy decides about every monitor."),
        "draft": Entry("cli.arize_draft", "draft", "Write a policy, and tests, from the tenant's monitors."),
        "plan": Entry("cli.arize_monitors", "plan", "Show what must change so that Arize has the declared monitors."),
        "apply": Entry("cli.arize_monitors", "apply", "Carry out a saved plan."),
        "import": Entry("cli.arize_monitors", "import_monitors", "Write declarations of monitors that exist."),
        "drift": Entry("cli.arize_monitors", "drift", "Report what somebody changed by hand, with who and when."),
        "schema": Entry("cli.arize_monitors", "schema", "Print the JSON Schema of monitors files, for editors."),
    }

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            if ctx.invoked_subcommand in _CHANGES_ARE_2:
                error.exit_code = FAILED
            raise


arize = typer.Typer(
    cls=ArizeCommands,
    help="Connect a tenant of Arize, check it, and manage its monitors as code.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@arize.callback()
def _arize() -> None:  # pyright: ignore[reportUnusedFunction]
    """Connect a tenant of Arize, check it, and manage its monitors as code."""
