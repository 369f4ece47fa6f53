"""What the gateway needs to know, read once at the start and handed in."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.encryption import Keyring
from gateway.handover import Decide, a_worker_decides
from gateway.links import Links
from gateway.rates import Rates
from gateway.spool import LIMIT_BYTES
from gateway.tokens import Tokens
from gateway.vitals import EVERY


@dataclass(frozen=True)
class GatewaySettings:
    """Several secrets of one kind are all good: so one can be rotated without a gap."""

    task_queue: str
    namespace: str
    policy: Callable[[], str]
    """The policy in force, and what was refused since, for ``/readyz``."""
    deliveries_url: str
    """An SQLAlchemy address for what was delivered already."""
    spool: Path
    """The file that alerts wait in while Temporal is away; this gateway's own."""
    spool_limit: int = LIMIT_BYTES
    keys: Keyring = field(default_factory=lambda: Keyring(()), repr=False)
    """What the spool is encrypted with; empty where nothing is."""
    rates: Rates = field(default_factory=Rates)
    arize_secrets: tuple[str, ...] = field(default=(), repr=False)
    arize_tokens: tuple[str, ...] = field(default=(), repr=False)
    callback_secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], repr=False)
    """By the vendor's name; one that has none here can tell us nothing."""
    slack_replies: str = "https://hooks.slack.com/"
    """Where a person who pressed a button is told that it changed nothing; Slack names the rest of the address."""
    rules: Callable[[], Collection[str]] = frozenset
    """The names of the rules of the policy in force: what can be drilled."""
    decide: Decide = a_worker_decides
    """What the policy in force makes of a first alert, one of so many: so that the incident begins with it, and is
    listed under it from its beginning. None leaves it to the worker."""
    links: Links = field(default_factory=lambda: Links("", ()), repr=False)
    tokens: Tokens = field(default_factory=lambda: Tokens({}))
    vitals_every: float = EVERY
    """Seconds between two looks at Temporal, the workers, and what they are stuck on."""
    insecure: bool = False
    temporal_ui_url: str = ""

    def __post_init__(self) -> None:
        if not (self.arize_secrets or self.arize_tokens or self.insecure):
            raise UnauthenticatedError(
                "anyone could page you: set ARIZE_WEBHOOK_SECRET or ARIZE_WEBHOOK_TOKEN to what Arize was given, "
                "or start with --insecure to take unauthenticated alerts"
            )


class UnauthenticatedError(ValueError):
    """The gateway would take alerts from anyone."""
