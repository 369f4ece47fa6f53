"""The published JSON Schema is current, and accepts and rejects shapes as the loader does."""

import json

import pytest
import yaml
from hypothesis import given
from jsonschema import Draft202012Validator

from integrations.base.registry import destination_types
from monitors import load_monitors
from monitors.json_schema import monitors_json_schema
from policy import load_policy
from tests.monitors.declared import ALL_KINDS, DECLARATIONS, as_yaml
from worker.settings import SHIPPED_POLICY

SCHEMA = monitors_json_schema()
SHIPPED = SHIPPED_POLICY.parent / "monitors"
VALIDATOR = Draft202012Validator(SCHEMA)


def errors(text: str) -> list[str]:
    # Editors read a time as a text.
    content = json.loads(json.dumps(yaml.safe_load(text), default=str))
    return [error.message for error in VALIDATOR.iter_errors(content)]


def test_published_schema_is_current() -> None:
    published = json.loads((SHIPPED / "schema.json").read_text())
    assert published == SCHEMA, "run: tocsin arize schema > policies/monitors/schema.json"
    Draft202012Validator.check_schema(SCHEMA)


def test_shipped_monitors_are_valid() -> None:
    policy = load_policy(SHIPPED_POLICY, destination_types())
    read = load_monitors(SHIPPED, policy)
    assert {one.config.kind for one in read.monitors} == {
        "tracing",
        "custom_metric",
        "drift",
        "data_quality",
        "performance",
    }
    assert errors((SHIPPED / "support-chatbot.yaml").read_text()) == []


def test_all_kinds_fit_the_schema() -> None:
    assert errors(ALL_KINDS.replace("2026-12-06T02:00:00Z", "'2026-12-06T02:00:00Z'")) == []


@given(entries=DECLARATIONS)
def test_every_valid_declaration_fits_the_schema(entries: dict[str, dict[str, object]]) -> None:
    assert list(VALIDATOR.iter_errors(json.loads(as_yaml(entries)))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: tracing", "kind: tracin"),
        ("metric: p95", "metrik: p95"),
        ("metric: js", "metric: p95"),
        ("window: 10m", "window: 10"),
        ("operator: not_equals", "operator: differs"),
        ("phase: warn", "phase: loud"),
        ("days: [mon,", "days: [monday,"),
        ("ranking_k: 10", "ranking_k: ten"),
        ("  slow-answers:", "  Slow Answers:"),
        ("version: 1", "version: 2"),
    ],
)
def test_invalid_shapes_do_not_fit_the_schema(old: str, new: str) -> None:
    assert old in ALL_KINDS
    assert errors(ALL_KINDS.replace(old, new))
