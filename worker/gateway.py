"""``tocsin gateway``: serves HTTP until it is stopped."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn
from prometheus_client import start_http_server

from gateway import metrics
from gateway.app import create_app
from gateway.health_monitor import CHECK_INTERVAL
from gateway.ingest.first_decision import FirstDecider
from gateway.ingest.grouping import PolicyGrouping
from gateway.ingest.spool import SpoolError
from gateway.quarantine.store import Limits
from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from gateway.security.encryption import EncryptionError, Keyring
from gateway.security.links import SETTING as LINK_SECRET
from gateway.security.links import Links
from gateway.security.proxies import TrustedProxies
from gateway.security.rates import RateError, Rates
from gateway.security.secret_file import SecretFile
from gateway.security.slow_client_protocol import SlowClientProtocol
from gateway.security.tokens import TokenFile, TokenFileError, Tokens
from gateway.settings import GatewaySettings, UnauthenticatedError
from gateway.version import VERSION
from integrations.arize.description_cache import DescriptionCache
from integrations.base.registry import callbacks
from integrations.base.signatures import standard_webhooks_key
from policy import Policy
from worker.errors import StartError
from worker.locations import readable_by_others
from worker.policy_watcher import PolicyWatcher
from worker.settings import Settings
from worker.signals import reload_on_hangup
from worker.temporal import connect, make_runtime

CHANGES_SECRET = "TOCSIN_CHANGES_SECRET"  # noqa: S105  # the name of a setting
_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Logs its start, and ends with exit code 0 when it is stopped: uvicorn raises the signal again at its end."""

    def __init__(self, config: uvicorn.Config, policy: Callable[[], str]) -> None:
        """``policy`` returns the digest of the policy in force."""
        super().__init__(config)
        self._policy = policy

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            addresses = [_address(one) for one in sockets or ()]
            _log.info("gateway_started", addresses=addresses, version=VERSION, policy=self._policy())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        _log.info("gateway_stopped")

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
    policies = PolicyWatcher(
        settings,
        count=lambda outcome: metrics.POLICY_RELOADS.labels(outcome).inc(),
        count_failure=lambda place: metrics.CONDITION_FAILURES.labels(place).inc(),
    )
    tokens = _read_tokens(settings)
    if readable_by_others(settings.state_dir):
        remedy = f"chmod -R go= {settings.state_dir}"
        _log.warning("state_folder_readable", folder=str(settings.state_dir), remedy=remedy)
    client = await connect(settings, lazy=True, runtime=make_runtime())
    configured = _gateway_settings(settings, policies, tokens, namespace=client.namespace, insecure=insecure)
    try:
        app = create_app(configured, client)
    except (UnauthenticatedError, EncryptionError, RateError, SpoolError) as error:
        raise StartError(str(error)) from None
    server = _Server(server_config(app, settings), lambda: policies.policy.digest)
    listeners = _listen(settings.host, settings.port)
    _serve_metrics(settings.gateway_metrics)

    def reload() -> None:
        policies.request_reload()
        if isinstance(tokens, TokenFile):
            tokens.reload()

    reload_on_hangup(reload)
    watching = asyncio.create_task(policies.watch())
    await server.serve(listeners)
    watching.cancel()


def server_config(app: Any, settings: Settings) -> uvicorn.Config:
    """How the gateway's server serves its application."""
    # Anyone can cause the server's own warnings, such as one for each malformed request: only its errors are logged.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return uvicorn.Config(
        TrustedProxies(app, settings.forwarded_allow_ips),
        host=settings.host,
        port=settings.port,
        log_config=None,
        http=SlowClientProtocol,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # ``TrustedProxies`` reads them
        timeout_keep_alive=30,
        timeout_graceful_shutdown=15,
        limit_concurrency=2000,
        backlog=2048,
    )


def _read_tokens(settings: Settings) -> Tokens:
    """Raises StartError."""
    try:
        tokens = TokenFile(settings.api_tokens) if settings.api_tokens else Tokens({})
    except TokenFileError as error:
        raise StartError(f"TOCSIN_API_TOKENS: {error}") from None
    if tokens.in_clear:
        _log.warning(
            "api_tokens_in_clear", names=tokens.in_clear, remedy="store hashes instead: `tocsin token new` makes them"
        )
    return tokens


def _serve_metrics(address: str) -> None:
    """Serve the metrics to anyone at an address of their own, which the operator keeps inside. Raises StartError."""
    if not address:
        return
    parts = urlsplit(f"//{address}")
    try:
        start_http_server(parts.port or 0, str(parts.hostname), metrics.registry)
    except OSError as error:
        raise StartError(f"TOCSIN_GATEWAY_METRICS: cannot listen on {address}: {error.strerror or error}") from None


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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


def _changes_keys(settings: Settings) -> tuple[bytes, ...]:
    """Raises StartError."""
    try:
        return tuple(standard_webhooks_key(secret) for secret in settings.secrets(CHANGES_SECRET))
    except ValueError as error:
        raise StartError(f"{CHANGES_SECRET} {error}; `echo whsec_$(openssl rand -base64 32)` makes one") from None


def _gateway_settings(
    settings: Settings, policies: PolicyWatcher, tokens: Tokens, *, namespace: str, insecure: bool
) -> GatewaySettings:
    def policy() -> Policy | None:
        if policies.missing_secrets and settings.console_fallback:
            return None  # the workers have the secrets, and know which destinations the console replaces
        return policies.current()

    keys = Keyring.read(settings.secrets(ENCRYPTION_KEY))
    descriptions = DescriptionCache(settings.dedup_store_url, keys)
    decide = FirstDecider(policy, descriptions, workers_ask_arize=bool(settings.arize_api_key))
    return GatewaySettings(
        task_queue=settings.task_queue,
        namespace=namespace,
        policy=lambda: "; ".join(dict.fromkeys(filter(None, (str(policies.status()), descriptions.policy_problem)))),
        dedup_store_url=settings.dedup_store_url,
        spool=settings.state_dir / "spool.db",
        spool_limit=settings.spool_bytes,
        keys=keys,
        rates=Rates(**settings.rates),
        mappings=lambda: policies.current().mappings,
        quarantine=Limits(
            items=settings.quarantine_items,
            bytes=int(settings.quarantine_mib * 2**20),
            age=timedelta(days=settings.quarantine_days),
        ),
        changes_keys=_changes_keys(settings),
        decide=decide,
        grouping=PolicyGrouping(policies.current, descriptions),
        policy_in_force=policies.current,
        audit_url=settings.database_url,
        descriptions=descriptions,
        rules=lambda: [rule.name for rule in policies.current().rules],
        arize_secrets=settings.secrets("ARIZE_WEBHOOK_SECRET"),
        arize_secret_file=SecretFile(settings.arize_webhook_secret_file)
        if settings.arize_webhook_secret_file
        else tuple,
        arize_tokens=settings.secrets("ARIZE_WEBHOOK_TOKEN"),
        callback_secrets={one.name: settings.secrets(one.setting) for one in callbacks()},
        links=Links(settings.public_url, settings.secrets(LINK_SECRET)),
        tokens=tokens,
        health_interval=max(CHECK_INTERVAL / settings.speed, 1.0),
        insecure=insecure,
        temporal_ui_url=settings.temporal_ui_url,
    )
