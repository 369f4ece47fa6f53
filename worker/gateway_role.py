"""``tocsin gateway``: serves HTTP until it is told to stop."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
import uvicorn

from alerts import Alert
from gateway import metrics
from gateway.app import create_app
from gateway.callbacks import VENDORS
from gateway.encryption import SETTING as ENCRYPTION_KEY
from gateway.encryption import EncryptionError, Keyring
from gateway.links import SETTING as LINK_SECRET
from gateway.links import Links
from gateway.patience import PatientProtocol
from gateway.rates import RateError, Rates
from gateway.settings import GatewaySettings, UnauthenticatedError
from gateway.spool import SpoolError
from gateway.tokens import TokenFileError, Tokens
from gateway.vitals import EVERY
from policy import Decision, IncidentFacts
from worker.errors import StartError
from worker.policy_in_force import PolicyInForce
from worker.settings import Settings
from worker.temporal import connect, make_runtime

_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is asked to stop: uvicorn alone raises the signal once more at its end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def run_gateway(settings: Settings, *, insecure: bool) -> None:
    """Raises StartError or PolicyError where it must not start."""
    try:
        await _serve(settings, insecure=insecure)
    except (UnauthenticatedError, TokenFileError, EncryptionError, RateError, SpoolError) as error:
        raise StartError(str(error)) from None


async def _serve(settings: Settings, *, insecure: bool) -> None:
    in_force = PolicyInForce(settings, count=lambda outcome: metrics.POLICY_RELOADS.labels(outcome).inc())
    keys = Keyring.read(settings.secrets(ENCRYPTION_KEY))
    client = await connect(settings, lazy=True, runtime=make_runtime())

    def decide(alert: Alert, count: int) -> Decision | None:
        if in_force.lacking and settings.console_fallback:
            return None  # whether the console stands in for a destination, the workers know: they have the secrets
        return in_force.current().decide(alert, datetime.now(UTC), IncidentFacts(alerts=count))

    tokens = Tokens.read(settings.api_tokens) if settings.api_tokens else Tokens({})
    if tokens.in_clear:
        _log.warning("API tokens stand in clear in their file; `tocsin token new` keeps a hash", of=tokens.in_clear)
    app = create_app(
        GatewaySettings(
            task_queue=settings.task_queue,
            namespace=client.namespace,
            policy=lambda: str(in_force.standing()),
            deliveries_url=settings.deliveries_url,
            spool=settings.state_dir / "spool.db",
            spool_limit=settings.spool_bytes,
            keys=keys,
            rates=Rates(**settings.rates),
            decide=decide,
            rules=lambda: [rule.name for rule in in_force.current().rules],
            arize_secrets=settings.secrets("ARIZE_WEBHOOK_SECRET"),
            arize_tokens=settings.secrets("ARIZE_WEBHOOK_TOKEN"),
            callback_secrets={one.name: settings.secrets(one.setting) for one in VENDORS},
            links=Links(settings.public_url, settings.secrets(LINK_SECRET)),
            tokens=tokens,
            vitals_every=max(EVERY / settings.speed, 1.0),
            insecure=insecure,
            temporal_ui_url=settings.temporal_ui_url,
        ),
        client,
    )
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            http=PatientProtocol,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=15,
            limit_concurrency=2000,
            backlog=2048,
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, in_force.hang_up)
    watching = asyncio.create_task(in_force.watch())
    await server.serve()
    watching.cancel()
