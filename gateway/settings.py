"""The gateway's settings, as ``create_app`` takes them. ``worker.settings`` reads them from the environment."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alerts import TocsinError
from gateway.health_monitor import CHECK_INTERVAL
from gateway.ingest.first_decision import Decide, defer_to_worker
from gateway.ingest.grouping import Grouping, Ungrouped
from gateway.ingest.spool import LIMIT_BYTES
from gateway.quarantine.store import Limits
from gateway.security.encryption import Keyring
from gateway.security.links import Links
from gateway.security.rates import Rates
from gateway.security.tokens import Tokens
from integrations.arize.description_cache import DescriptionCache
from policy import Policy
from policy.cel.mapping import AlertMapping


class UnauthenticatedError(TocsinError):
    """The gateway would accept alerts from anyone."""

    code = "unauthenticated_webhooks"


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """Where there are several secrets of a kind, each is accepted: that allows rotation without a gap."""

    task_queue: str
    namespace: str
    policy: Callable[[], str]
    """The digest of the policy that is loaded, and why a newer one was rejected; for ``/readyz``."""
    dedup_store_url: str
    """An SQLAlchemy URL."""
    spool: Path
    """The spool's file; each gateway has its own."""
    spool_limit: int = LIMIT_BYTES
    keys: Keyring = field(default_factory=lambda: Keyring(()), repr=False)
    """Encrypt the spool and the codec server's sessions; empty without encryption."""
    rates: Rates = field(default_factory=Rates)
    arize_secrets: tuple[str, ...] = field(default=(), repr=False)
    arize_secret_file: Callable[[], tuple[str, ...]] = field(default=tuple, repr=False)
    """Returns further signing secrets, from a file that may change."""
    arize_tokens: tuple[str, ...] = field(default=(), repr=False)
    callback_secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], repr=False)
    """By the vendor's name. Callbacks of a vendor without a secret are refused."""
    slack_reply_prefix: str = "https://hooks.slack.com/"
    """Replies to a responder are sent only to URLs with this prefix; Slack's callback names the rest."""
    rules: Callable[[], Collection[str]] = frozenset
    """The names of the policy's rules, for drills."""
    mappings: Callable[[], Sequence[AlertMapping]] = tuple
    """The policy's mappings, for bodies in other formats."""
    quarantine: Limits = field(default_factory=Limits)
    changes_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """Of the secrets that sign requests to ``/webhooks/changes``. Without one, they are refused."""
    decide: Decide = defer_to_worker
    """The policy's decision about a first alert. The incident starts with it, and lists find it at once."""
    grouping: Grouping = field(default_factory=Ungrouped)
    """Which incident an alert belongs to, by the policy."""
    audit_url: str = ""
    """The database of the audit log, whose alerts of the last week a preview of a silence counts."""
    policy_in_force: Callable[[], Policy | None] = lambda: None
    """By which silences and inhibition match; without it, a gateway suppresses nothing, and a worker does."""
    descriptions: DescriptionCache | None = None
    """The descriptions of monitors, which ``decide`` reads; kept up to date while the gateway runs, and closed then."""
    links: Links = field(default_factory=lambda: Links("", ()), repr=False)
    tokens: Tokens = field(default_factory=lambda: Tokens({}))
    health_interval: float = CHECK_INTERVAL
    """Seconds between two health checks."""
    insecure: bool = False
    """Accept alerts without authentication."""
    temporal_ui_url: str = ""

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The signing secrets of Arize's webhooks that are valid now."""
        return (*self.arize_secrets, *self.arize_secret_file())

    def __post_init__(self) -> None:
        """Raises UnauthenticatedError."""
        if not (self.webhook_secrets or self.arize_tokens or self.insecure):
            raise UnauthenticatedError(
                "anyone could page you: set ARIZE_WEBHOOK_SECRET or ARIZE_WEBHOOK_TOKEN to the value that Arize uses, "
                "or start with --insecure to accept unauthenticated alerts"
            )
