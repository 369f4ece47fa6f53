"""``tocsin up|worker|gateway|watchdog``: the long-running processes."""

import gc
import os
from collections.abc import Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import exit_with_error

if TYPE_CHECKING:
    from worker.settings import Settings


def _port(text: str) -> Any:
    return typer.Option(help=text, min=0, max=65_535, show_default=False)


Insecure = Annotated[bool, typer.Option(help="Accept alerts without authentication.")]


class Part(StrEnum):
    all = "all"
    paging = "paging"
    background = "background"


def up(
    port: Annotated[int | None, _port("The gateway's port; 8080, or another if that is in use. TOCSIN_PORT")] = None,
    temporal_port: Annotated[
        int | None, _port("The embedded Temporal server's port; 7233, or another if that is in use.")
    ] = None,
    ui_port: Annotated[int | None, _port("The port of its UI; 8233, or another if that is in use.")] = None,
    policy: Annotated[str, typer.Option(help="The policy: a file or folder. TOCSIN_POLICY")] = "",
    state_dir: Annotated[str, typer.Option(help="The folder for databases and local secrets. TOCSIN_STATE_DIR")] = "",
    speed: Annotated[
        float | None,
        typer.Option(help="Divide every duration of the policy, for experiments. TOCSIN_SPEED", show_default=False),
    ] = None,
    insecure: Insecure = False,
) -> None:
    """Run everything on this machine: Temporal (unless TEMPORAL_ADDRESS is set), worker and gateway."""
    from worker.supervisor import UpOptions, run_up

    given = {
        "TOCSIN_PORT": port,
        "TOCSIN_POLICY": policy,
        "TOCSIN_STATE_DIR": state_dir,
        "TOCSIN_SPEED": speed,
    }
    environment = {**os.environ, **{name: str(value) for name, value in given.items() if value not in {None, ""}}}
    _run(run_up(environment, UpOptions(temporal_port=temporal_port, ui_port=ui_port, insecure=insecure)))


def worker(
    only: Annotated[
        Part,
        typer.Option(help="paging: workflows and pages; background: everything that a page must not wait for."),
    ] = Part.all,
) -> None:
    """Run a worker on the cluster at TEMPORAL_ADDRESS."""
    from worker.worker import run_worker

    settings = _settings("worker")
    _run(run_worker(settings, only.value))


def gateway(insecure: Insecure = False) -> None:
    """Run a gateway on the cluster at TEMPORAL_ADDRESS."""
    from worker.gateway import run_gateway

    settings = _settings("gateway")
    _run(run_gateway(settings, insecure=insecure))


def watchdog() -> None:
    """Run the watchdog: it checks all other processes, and pages directly, without any of them."""
    from worker.watchdog import run_watchdog

    settings = _settings("watchdog")
    _run(run_watchdog(settings))


def _settings(role: str) -> "Settings":
    from worker.logs import configure, environment_secrets, redact
    from worker.settings import read_settings

    settings = read_settings(os.environ)
    redact(environment_secrets(settings.environment))
    configure(settings.log_level, role)
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    from policy import PolicyError
    from worker.locations import restrict_new_files

    restrict_new_files()

    os.umask(0o077)  # databases and spools hold customers' data
    gc.enable()  # cli.main turns it off for commands that end soon
    try:
        uvloop.run(work)
    except PolicyError as error:
        exit_with_error(f"the policy, TOCSIN_POLICY, is not valid:\n{error}")
    except LookupError as error:  # a destination's secret is not set
        exit_with_error(str(error))
