"""The policy's JSON Schema, for editors: what they complete and underline while a policy is written."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from policy.destinations import DestinationConfig
from policy.schema import PolicyFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_json_schema(types: Mapping[str, type[DestinationConfig]]) -> dict[str, Any]:
    """The shape of a policy file whose destinations are of these types.

    It knows shapes only: references, conditions and durations that contradict each other are found by
    ``load_policy``.
    """
    configs = [types[name] for name in sorted(types)]
    keys, whole = models_json_schema(
        [(model, "validation") for model in (PolicyFile, *configs)], ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Any] = whole["$defs"]
    for name in sorted(types):
        reference: str = keys[(types[name], "validation")]["$ref"]
        definitions[reference.rpartition("/")[2]]["properties"]["type"] = {"const": name}
    root: dict[str, Any] = definitions.pop("PolicyFile")
    root["properties"]["destinations"]["additionalProperties"] = {
        "oneOf": [keys[(config, "validation")] for config in configs]
    }
    patterns = root["properties"]["destinations"].pop("patternProperties", None)
    if patterns:  # the names' pattern stays, with the destinations' own shapes behind it
        (pattern,) = patterns
        root["properties"]["destinations"]["propertyNames"] = {"pattern": pattern}
    return {"$schema": DIALECT, **root, "$defs": definitions}
