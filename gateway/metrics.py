"""The gateway's Prometheus metrics."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.ingest.spool import Depth
from gateway.version import VERSION

registry = CollectorRegistry()
BUILD_INFO = Gauge("tocsin_build_info", "1, with the version that runs.", ["version"], registry=registry)
BUILD_INFO.labels(VERSION).set(1)
ALERTS = Counter(
    "tocsin_alerts",
    "Alerts by outcome: started, joined, recorded, spooled, quarantined, refused or unavailable.",
    ["outcome"],
    registry=registry,
)
DRILLS = Counter("tocsin_drills", "Fire drills that were started. They are not counted as alerts.", registry=registry)
CALLBACKS = Counter(
    "tocsin_callbacks",
    "Callbacks by vendor and outcome: accepted, spooled, ignored or refused.",
    ["source", "outcome"],
    registry=registry,
)
INGEST_DURATION = Histogram(
    "tocsin_ingest_duration_seconds",
    "From an alert's arrival until Temporal, or the spool, has it durably.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=registry,
)
POLICY_RELOADS = Counter(
    "tocsin_policy_reloads",
    "Reloads of the policy by outcome: loaded, unchanged or rejected.",
    ["outcome"],
    registry=registry,
)
CONDITION_FAILURES = Counter(
    "tocsin_condition_failures",
    "Alerts for which a condition of the policy cannot be evaluated, by its place. They are decided in doubt, louder.",
    ["place"],
    registry=registry,
)
SPOOL_ITEMS = Gauge(
    "tocsin_spool_items", "Alerts, responder actions and changes that wait for Temporal.", registry=registry
)
SPOOL_BYTES = Gauge("tocsin_spool_bytes", "The size of the items in the spool.", registry=registry)
SPOOL_LIMIT = Gauge(
    "tocsin_spool_limit_bytes", "The size at which the spool is full and the gateway answers 503.", registry=registry
)
SPOOL_AGE = Gauge("tocsin_spool_oldest_age_seconds", "The age of the oldest item in the spool.", registry=registry)
DEDUP_STORE_UP = Gauge(
    "tocsin_dedup_store_up",
    "1 if the dedup store answered last time, otherwise 0. Alerts are accepted without it.",
    registry=registry,
)
DESCRIPTIONS = Gauge(
    "tocsin_monitor_descriptions",
    "Monitors of Arize that the gateway can describe without a request.",
    registry=registry,
)
ARIZE_UP = Gauge(
    "tocsin_arize_up",
    "0 if a worker reported in the last minutes that Arize's API is slow, down, limits the rate or refuses the key.",
    registry=registry,
)
QUARANTINED = Gauge(
    "tocsin_quarantined", "Authentic deliveries that nothing could read, and that wait for a replay.", registry=registry
)
QUARANTINED_BYTES = Gauge("tocsin_quarantined_bytes", "The size of those deliveries.", registry=registry)
QUARANTINE_DROPPED = Counter(
    "tocsin_quarantine_dropped",
    "Deliveries that fell out of the quarantine before a replay, by reason: count, bytes or age.",
    ["reason"],
    registry=registry,
)
QUARANTINE_REPLAYED = Counter(
    "tocsin_quarantine_replayed", "Deliveries of the quarantine that a replay turned into alerts.", registry=registry
)
MAPPING_FAILURES = Counter(
    "tocsin_mapping_failures",
    "Bodies that a mapping of the policy matches and could not read.",
    registry=registry,
)
REPORTED_CHANGES = Counter(
    "tocsin_reported_changes",
    "Changes that were reported to /webhooks/changes by outcome: recorded, known, spooled, refused or unavailable.",
    ["outcome"],
    registry=registry,
)
HEALTH_PROBLEMS = Gauge(
    "tocsin_health_problems",
    "Problems that each health check found: temporal, workers, workflow_tasks, activities, schedules.",
    ["check"],
    registry=registry,
)


def export_dedup_store(is_up: Callable[[], bool]) -> None:
    """Read the dedup store's state at each scrape."""
    DEDUP_STORE_UP.set_function(lambda: float(is_up()))


def export_descriptions(count: Callable[[], int], is_arize_up: Callable[[], bool]) -> None:
    """Read the number of descriptions, and Arize's state, at each scrape."""
    DESCRIPTIONS.set_function(lambda: float(count()))
    ARIZE_UP.set_function(lambda: float(is_arize_up()))


def export_health(checks: Sequence[str], problem_count: Callable[[str], float]) -> None:
    """Read the number of each check's problems at each scrape; NaN if the check has no result."""
    for check in checks:
        HEALTH_PROBLEMS.labels(check).set_function(lambda check=check: problem_count(check))


def export_quarantine(held: Callable[[], tuple[int, int]]) -> None:
    """Read the number and the bytes of the quarantined deliveries at each scrape."""
    QUARANTINED.set_function(lambda: held()[0])
    QUARANTINED_BYTES.set_function(lambda: held()[1])


def export_spool(depth: Callable[[], Depth]) -> None:
    """Read the spool's depth at each scrape."""
    SPOOL_ITEMS.set_function(lambda: depth().items)
    SPOOL_BYTES.set_function(lambda: depth().bytes)
    SPOOL_LIMIT.set_function(lambda: depth().limit)
    SPOOL_AGE.set_function(lambda: depth().age)
