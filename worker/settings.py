"""All settings of Tocsin, typed and documented. They come from the environment and are read once, at the start.

``docs/settings.md`` lists the same names, descriptions and defaults; ``tests/docs/test_settings.py`` compares
them. Importing this module loads Pydantic and nothing heavier: every command of ``tocsin`` imports it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from worker.errors import SettingError
from worker.locations import SHIPPED_POLICY, display_path
from worker.setting_display import MASK, EffectiveSetting, display
from worker.setting_types import (
    SEVERAL,
    DatabaseUrl,
    ExistingFile,
    Folder,
    Host,
    HostAndPort,
    Interval,
    Level,
    Name,
    Networks,
    Rate,
    Secrets,
    SocketAddress,
    Switch,
    Token,
    Url,
    default_database_url,
    default_public_url,
    expected,
    setting,
    split,
    sqlite_url,
)

__all__ = ["SHIPPED_POLICY", "EffectiveSetting", "SettingError", "Settings", "display_path", "read_settings"]


class Settings(BaseSettings):
    """Every environment variable that Tocsin reads, except the secrets that a policy or a vendor's callback names."""

    model_config = SettingsConfigDict(frozen=True, case_sensitive=True, extra="ignore", hide_input_in_errors=True)

    # ── Everything ──────────────────────────────────────────────────────────────────────────────────────

    policy: Path = setting(
        "TOCSIN_POLICY",
        "The policy: a YAML file, or a folder of `*.yaml` files.",
        SHIPPED_POLICY,
        documented="the shipped `policies/tocsin.yaml`",
    )
    state_dir: Folder = setting(
        "TOCSIN_STATE_DIR",
        "The folder for SQLite databases, generated secrets and the spool. Each gateway needs its own.",
        default_factory=lambda fields: Path(".tocsin").absolute(),
        documented="`.tocsin` in the working directory",
    )
    database_url: DatabaseUrl = setting(
        "TOCSIN_DATABASE_URL",
        "The database of the audit log: `sqlite:////path/to/file.db` or `postgresql://user:password@host/database`. "
        "PostgreSQL also holds the dedup store that gateways share. libpq parameters go after a `?`, as in "
        "`?sslmode=require`; Tocsin adds `connect_timeout=3` and `tcp_user_timeout=5000` (milliseconds).",
        default_factory=default_database_url,
        documented="`audit.db` (SQLite) in the state folder",
        repr=False,
    )
    gateway_url: Url = setting(
        "TOCSIN_GATEWAY_URL",
        "The gateway's address for the watchdog and the command line, if it differs from the public one.",
        "",
        documented="`TOCSIN_PUBLIC_URL`, or the address of the running `tocsin up`",
    )
    token: Token = setting(
        "TOCSIN_TOKEN",
        "The API token that the command line sends, and the watchdog for its drills.",
        SecretStr(""),
        documented="the token that `tocsin up` generated",
        repr=False,
    )
    task_queue: Name = setting(
        "TOCSIN_TASK_QUEUE", "Temporal's task queue. Installations that share a namespace need one each.", "tocsin"
    )
    speed: float = setting(
        "TOCSIN_SPEED",
        "Divides every duration of the policy, for experiments; the trace of each decision mentions it.",
        1.0,
        ge=0.001,
        le=100_000,
    )
    console_fallback: bool = setting(
        "TOCSIN_CONSOLE_FALLBACK",
        "`yes`: the console replaces a destination that lacks a secret. `no`: the worker does not start without it.",
        False,
        documented="`no`; `yes` under `tocsin up`",
        expected="yes or no",
    )
    log_level: Level = setting(
        "TOCSIN_LOG_LEVEL",
        "The lowest level that is logged: `debug`, `info`, `warning`, `error` or `critical`.",
        "info",
        documented="`info`; `warning` under `tocsin up`",
    )
    encryption_keys: Secrets = setting(
        "TOCSIN_ENCRYPTION_KEY",
        "Base64 of 32 bytes (`openssl rand -base64 32`): encrypts what Temporal and the spool store. Of several, "
        "separated by commas, the first encrypts and all decrypt. Gateway and worker need the same.",
        (),
        documented="nothing is encrypted",
        repr=False,
    )
    secret_dirs: str = setting(
        "TOCSIN_SECRET_DIRS",
        "The folders, separated by commas, that may hold secrets which the policy names by `{file: PATH}`. A file "
        "elsewhere, a file of Tocsin itself and the token of a Kubernetes service account are no destination's secret.",
        "",
        documented="`/run/secrets`, `/var/run/secrets` and `/etc/tocsin/secrets`",
    )
    link_secrets: Secrets = setting(
        "TOCSIN_LINK_SECRET",
        f"Signs the links to an incident's page. Gateway and worker need the same. {SEVERAL}",
        (),
        documented="messages have no links; `tocsin up` generates a secret",
        repr=False,
    )

    # ── Gateway ─────────────────────────────────────────────────────────────────────────────────────────

    host: Host = setting("TOCSIN_HOST", "The address that the gateway listens on.", "127.0.0.1")
    port: int = setting(
        "TOCSIN_PORT",
        "The port that the gateway listens on.",
        8080,
        ge=0,
        le=65_535,
    )
    public_url: Url = setting(
        "TOCSIN_PUBLIC_URL",
        "The gateway's address for people and vendors.",
        default_factory=default_public_url,
        documented="`http://` with host and port",
    )
    api_tokens: Path | None = setting(
        "TOCSIN_API_TOKENS",
        "The file of API tokens, one a line: `<role> <name> <sha256:HEX of the token>`. `tocsin token new` adds one. "
        "It is read again when it changes.",
        documented="the API refuses everyone; `tocsin up` generates the file",
    )
    gateway_metrics: SocketAddress = setting(
        "TOCSIN_GATEWAY_METRICS",
        "The address, such as `0.0.0.0:9465`, where the gateway serves metrics for Prometheus without a token. Keep it "
        "inside your network. `/metrics` at the gateway's own port needs a token of the role viewer.",
        "",
        documented="metrics need a token",
    )
    temporal_ui_url: Url = setting(
        "TOCSIN_TEMPORAL_UI_URL",
        "The address of the Temporal UI, for links.",
        "",
        documented="no links; `tocsin up` sets it for its own server",
    )
    rate_webhooks: Rate = setting(
        "TOCSIN_RATE_WEBHOOKS",
        "The limit of authentic webhooks for each source address.",
        "300000/minute",
    )
    rate_api: Rate = setting("TOCSIN_RATE_API", "The limit of API calls for each token.", "6000/minute")
    rate_refused: Rate = setting(
        "TOCSIN_RATE_REFUSED", "The limit of refused requests for each source address.", "300/minute"
    )
    spool_mib: float = setting(
        "TOCSIN_SPOOL_MIB",
        "The size limit of the spool, in MiB. The gateway answers 503 when the spool is full.",
        256.0,
        ge=1,
        le=1_000_000,
    )
    forwarded_allow_ips: Networks = setting(
        "FORWARDED_ALLOW_IPS",
        "The proxies whose `X-Forwarded-For` header names a request's source: addresses and networks, separated by "
        "commas. The right-most address that is none of them counts. `*` trusts every peer, and takes the right-most.",
        "127.0.0.1",
    )
    arize_webhook_secrets: Secrets = setting(
        "ARIZE_WEBHOOK_SECRET",
        f"The signing secret of an Arize webhook with HMAC, the whole text. {SEVERAL}",
        (),
        documented="none; `tocsin up` generates one",
        repr=False,
    )
    arize_webhook_secret_file: Path | None = setting(
        "ARIZE_WEBHOOK_SECRET_FILE",
        "A file with signing secrets, separated by commas, which are valid beside those of `ARIZE_WEBHOOK_SECRET`. It "
        "is read again when it changes; `tocsin arize connect` writes it.",
        documented="none; `tocsin up` uses `arize-webhook-secret` in the state folder",
    )
    arize_webhook_tokens: Secrets = setting(
        "ARIZE_WEBHOOK_TOKEN", f"The stored token of an Arize webhook with BEARER. {SEVERAL}", (), repr=False
    )

    changes_secrets: Secrets = setting(
        "TOCSIN_CHANGES_SECRET",
        f"Signs requests to `/webhooks/changes`: `whsec_` and base64 of 24 to 64 bytes. {SEVERAL}",
        (),
        documented="changes are refused; `tocsin up` generates a secret",
        repr=False,
    )
    quarantine_items: int = setting(
        "TOCSIN_QUARANTINE_ITEMS",
        "How many deliveries that nothing can read are kept.",
        10_000,
        ge=10,
        le=10_000_000,
    )
    quarantine_mib: float = setting(
        "TOCSIN_QUARANTINE_MIB", "The size of those deliveries together, in MiB.", 256.0, ge=1, le=1_000_000
    )
    quarantine_days: float = setting(
        "TOCSIN_QUARANTINE_DAYS", "How many days each of them is kept.", 30.0, ge=1, le=3650
    )

    # ── Worker ──────────────────────────────────────────────────────────────────────────────────────────

    worker_slots: int = setting(
        "TOCSIN_WORKER_SLOTS",
        "The number of activities that a worker runs at once, on each of its two task queues.",
        200,
        ge=2,
        le=10_000,
    )
    worker_cache: int = setting(
        "TOCSIN_WORKER_CACHE",
        "The number of incidents that a worker keeps in memory (250 KiB each). Others are replayed when needed.",
        300,
        ge=2,
        le=1_000_000,
    )
    worker_metrics: SocketAddress = setting(
        "TOCSIN_WORKER_METRICS",
        "The address, such as `0.0.0.0:9464`, where the worker serves metrics for Prometheus.",
        "",
        documented="no metrics are served",
    )
    arize_api_key: Token = setting(
        "ARIZE_API_KEY",
        "An Arize API key that may read monitors, for gateways and workers. Workers describe monitors and find missed "
        "webhooks with it; a gateway that has it leaves to them what only Arize knows.",
        SecretStr(""),
        documented="Arize is not asked",
        repr=False,
    )
    arize_space_id: str = setting("ARIZE_SPACE_ID", "The Arize space to poll.", "", documented="all spaces of the key")
    arize_api_url: Url = setting("ARIZE_API_URL", "The root of Arize's REST API.", "https://api.arize.com")
    arize_app_url: Url = setting(
        "ARIZE_APP_URL",
        "The root of Arize's application, which serves GraphQL at `/graphql`.",
        "https://app.arize.com",
    )
    reconcile_interval: Interval = setting(
        "TOCSIN_RECONCILE_INTERVAL",
        "How often Arize is polled for missed webhooks, such as `5m`. `off` removes the schedule.",
        300.0,
        documented="`5m`",
    )
    """Seconds; 0 if Arize is not polled."""

    # ── Temporal ────────────────────────────────────────────────────────────────────────────────────────

    temporal_address: HostAndPort = setting(
        "TEMPORAL_ADDRESS",
        "The address of the Temporal cluster.",
        "",
        documented="`tocsin up` runs its own server; other commands use `127.0.0.1:7233`",
    )
    temporal_namespace: Name = setting("TEMPORAL_NAMESPACE", "The Temporal namespace.", "default")
    temporal_api_key: Token = setting(
        "TEMPORAL_API_KEY",
        "An API key for Temporal Cloud.",
        SecretStr(""),
        documented="none",
        repr=False,
    )
    temporal_tls: Switch = setting(
        "TEMPORAL_TLS",
        "`true` or `false`: whether the connection uses TLS.",
        "",
        documented="as Temporal's tools decide",
    )
    temporal_profile: str = setting(
        "TEMPORAL_PROFILE", "The profile of Temporal's configuration file.", "", documented="`default`"
    )
    temporal_config_file: ExistingFile = setting(
        "TEMPORAL_CONFIG_FILE",
        "Temporal's configuration file.",
        "",
        documented="as for Temporal's tools",
    )

    _environment: Mapping[str, str] = PrivateAttr(default_factory=dict[str, str])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but the arguments, which ``read`` takes from the environment that it is given."""
        return (init_settings,)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings in the environment; an empty or blank variable counts as not set.

        Raises:
            SettingError: a value is not valid.
        """
        source = EnvSettingsSource(cls)
        source.env_vars = {name: value for name, value in environment.items() if value.strip()}
        try:
            settings = cls(**source())
        except ValidationError as error:
            # A default that is derived from an invalid setting fails too, and is no setting of the environment.
            names = [str(one["loc"][0]) for one in error.errors() if one["loc"][0] in environment]
            raise SettingError("\n".join(_refusal(name, environment[name]) for name in names)) from None
        settings._environment = dict(environment)
        return settings

    @property
    def environment(self) -> Mapping[str, str]:
        """All environment variables: Temporal's own settings, and the secrets that the policy names."""
        return self._environment

    @property
    def embedded(self) -> bool:
        """Whether ``tocsin up`` runs its own Temporal server."""
        return not self.temporal_address

    @property
    def dedup_store_url(self) -> str:
        """The database of the dedup store: PostgreSQL, which gateways share, or a file of this gateway's own."""
        shared = self.database_url.startswith("postgres")
        return self.database_url if shared else sqlite_url(self.state_dir / "gateway.db")

    @property
    def rates(self) -> Mapping[str, str]:
        """The gateway's rate limits, such as ``6000/minute``, by what they limit."""
        return {"webhooks": self.rate_webhooks, "api": self.rate_api, "refused": self.rate_refused}

    @property
    def spool_bytes(self) -> int:
        return int(self.spool_mib * 2**20)

    def secrets(self, name: str) -> tuple[str, ...]:
        """The values of a variable that may hold several; also of one that a vendor's callback names."""
        return split(self._environment.get(name, ""))

    def is_set(self, field: str) -> bool:
        """Whether the environment sets the field, rather than its default."""
        return field in self.model_fields_set

    def effective(self) -> list[EffectiveSetting]:
        """All settings in the order of this class. Secrets, and passwords in addresses, are masked."""
        return [
            EffectiveSetting(
                name=str(field.validation_alias),
                value=display(name, getattr(self, name)),
                is_default=not self.is_set(name),
                description=field.description or "",
            )
            for name, field in type(self).model_fields.items()
        ]

    def effective_secret(self, name: str, description: str) -> EffectiveSetting:
        """A secret that is no field of this class, masked."""
        value = MASK if self.secrets(name) else ""
        return EffectiveSetting(name=name, value=value, is_default=not value, description=description)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in the environment. Raises SettingError."""
    return Settings.read(environment)


def _refusal(name: str, value: str) -> str:
    field = next(one for one in Settings.model_fields.values() if one.validation_alias == name)
    shown = f" is {value[:100]!r}; it" if field.repr else ""
    return f"{name}{shown} must be {expected(field)}"
