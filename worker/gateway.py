"""``tocsin gateway``: serves HTTP until it is stopped."""

import asyncio
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
import uvicorn

from alerts import Alert
from gateway import metrics
from gateway.app import create_app
from gateway.health_monitor import CHECK_INTERVAL
from gateway.ingest.spool import SpoolError
from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from gateway.security.encryption import EncryptionError, Keyring
from gateway.security.links import SETTING as LINK_SECRET
from gateway.security.links import Links
from gateway.security.rates import RateError, Rates
from gateway.security.slow_client_protocol import SlowClientProtocol
from gateway.security.tokens import TokenFileError, Tokens
from gateway.settings import GatewaySettings, UnauthenticatedError
from integrations.base.registry import callbacks
from policy import Decision, IncidentFacts
from worker.errors import StartError
from worker.policy_watcher import PolicyWatcher
from worker.settings import Settings
from worker.signals import reload_on_hangup
from worker.temporal import connect, make_runtime

_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is stopped: uvicorn raises the signal again at its end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def run_gateway(settings: Settings, *, insecure: bool) -> None:
    """Run until SIGINT or SIGTERM.

    Args:
        insecure: accept alerts without authentication if no secret of Arize is set.

    Raises:
        PolicyError: the policy is not valid.
        StartError: a setting, a file that it names, or the spool is not usable.
    """
    policies = PolicyWatcher(settings, count=lambda outcome: metrics.POLICY_RELOADS.labels(outcome).inc())
    client = await connect(settings, lazy=True, runtime=make_runtime())
    try:
        app = create_app(_gateway_settings(settings, policies, client.namespace, insecure=insecure), client)
    except (UnauthenticatedError, EncryptionError, RateError, SpoolError) as error:
        raise StartError(str(error)) from None
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            http=SlowClientProtocol,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.forwarded_allow_ips,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=15,
            limit_concurrency=2000,
            backlog=2048,
        )
    )
    listeners = _listen(settings.host, settings.port)
    reload_on_hangup(policies.request_reload)
    watching = asyncio.create_task(policies.watch())
    await server.serve(listeners)
    watching.cancel()


def _read_tokens(settings: Settings) -> Tokens:
    try:
        return Tokens.read(settings.api_tokens) if settings.api_tokens else Tokens({})
    except TokenFileError as error:
        raise StartError(f"TOCSIN_API_TOKENS: {error}") from None


def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host, as uvicorn would open them.

    Raises StartError. uvicorn would log the error without the settings, and exit with a code of its own.
    """
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except (OSError, UnicodeError) as error:
        for listener in listeners:
            listener.close()
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"cannot listen on {host}, port {port}: {reason}; check TOCSIN_HOST and TOCSIN_PORT") from None
    return listeners


def _gateway_settings(
    settings: Settings, policies: PolicyWatcher, namespace: str, *, insecure: bool
) -> GatewaySettings:
    def decide(alert: Alert, count: int) -> Decision | None:
        if policies.missing_secrets and settings.console_fallback:
            return None  # the workers have the secrets, and know which destinations the console replaces
        return policies.current().decide(alert, datetime.now(UTC), IncidentFacts(alerts=count))

    tokens = _read_tokens(settings)
    if tokens.in_clear:
        _log.warning(
            "api_tokens_in_clear", names=tokens.in_clear, remedy="store hashes instead: `tocsin token new` makes them"
        )
    return GatewaySettings(
        task_queue=settings.task_queue,
        namespace=namespace,
        policy=lambda: str(policies.status()),
        dedup_store_url=settings.dedup_store_url,
        spool=settings.state_dir / "spool.db",
        spool_limit=settings.spool_bytes,
        keys=Keyring.read(settings.secrets(ENCRYPTION_KEY)),
        rates=Rates(**settings.rates),
        decide=decide,
        rules=lambda: [rule.name for rule in policies.current().rules],
        arize_secrets=settings.secrets("ARIZE_WEBHOOK_SECRET"),
        arize_tokens=settings.secrets("ARIZE_WEBHOOK_TOKEN"),
        callback_secrets={one.name: settings.secrets(one.setting) for one in callbacks()},
        links=Links(settings.public_url, settings.secrets(LINK_SECRET)),
        tokens=tokens,
        health_interval=max(CHECK_INTERVAL / settings.speed, 1.0),
        insecure=insecure,
        temporal_ui_url=settings.temporal_ui_url,
    )
