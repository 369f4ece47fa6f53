"""The gateway's figures for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram

registry = CollectorRegistry()
ALERTS = Counter(
    "tocsin_alerts",
    "Alerts by what became of them: started, joined, recorded, refused or unavailable.",
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
    "From an alert's arrival until Temporal had it durably.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=registry,
)
POLICY_RELOADS = Counter(
    "tocsin_policy_reloads",
    "Reloads of the policy by what became of them: loaded, unchanged or refused.",
    ["outcome"],
    registry=registry,
)
