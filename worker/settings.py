"""Settings from the environment, read once. See ``docs/settings.md`` for what each means."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policy import parse_duration
from worker.errors import StartError

SHIPPED_POLICY = Path(__file__).resolve().parent.parent / "policies" / "tocsin.yaml"


# libpq's own: seconds to connect within, and milliseconds after which a server that acknowledges nothing is away.
_POSTGRES = {"connect_timeout": "3", "tcp_user_timeout": "5000"}


class SettingError(StartError):
    """A setting has a value that cannot be meant; the text names it."""


@dataclass(frozen=True)
class Settings:
    policy: Path
    state_dir: Path
    database_url: str = field(repr=False)
    host: str
    port: int
    public_url: str
    task_queue: str
    speed: float
    api_tokens: Path | None
    temporal_ui_url: str
    worker_metrics: str
    worker_slots: int
    """How many pages, and how many other activities, a worker does at once."""
    worker_cache: int
    """How many incidents a worker keeps in memory."""
    catch_up: float
    """Every so many seconds Arize is asked for what never arrived; 0 where it is not."""
    log_level: str
    rates: Mapping[str, str]
    """How often one source may ask: webhooks, api, refused; as ``6000/minute``."""
    spool_bytes: int
    """How much the gateway's spool may hold."""
    console_fallback: bool
    """Whether the console stands in for a destination that lacks its secret; else the worker does not start."""
    environment: Mapping[str, str] = field(repr=False)
    """Everything else: Temporal's own names, and the secrets that the policy names."""

    @property
    def embedded(self) -> bool:
        """Whether ``tocsin up`` brings its own Temporal server."""
        return not self.environment.get("TEMPORAL_ADDRESS")

    @property
    def deliveries_url(self) -> str:
        """Where gateways remember what was delivered already: together, on PostgreSQL."""
        return (
            self.database_url if self.database_url.startswith("postgres") else f"sqlite:///{self.state_dir}/gateway.db"
        )

    def secrets(self, name: str) -> tuple[str, ...]:
        """The values of a setting that may hold several, separated by commas."""
        return tuple(part.strip() for part in self.environment.get(name, "").split(",") if part.strip())


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises SettingError."""
    state_dir = Path(environment.get("TOCSIN_STATE_DIR") or ".tocsin").absolute()
    host = environment.get("TOCSIN_HOST") or "127.0.0.1"
    port = _number(environment, "TOCSIN_PORT", 8080, 0, 65_535)
    tokens = environment.get("TOCSIN_API_TOKENS")
    return Settings(
        policy=Path(environment.get("TOCSIN_POLICY") or SHIPPED_POLICY),
        state_dir=state_dir,
        database_url=_database_url(environment.get("TOCSIN_DATABASE_URL") or f"sqlite:///{state_dir}/audit.db"),
        host=host,
        port=int(port),
        public_url=(environment.get("TOCSIN_PUBLIC_URL") or f"http://{_reachable(host)}:{int(port)}").rstrip("/"),
        task_queue=environment.get("TOCSIN_TASK_QUEUE") or "tocsin",
        speed=_number(environment, "TOCSIN_SPEED", 1.0, 0.001, 100_000),
        api_tokens=Path(tokens) if tokens else None,
        temporal_ui_url=(environment.get("TOCSIN_TEMPORAL_UI_URL") or "").rstrip("/"),
        worker_slots=int(_number(environment, "TOCSIN_WORKER_SLOTS", 200, 2, 10_000)),
        worker_cache=int(_number(environment, "TOCSIN_WORKER_CACHE", 300, 2, 1_000_000)),
        worker_metrics=environment.get("TOCSIN_WORKER_METRICS") or "",
        catch_up=_period(environment, "TOCSIN_CATCH_UP", "5m"),
        log_level=(environment.get("TOCSIN_LOG_LEVEL") or "info").lower(),
        rates={
            kind: environment[name]
            for kind in ("webhooks", "api", "refused")
            if environment.get(name := f"TOCSIN_RATE_{kind.upper()}")
        },
        spool_bytes=int(_number(environment, "TOCSIN_SPOOL_MIB", 256, 1, 1_000_000) * 2**20),
        console_fallback=_truth(environment, "TOCSIN_CONSOLE_FALLBACK"),
        environment=dict(environment),
    )


def near(path: Path) -> str:
    """How a path reads from here: relative where it is below here, else whole."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _database_url(text: str) -> str:
    """As SQLAlchemy wants it: with the driver that we bring, and a server that is away found out about soon."""
    if text.startswith("sqlite:"):
        return text
    # Imported where it is needed: reading it takes longer than what most commands do.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    # The text may hold a password, and is told to nobody.
    refused = SettingError(
        "TOCSIN_DATABASE_URL is not sqlite:////a/file.db nor postgresql://user:password@host/database"
    )
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise refused from None
    if kind not in {"postgresql", "postgres"}:
        raise refused
    given = {name: value for name, value in _POSTGRES.items() if name not in url.query}
    url = url.set(drivername="postgresql+psycopg").update_query_dict(given)
    return url.render_as_string(hide_password=False)


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104


def _truth(environment: Mapping[str, str], name: str) -> bool:
    text = (environment.get(name) or "no").casefold()
    if text not in {"yes", "no", "true", "false", "1", "0"}:
        raise SettingError(f"{name} is {text!r}; it may be yes or no")
    return text in {"yes", "true", "1"}


def _period(environment: Mapping[str, str], name: str, default: str) -> float:
    """Seconds of a duration, or 0 for ``off``."""
    text = environment.get(name) or default
    if text.casefold() == "off":
        return 0.0
    try:
        return parse_duration(text)
    except ValueError:
        raise SettingError(f"{name} is {text!r}; it may be a duration such as 5m, or off") from None


def _number(environment: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingError(f"{name} is {text!r}, which is no number") from None
    if not least <= value <= most:
        raise SettingError(f"{name} is {text}; it may be {least:g} to {most:g}")
    return value
