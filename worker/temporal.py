"""The connection to Temporal, with Temporal's own settings, and the search attributes that Tocsin needs there."""

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

from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from gateway.security.encryption import EncryptionError, Keyring, data_converter
from gateway.temporal_errors import is_temporal_unavailable
from worker.errors import StartError
from worker.retries import retry_forever
from worker.settings import Settings
from worker.tracing import RequestIdClientInterceptor
from workflows import search_attributes

CONNECT_TIMEOUT = 15.0  # seconds of one attempt
REGISTER_TIMEOUT = timedelta(seconds=10)
REGISTER_INTERVAL = 60.0  # seconds

_log = structlog.get_logger()

QUICK = RetryConfig(max_elapsed_time_millis=1500, max_retries=3)
"""For a gateway: a sender waits for its answer, and what Temporal does not accept within this time is spooled."""

SEARCH_ATTRIBUTES = {
    **{key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for key in search_attributes.KEYWORDS},
    search_attributes.REGULATED.name: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    search_attributes.VENDOR_IDS.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}


def _prometheus(address: str) -> PrometheusConfig:
    from activities.metrics import DURATION, DURATION_BUCKETS  # not needed by processes without these metrics

    return PrometheusConfig(bind_address=address, histogram_bucket_overrides={DURATION: DURATION_BUCKETS})


@cache
def make_runtime(metrics: str = "") -> Runtime:
    """The process's Temporal runtime. It forwards the SDK's log lines to Python's logging.

    It becomes the SDK's default runtime, which is never released. Any other one is released at exit, and then waits for
    calls that are under way: without a limit while Temporal is unavailable.

    Args:
        metrics: an address such as ``0.0.0.0:9464`` where it serves the SDK's metrics for Prometheus.

    Raises:
        StartError: nothing can listen on that address.
    """
    logging_config = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio")),
    )
    prometheus = _prometheus(metrics) if metrics else None
    try:
        runtime = Runtime(telemetry=TelemetryConfig(logging=logging_config, metrics=prometheus))
    except (ValueError, RuntimeError) as error:
        raise StartError(f"TOCSIN_WORKER_METRICS is {metrics}, and no metrics can be served there: {error}") from None
    Runtime.set_default(runtime, error_if_already_set=False)
    return runtime


async def connect(settings: Settings, *, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """A client for the cluster of the environment (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, profiles, TLS).

    Args:
        lazy: connect at the first request, and retry requests for a short time only.

    Raises:
        RuntimeError: the cluster does not answer.
        StartError: a setting of Temporal, or TOCSIN_ENCRYPTION_KEY, is not valid.
    """
    try:
        converter = data_converter(Keyring.read(settings.secrets(ENCRYPTION_KEY)))
    except EncryptionError as error:
        raise StartError(str(error)) from None
    try:
        config = ClientConfig.load_client_connect_config(override_env_vars=dict(settings.environment))
    except RuntimeError as error:  # the SDK's ConfigError, which is not public
        raise StartError(
            f"Temporal's settings cannot be used: {error}; check TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE"
        ) from None
    config.setdefault("target_host", "127.0.0.1:7233")
    try:
        return await Client.connect(
            **config,
            data_converter=converter,
            interceptors=[RequestIdClientInterceptor()],
            lazy=lazy,
            runtime=runtime,
            retry_config=QUICK if lazy else None,
        )
    except ValueError as error:
        raise StartError(
            f"Temporal's settings cannot be used: {error}; check TEMPORAL_ADDRESS and the certificates of TEMPORAL_TLS"
        ) from None


async def connect_verified(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """Connect, and verify that the namespace exists: a worker that starts without it ends at once.

    Raises:
        RuntimeError, RPCError, TimeoutError: the cluster does not answer, or has no such namespace.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT):
        client = await connect(settings, runtime=runtime)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
        return client


async def connect_with_retry(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """Connect, and retry for as long as the cluster or its namespace is unavailable."""
    attempts = retry_forever(
        "temporal_unavailable",
        RuntimeError,
        RPCError,
        TimeoutError,
        wait_initial=0.1,
        wait_max=10.0,
        quiet_attempts=5,  # about three seconds, which a server that starts needs
    )
    async for attempt in attempts:
        with attempt:
            return await connect_verified(settings, runtime=runtime)
    raise AssertionError("retried without a limit")


async def maintain_search_attributes(client: Client, speed: float = 1.0) -> None:
    """Register the search attributes every minute: a namespace that was recreated has none, and starts no incident."""
    while True:
        await asyncio.sleep(max(REGISTER_INTERVAL / speed, 1.0))
        await register_search_attributes(client)


async def register_search_attributes(client: Client) -> None:
    """Add the search attributes that are missing. Without the permission, logs the commands for an administrator."""
    try:
        existing = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), retry=True, timeout=REGISTER_TIMEOUT
        )
        missing = {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in existing.custom_attributes}
        if missing:
            request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            await client.operator_service.add_search_attributes(request, retry=True, timeout=REGISTER_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return
        if is_temporal_unavailable(error):
            _log.warning(
                "search_attributes_not_registered",
                error=error.message,
                remedy="Temporal did not answer; they are registered when a worker starts while it does",
            )
            return
        commands = "; ".join(
            f"temporal operator search-attribute create --name {name} --type "
            f"{IndexedValueType.Name(kind).removeprefix('INDEXED_VALUE_TYPE_').title().replace('_', '')}"
            for name, kind in SEARCH_ATTRIBUTES.items()
        )
        _log.warning("search_attributes_not_registered", error=error.message, remedy=commands)
