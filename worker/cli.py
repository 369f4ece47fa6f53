"""The ``tocsin`` command."""

import os
import sys
from collections.abc import Coroutine
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

from worker.cli_audit import audit
from worker.cli_destinations import destinations
from worker.cli_drill import drill
from worker.cli_health import health
from worker.cli_incidents import incidents
from worker.cli_policy import policy
from worker.cli_send import send
from worker.cli_token import token
from worker.errors import StartError
from worker.settings import Settings, read_settings

# The roles are imported by their commands: `tocsin incidents ack` at 3 a.m. must not wait for what only a
# worker needs.


class Part(StrEnum):
    all = "all"
    urgent = "urgent"
    aside = "aside"


app = typer.Typer(
    name="tocsin",
    help="Arize alerts as incidents that a person can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(incidents, name="incidents")
app.add_typer(audit, name="audit")
app.add_typer(policy, name="policy")
app.add_typer(destinations, name="destinations")
app.add_typer(token, name="token")
app.command()(send)
app.command()(health)
app.command()(drill)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="The gateway's; another where it is taken. TOCSIN_PORT")] = 0,
    temporal_port: Annotated[int, typer.Option(help="The embedded Temporal server's.")] = 7233,
    ui_port: Annotated[int, typer.Option(help="Its UI's.")] = 8233,
    policy: Annotated[str, typer.Option(help="A file or folder. TOCSIN_POLICY")] = "",
    state_dir: Annotated[str, typer.Option(help="Where databases and local secrets are kept. TOCSIN_STATE_DIR")] = "",
    speed: Annotated[
        float, typer.Option(help="Divide every duration of the policy, to try things out. TOCSIN_SPEED")
    ] = 0,
    insecure: Annotated[bool, typer.Option(help="Take unauthenticated alerts.")] = False,
) -> None:
    """Everything on this machine: Temporal (unless TEMPORAL_ADDRESS names one), worker, gateway."""
    from worker.up import UpOptions, run_up

    given = {
        "TOCSIN_PORT": port,
        "TOCSIN_POLICY": policy,
        "TOCSIN_STATE_DIR": state_dir,
        "TOCSIN_SPEED": speed,
    }
    environment = {**os.environ, **{name: str(value) for name, value in given.items() if value}}
    _run(run_up(environment, UpOptions(temporal_port=temporal_port, ui_port=ui_port, insecure=insecure)))


@app.command()
def worker(
    only: Annotated[
        Part,
        typer.Option(help="What it does: urgent is workflows and pages, aside is all that a page may not wait for."),
    ] = Part.all,
) -> None:
    """The worker alone, on the cluster that TEMPORAL_ADDRESS names."""
    from worker.worker_role import run_worker

    settings = _settings("worker")
    _run(run_worker(settings, only.value))


@app.command()
def gateway(insecure: Annotated[bool, typer.Option(help="Take unauthenticated alerts.")] = False) -> None:
    """The gateway alone, on the cluster that TEMPORAL_ADDRESS names."""
    from worker.gateway_role import run_gateway

    settings = _settings("gateway")
    _run(run_gateway(settings, insecure=insecure))


@app.command()
def watchdog() -> None:
    """Looks after all the others, and tells whom the policy's watchdog names; needs none of them to do so."""
    from worker.watchdog_role import run_watchdog

    settings = _settings("watchdog")
    _run(run_watchdog(settings))


def _settings(role: str) -> Settings:
    try:
        settings = read_settings(os.environ)
    except StartError as error:
        _stop(str(error))
    from worker.logs import configure, environment_secrets, keep_out

    keep_out(environment_secrets(settings.environment))
    configure(settings.log_level, role)
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    from policy import PolicyError

    try:
        uvloop.run(work)
    except PolicyError as error:
        _stop(f"the policy cannot be used:\n{error}")
    except (StartError, LookupError) as error:
        _stop(str(error))


def _stop(message: str) -> NoReturn:
    typer.echo(f"tocsin: {message}", err=True)
    sys.exit(1)


def main() -> None:
    try:
        app()
    except StartError as error:  # such as a setting that cannot be meant
        _stop(str(error))


if __name__ == "__main__":
    main()
