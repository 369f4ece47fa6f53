"""``tocsin health``: the healthcheck of a container."""

import os
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Format, FormatOption, echo_json

if TYPE_CHECKING:
    from worker.settings import Settings

_TIMEOUT = 4.0  # seconds


class Role(StrEnum):
    gateway = "gateway"
    worker = "worker"


def health(
    role: Annotated[Role, typer.Argument(help="The process of this machine to check.")],
    form: FormatOption = Format.text,
) -> None:
    """Check that this machine's gateway answers, or that its worker polls Temporal. Exit code 1 if not."""
    import asyncio

    from worker.settings import read_settings

    settings = read_settings(os.environ)
    fault = _gateway(settings) if role is Role.gateway else asyncio.run(_worker(settings))
    if form is Format.json:
        echo_json({"role": role.value, "healthy": not fault, "fault": fault})
    else:
        typer.echo(fault or f"the {role.value} is healthy")
    raise typer.Exit(1 if fault else 0)


def _gateway(settings: "Settings") -> str:
    import httpx

    try:
        # No proxy: this is the machine's own address.
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            answer = client.get(f"http://127.0.0.1:{settings.port}/healthz")
    except httpx.HTTPError as error:
        return f"the gateway does not answer: {type(error).__name__}"
    return "" if answer.is_success else f"the gateway answers {answer.status_code}"


async def _worker(settings: "Settings") -> str:
    from temporalio.service import RPCError

    from gateway.health_monitor import pollers
    from worker.temporal import connect

    try:
        client = await connect(settings)
        identities = await pollers(client, settings.task_queue) + await pollers(
            client, settings.task_queue, background=True
        )
    except (RuntimeError, RPCError) as error:
        return f"Temporal does not answer: {str(error)[:200]}"
    if any(identity.endswith(f"@{socket.gethostname()}") for identity in identities):
        return ""
    return f"no worker of this machine polls the task queue {settings.task_queue}"
