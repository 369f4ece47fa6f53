"""The connection to Temporal, by Temporal's own settings, and the search attributes that Tocsin needs there."""

import asyncio
import logging
from datetime import timedelta
from functools import cache

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from gateway.encryption import SETTING as ENCRYPTION_KEY
from gateway.encryption import EncryptionError, Keyring, data_converter
from worker.errors import StartError
from worker.settings import Settings
from workflows import search

CONNECTED_WITHIN = 15.0  # seconds of one attempt
REGISTERED_WITHIN = timedelta(seconds=10)
LOOKED_AFTER = 60.0  # seconds

_log = structlog.get_logger()

QUICK = RetryConfig(max_elapsed_time_millis=1500, max_retries=3)
"""For a gateway: what Temporal does not take soon goes to the spool, and a sender waits for its answer."""

SEARCH_ATTRIBUTES = {
    **{key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for key in search.KEYWORDS},
    search.REGULATED.name: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
}


@cache
def make_runtime(metrics: str = "") -> Runtime:
    """The process's runtime, whose own log lines go the way of ours.

    It is the SDK's default one from then on, which alone is never let go of: another, let go of at the end while a call
    is under way, as when Temporal is away, would wait for that call for ever, and the process with it.

    With ``metrics``, an address such as 0.0.0.0:9464, it serves the SDK's figures for Prometheus there.
    """
    logging_config = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio")),
    )
    served = PrometheusConfig(bind_address=metrics) if metrics else None
    runtime = Runtime(telemetry=TelemetryConfig(logging=logging_config, metrics=served))
    Runtime.set_default(runtime, error_if_already_set=False)
    return runtime


async def connect(settings: Settings, *, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """A client for the cluster that the environment names (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, profiles, TLS).

    Raises RuntimeError where the cluster does not answer; a ``lazy`` client connects at its first use, and tries
    nothing for long. Raises
    StartError where TOCSIN_ENCRYPTION_KEY is not usable.
    """
    try:
        converter = data_converter(Keyring.read(settings.secrets(ENCRYPTION_KEY)))
    except EncryptionError as error:
        raise StartError(str(error)) from None
    config = ClientConfig.load_client_connect_config(override_env_vars=dict(settings.environment))
    config.setdefault("target_host", "127.0.0.1:7233")
    return await Client.connect(
        **config, data_converter=converter, lazy=lazy, runtime=runtime, retry_config=QUICK if lazy else None
    )


async def connect_surely(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """Connect where the cluster answers and has the namespace: a worker that begins without ends at once.

    Raises RuntimeError, RPCError or TimeoutError.
    """
    async with asyncio.timeout(CONNECTED_WITHIN):
        client = await connect(settings, runtime=runtime)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
        return client


async def connect_patiently(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """Connect, waiting for as long as the cluster, or its namespace, is away: a worker has nothing better to do."""
    wait = 0.1
    while True:
        try:
            return await connect_surely(settings, runtime=runtime)
        except (RuntimeError, RPCError, TimeoutError) as error:
            if wait > 2:
                _log.warning("temporal does not answer yet", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(wait)
            wait = min(wait * 2, 10.0)


async def keep_registered(client: Client, speed: float = 1.0) -> None:
    """Look every minute: a namespace may be made anew, and nothing can be begun there before."""
    while True:
        await asyncio.sleep(max(LOOKED_AFTER / speed, 1.0))
        await register_search_attributes(client)


async def register_search_attributes(client: Client) -> None:
    """Add what is missing. Without the right to do so, says which command an administrator runs."""
    try:
        there = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), retry=True, timeout=REGISTERED_WITHIN
        )
        missing = {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in there.custom_attributes}
        if missing:
            request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            await client.operator_service.add_search_attributes(request, retry=True, timeout=REGISTERED_WITHIN)
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return
        commands = "; ".join(
            f"temporal operator search-attribute create --name {name} --type "
            f"{IndexedValueType.Name(kind).removeprefix('INDEXED_VALUE_TYPE_').capitalize()}"
            for name, kind in SEARCH_ATTRIBUTES.items()
        )
        _log.warning("search attributes could not be registered", error=error.message, remedy=commands)
