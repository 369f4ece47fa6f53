"""The ``tocsin`` command. A command's module is imported when the command runs, see ``cli.groups``."""

import gc
import os
from typing import Annotated, Any

# Short-lived: what the imports allocate stays until the end, and collecting it costs a tenth of a command's time.
gc.disable()
# Pydantic would search every installed package for plugins; Tocsin uses none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import typer  # noqa: E402
from typer.completion import install_callback, show_callback  # noqa: E402

from cli.completion import prepare_completion  # noqa: E402
from cli.groups import Entry, LazyGroup  # noqa: E402
from cli.process_end import end_process  # noqa: E402
from cli.streams import prepare_streams  # noqa: E402


class Commands(LazyGroup):
    """Every command, in the order of ``tocsin --help``."""

    entries = {  # noqa: RUF012  # a ClassVar of the base
        "up": Entry("cli.processes", "up", "Run everything on this machine: Temporal, worker and gateway."),
        "worker": Entry("cli.processes", "worker", "Run a worker."),
        "gateway": Entry("cli.processes", "gateway", "Run a gateway."),
        "watchdog": Entry("cli.processes", "watchdog", "Run the watchdog, which pages if Tocsin itself fails."),
        "send": Entry("cli.send", "send", "Send a signed alert to the gateway."),
        "drill": Entry("cli.drill", "drill", "Run a fire drill of a rule."),
        "incidents": Entry("cli.incidents", "incidents", "List, show, acknowledge, resolve and annotate incidents."),
        "silences": Entry("cli.silences", "silences", "Add, list, preview and expire silences."),
        "intake": Entry("cli.intake", "intake", "List, show and replay deliveries that nothing could read."),
        "changes": Entry("cli.changes", "changes", "List deploys and other reported changes."),
        "policy": Entry("cli.policies", "policy", "Check, test, explain, compare and replay policies."),
        "report": Entry("cli.report", "report", "Report on what a policy does, such as the phases of its rollout."),
        "arize": Entry("cli.arize", "arize", "Connect a tenant of Arize, check it, and manage its monitors as code."),
        "destinations": Entry("cli.destinations", "destinations", "List destinations, and test their delivery."),
        "audit": Entry("cli.audit", "audit", "Verify, show and export the audit log."),
        "token": Entry("cli.token", "token", "Create API tokens."),
        "config": Entry("cli.config", "config", "Show the settings in effect, with secrets masked."),
        "health": Entry("cli.health", "health", "Check this machine's gateway or worker."),
    }


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,  # its two options are declared below: Typer's own would import Pydantic at every TAB
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 success; 1 the answer is no, or something was refused; 2 the command could not run; "
    "3 the audit log's database cannot be read.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


def _flag(name: str, help: str, callback: Any) -> Any:  # noqa: A002  # Typer's own name
    return typer.Option(name, callback=callback, is_eager=True, help=help)


@app.callback()
def tocsin(
    version: Annotated[bool, _flag("--version", "Print the version.", _print_version)] = False,
    install_completion: Annotated[
        bool, _flag("--install-completion", "Install completion for this shell.", install_callback)
    ] = False,
    show_completion: Annotated[
        bool, _flag("--show-completion", "Print this shell's completion script.", show_callback)
    ] = False,
) -> None:
    """Arize alerts as incidents that a person can trust."""


def main() -> None:
    """The entry point. The name is given so that completion works however the command was started."""
    prepare_streams()
    prepare_completion()
    try:
        app(prog_name="tocsin")
    except BaseException as error:
        end_process(error)
        raise
    else:
        end_process(None)
    finally:
        gc.freeze()  # else the interpreter collects everything once more when it exits: a sixth of a command's time


if __name__ == "__main__":
    main()
