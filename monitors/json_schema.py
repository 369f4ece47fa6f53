"""The JSON Schema of monitors files, with which editors complete keys and mark errors."""

from typing import Any

from pydantic.json_schema import models_json_schema

from monitors.schema import KINDS, MonitorsFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def monitors_json_schema() -> dict[str, Any]:
    """The JSON Schema. It describes shapes only; ``load_monitors`` also checks models, objectives and thresholds."""
    keys, schema = models_json_schema(
        [(model, "validation") for model in (MonitorsFile, *KINDS.values())], ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Any] = schema["$defs"]
    root: dict[str, Any] = definitions.pop("MonitorsFile")
    for model in KINDS.values():
        # What `defaults` states need not be repeated, so that only the kind, which `defaults` cannot have, is required.
        definitions[model.__name__]["required"] = ["kind", "threshold"]
    monitors: dict[str, Any] = root["properties"]["monitors"]
    monitors.pop("additionalProperties", None)
    patterns = monitors.pop("patternProperties", None)
    if patterns:
        (pattern,) = patterns
        monitors["propertyNames"] = {"pattern": pattern}
    kinds = {kind: keys[(model, "validation")]["$ref"] for kind, model in KINDS.items()}
    monitors["additionalProperties"] = {
        "type": "object",
        "required": ["kind"],
        "oneOf": [{"$ref": reference} for reference in kinds.values()],
    }
    return {"$schema": DIALECT, **root, "$defs": definitions}
