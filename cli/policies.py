"""``tocsin policy``: commands for policies. Each is imported when it runs, see ``cli.groups``."""

import typer

from cli.groups import Entry, LazyGroup

_HELP = "Check, test, explain, compare and replay policies."


class PolicyCommands(LazyGroup):
    """The commands of the group, in the order of ``tocsin policy --help``."""

    entries = {  # noqa: RUF012  # a ClassVar of the base
        "check": Entry("cli.policy", "check", "Check a policy and report every problem with file, line and column."),
        "test": Entry("cli.policy", "run_tests", "Run the policy's unit tests."),
        "explain": Entry("cli.policy", "explain", "Show what an alert does: who is notified, when, and why."),
        "diff": Entry("cli.policy", "diff", "Compare two policies: every key, and the decisions about real alerts."),
        "replay": Entry("cli.policy_replay", "replay", "Play recorded alerts, and count what would have been sent."),
        "show": Entry("cli.policy", "show", "Print the policy that was in force for a recorded decision."),
        "schema": Entry("cli.policy", "schema", "Print the JSON Schema of policies, for editors."),
        "reference": Entry("cli.policy", "reference", "Print the reference of every key of a policy, as Markdown."),
    }


policy = typer.Typer(
    cls=PolicyCommands,
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@policy.callback()
def _policy() -> None:  # pyright: ignore[reportUnusedFunction]
    """Check, test, explain, compare and replay policies."""
