"""The policy's JSON Schema, with which editors complete keys and mark errors."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from policy.destinations import DestinationConfig
from policy.schema import PolicyFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_json_schema(types: Mapping[str, type[DestinationConfig]]) -> dict[str, Any]:
    """The JSON Schema of a policy file whose destinations have these types.

    It describes shapes only. ``load_policy`` checks names, conditions and contradictions.
    """
    configs = [types[name] for name in sorted(types)]
    keys, schema = models_json_schema(
        [(model, "validation") for model in (PolicyFile, *configs)], ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Any] = schema["$defs"]
    for name in sorted(types):
        reference: str = keys[(types[name], "validation")]["$ref"]
        definitions[reference.rpartition("/")[2]]["properties"]["type"] = {"const": name}
    root: dict[str, Any] = definitions.pop("PolicyFile")
    root["properties"]["destinations"]["additionalProperties"] = {
        "oneOf": [keys[(config, "validation")] for config in configs]
    }
    patterns = root["properties"]["destinations"].pop("patternProperties", None)
    if patterns:  # keep the pattern of the names beside the schemas of the values
        (pattern,) = patterns
        root["properties"]["destinations"]["propertyNames"] = {"pattern": pattern}
    return {"$schema": DIALECT, **root, "$defs": definitions}
