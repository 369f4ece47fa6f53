"""The published JSON Schema: it is current, and accepts and rejects shapes as the loader does."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from integrations.base.registry import destination_types
from policy.authoring.json_schema import policy_json_schema
from tests.policy.policies import BASE, RULES
from worker.settings import SHIPPED_POLICY

SCHEMA = policy_json_schema(destination_types())


def errors(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text))]


def test_published_schema_is_current() -> None:
    published: Path = SHIPPED_POLICY.parent / "schema.json"
    assert json.loads(published.read_text()) == SCHEMA, "run: tocsin policy schema > policies/schema.json"
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [BASE, BASE + RULES, SHIPPED_POLICY.read_text()])
def test_valid_policies_fit_the_schema(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    "change",
    [
        ("tiers:", "teirs:"),
        ("version: 1", "version: 2"),
        ("type: slack", "type: slak"),
        ("channel:", "chanel:"),
        ("{env: KEY}", "{environment: KEY}"),
        ("{env: KEY}", "abc123secret"),
        ("notify: [pager]", "notify: pager"),
        ("repeat: 2", "repeat: often"),
        ("  term:", "  Term!:"),
    ],
)
def test_invalid_shapes_do_not_fit_the_schema(change: Any) -> None:
    assert errors(BASE.replace(*change))
