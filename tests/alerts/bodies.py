"""Bodies as Arize and users' templates send them."""

import json
from typing import Any

FLAT: dict[str, Any] = {
    "event": "monitor.triggered",
    "monitor_name": "support-chatbot error rate",
    "monitor_id": "TW9uaXRvcjoxMjM=",
    "status": "TRIGGERED",
    "severity": "Critical",
    "metric": "error_rate",
    "metric_value": 0.31,
    "threshold": 0.05,
    "baseline": 0.02,
    "model": "support-chatbot",
    "model_version": "2026-11-20",
    "environment": "Production",
    "region": "eu-west-1",
    "segment": {"customer_tier": "premium"},
    "tags": {"deployment": "blue"},
    "monitor_url": "https://app.arize.com/organizations/acme/monitors/123",
    "triggered_at": "2026-11-23T09:15:00Z",
}
MONITOR: dict[str, Any] = {
    "id": "TW9uaXRvcjo0NTY=",
    "name": "contract-retriever embedding drift",
    "type": "DRIFT",
    "project_id": "UHJvamVjdDo3",
    "uri": "https://app.arize.com/organizations/acme/monitors/456",
    "status": "TRIGGERED",
    "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.15},
    "filters": [
        {"dimension": {"category": "TAG", "name": "environment"}, "operator": "EQUALS", "values": ["production"]}
    ],
    "evaluation_window_length_seconds": 86400,
    "evaluated_at": "2026-11-23T09:00:00Z",
    "latest_computed_value": 0.22,
    "metric": "EMBEDDING_DRIFT",
}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def flat(**changes: Any) -> dict[str, Any]:
    return {**FLAT, **changes}


def without(*names: str) -> dict[str, Any]:
    return {key: value for key, value in FLAT.items() if key not in names}


FIRST, SECOND = "TW9uaXRvcjo2MTAwMDphWjYxMDAw", "TW9uaXRvcjo2MTAwMTphWjYxMDAx"
"""The ids of two monitors, as Arize's API has them."""
