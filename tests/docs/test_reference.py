"""docs/reference.md names every metric, log event, command and endpoint, and nothing that does not exist."""

from pathlib import Path

from gateway.metrics import registry
from tests.docs.pages import names, table
from tests.docs.sources import Metric, commands, endpoints, log_events, metrics


def test_metrics_are_documented() -> None:
    documented = {
        name: Metric(kind, frozenset(names(labels)), frozenset(processes.split(", ")))
        for name, (kind, labels, processes, _) in table("Metrics").items()
    }
    assert documented == metrics()


def test_gateway_exports_the_documented_metrics() -> None:
    exported = {f"{one.name}_total" if one.type == "counter" else one.name: one.type for one in registry.collect()}
    documented = {name: kind for name, (kind, _, processes, _) in table("Metrics").items() if "gateway" in processes}
    assert documented == exported


def test_log_events_are_documented() -> None:
    documented = {name: ({level}, names(fields)) for name, (level, fields, _) in table("Log events").items()}
    assert documented == {name: (set(event.levels), set(event.fields)) for name, event in log_events().items()}


def test_log_events_are_snake_case() -> None:
    assert [name for name in log_events() if not name.replace("_", "").isalnum() or not name.islower()] == []


def test_commands_are_documented() -> None:
    documented = {name: json for name, (_, json) in table("Commands").items()}
    assert documented == {
        name: "yes" if "--format" in command.options else "no"
        for name, command in commands().items()
        if not command.is_group
    }


def test_endpoints_are_documented(tmp_path: Path) -> None:
    roles = {"viewer", "responder", "compliance", "admin"}
    documented = {
        name: "".join(names(authentication) & roles) for name, (authentication, _) in table("Endpoints").items()
    }
    assert documented == endpoints(tmp_path)
