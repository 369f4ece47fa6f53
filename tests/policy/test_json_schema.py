"""The published schema is current, and judges as the loader does, as far as shapes go."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from activities.destinations import destination_types
from policy.json_schema import policy_json_schema
from tests.policy.policies import BASE, RULES
from worker.settings import SHIPPED_POLICY

SCHEMA = policy_json_schema(destination_types())


def faults(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text))]


def test_the_published_schema_is_current() -> None:
    published: Path = SHIPPED_POLICY.parent / "schema.json"
    assert json.loads(published.read_text()) == SCHEMA, "run: tocsin policy schema > policies/schema.json"
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [BASE, BASE + RULES, SHIPPED_POLICY.read_text()])
def test_what_loads_fits_the_schema(text: str) -> None:
    assert faults(text) == []


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
def test_what_is_misshapen_is_underlined(change: Any) -> None:
    assert faults(BASE.replace(*change))
