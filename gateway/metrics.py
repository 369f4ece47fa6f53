"""The gateway's figures for Prometheus."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.spool import Depth

registry = CollectorRegistry()
ALERTS = Counter(
    "tocsin_alerts",
    "Alerts by what became of them: started, joined, recorded, spooled, refused or unavailable.",
    ["outcome"],
    registry=registry,
)
DRILLS = Counter(
    "tocsin_drills", "Fire drills that were begun; they are no alerts, and counted nowhere else.", registry=registry
)
CALLBACKS = Counter(
    "tocsin_callbacks",
    "Callbacks by sender and what became of them.",
    ["sender", "outcome"],
    registry=registry,
)
ACCEPTED = Histogram(
    "tocsin_alert_accepted_seconds",
    "From an alert's arrival until Temporal, or the spool, had it durably.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=registry,
)
POLICY_RELOADS = Counter(
    "tocsin_policy_reloads",
    "Reloads of the policy by what became of them: loaded, unchanged or refused.",
    ["outcome"],
    registry=registry,
)
SPOOL_ITEMS = Gauge("tocsin_spool_items", "Alerts, answers and changes that wait for Temporal.", registry=registry)
SPOOL_BYTES = Gauge("tocsin_spool_bytes", "How much room they take.", registry=registry)
SPOOL_LIMIT = Gauge("tocsin_spool_limit_bytes", "From here on the gateway answers 503.", registry=registry)
SPOOL_AGE = Gauge("tocsin_spool_oldest_seconds", "How long the oldest has waited.", registry=registry)

DELIVERIES_AWAY = Gauge(
    "tocsin_deliveries_away",
    "1 while the memory of what was delivered does not answer; alerts are taken without it.",
    registry=registry,
)
TROUBLES = Gauge(
    "tocsin_troubles",
    "What is not well behind the gateway: temporal, workers, workflow_tasks, activities, schedules; 0 where it is.",
    ["of"],
    registry=registry,
)


def watch_deliveries(away: Callable[[], bool]) -> None:
    """Have it asked for whenever somebody reads the figures."""
    DELIVERIES_AWAY.set_function(lambda: float(away()))


def watch_vitals(names: Sequence[str], troubles: Callable[[str], float]) -> None:
    """Have the vitals' figures read whenever somebody asks for them; what is not known is no number."""
    for name in names:
        TROUBLES.labels(name).set_function(lambda name=name: troubles(name))


def watch_spool(depth: Callable[[], Depth]) -> None:
    """Have the spool's figures read whenever somebody asks for them."""
    SPOOL_ITEMS.set_function(lambda: depth().items)
    SPOOL_BYTES.set_function(lambda: depth().bytes)
    SPOOL_LIMIT.set_function(lambda: depth().limit)
    SPOOL_AGE.set_function(lambda: depth().age)
