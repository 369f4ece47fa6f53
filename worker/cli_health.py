"""``tocsin health``: what a container's healthcheck asks."""

import asyncio
import os
import socket
from enum import StrEnum
from typing import Annotated

import httpx
import typer

from worker.settings import Settings, read_settings


class Role(StrEnum):
    gateway = "gateway"
    worker = "worker"


def health(role: Annotated[Role, typer.Argument(help="Of this machine.")]) -> None:
    """Exit code 0 where the gateway of this machine answers, or its worker polls Temporal for work."""
    settings = read_settings(os.environ)
    fault = _gateway(settings) if role is Role.gateway else asyncio.run(_worker(settings))
    typer.echo(fault or f"the {role} is well")
    raise typer.Exit(1 if fault else 0)


def _gateway(settings: Settings) -> str:
    try:
        answer = httpx.get(f"http://127.0.0.1:{settings.port}/healthz", timeout=4)
    except httpx.HTTPError as error:
        return f"the gateway does not answer: {type(error).__name__}"
    return "" if answer.is_success else f"the gateway answers {answer.status_code}"


async def _worker(settings: Settings) -> str:
    from temporalio.service import RPCError

    from gateway.vitals import pollers
    from worker.temporal import connect

    try:
        client = await connect(settings)
        identities = await pollers(client, settings.task_queue) + await pollers(client, settings.task_queue, aside=True)
    except (RuntimeError, RPCError) as error:
        return f"Temporal does not answer: {str(error)[:200]}"
    if any(identity.endswith(f"@{socket.gethostname()}") for identity in identities):
        return ""
    return f"no worker of this machine polls the task queue {settings.task_queue}"
