"""``tocsin health``: the healthcheck of a container."""

import os
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Format, FormatOption, echo_json

if TYPE_CHECKING:
    from worker.settings import Settings

_GATEWAY_TIMEOUT, _WORKER_TIMEOUT = 4.0, 8.0  # seconds; the healthchecks of the containers allow five and ten


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

    from worker.bootstrap import local_url

    url = local_url(settings)
    try:
        # No proxy: this is the machine's own address.
        with httpx.Client(timeout=_GATEWAY_TIMEOUT, trust_env=False) as client:
            answer = client.get(f"{url}/healthz")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"the gateway does not answer at {url}: {type(error).__name__}"
    return "" if answer.is_success else f"{url} answers {answer.status_code}"


async def _worker(settings: "Settings") -> str:
    import asyncio

    from temporalio.service import RPCError

    from gateway.health_monitor import pollers
    from worker.temporal import connect

    try:
        async with asyncio.timeout(_WORKER_TIMEOUT):
            client = await connect(settings)
            identities = await pollers(client, settings.task_queue) + await pollers(
                client, settings.task_queue, background=True
            )
    except TimeoutError:
        return f"Temporal does not answer within {_WORKER_TIMEOUT:g} s"
    except RPCError as error:
        return f"Temporal refuses the query: {error.message[:200]}"
    except RuntimeError:
        address = settings.temporal_address or "127.0.0.1:7233"
        return f"Temporal does not answer at {address}; check TEMPORAL_ADDRESS, its TLS and its API key"
    if any(identity.endswith(f"@{socket.gethostname()}") for identity in identities):
        return ""
    return f"no worker of this machine polls the task queue {settings.task_queue}"
