"""The policy's reference in Markdown, made from the schema and the vocabulary, so that it cannot go stale."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from alerts import Alert
from policy.decision import IncidentFacts
from policy.destinations import DestinationConfig
from policy.durations import PATTERN as DURATION
from policy.durations import format_duration
from policy.json_schema import policy_json_schema
from policy.schema import NOT_BUILT, ModelConfig
from policy.vocabulary import ALERT, INCIDENT, MODEL

_SECTIONS = (
    ("", "The file", "PolicyFile"),
    ("tiers.*", "Tiers", "TierConfig"),
    ("tiers.*.steps[]", "Steps", "StepConfig"),
    ("models.*", "Models", "ModelConfig"),
    ("rules[]", "Rules", "RuleConfig"),
    ("otherwise", "Otherwise", "OutcomeConfig"),
    ("governance", "Governance", "GovernanceConfig"),
    ("watchdog", "Watchdog", "WatchdogConfig"),
    ("watchdog.heartbeat", "Heartbeat", "HeartbeatConfig"),
    ("watchdog.drill", "Drill", "DrillConfig"),
)
_MADE = "<!-- Made by `tocsin policy reference`: change the schema, not this file. -->"


def policy_reference(types: Mapping[str, type[DestinationConfig]]) -> str:
    """Every key, its type, its default and what it is for."""
    schema = policy_json_schema(types)
    definitions: dict[str, Any] = {**schema["$defs"], "PolicyFile": schema}
    lines = [
        "# The policy, key by key",
        "",
        _MADE,
        "",
        "[How to write one](policy.md) · [the shipped one](../policies/tocsin.yaml)",
    ]
    for path, title, name in _SECTIONS:
        definition = definitions[name]
        lines += ["", f"## {title}" + (f" (`{path}`)" if path else ""), ""]
        lines += [*_told(definition), *_table(definition, definitions)]
    lines += ["", "## Destinations (`destinations.*`)", ""]
    lines += ["Every type has these; a secret is named by `{env: NAME}` or `{file: PATH}`, never written.", ""]
    lines += _table(_part(schema, types["console"], shared=True), definitions)
    for name in sorted(types):
        own = _part(schema, types[name], shared=False)
        lines += ["", f"### `type: {name}`", "", f"What it does: {_KINDS[types[name].kind]}.", ""]
        lines += _table(own, definitions) if own["properties"] else ["It has no keys of its own."]
    lines += ["", "## Names in conditions", ""]
    lines += ["Conditions are [CEL](https://cel.dev). `now` is the time of the decision, in UTC.", ""]
    lines += [*_names("alert", ALERT, Alert), ""]
    lines += [*_names("model", MODEL, ModelConfig), ""]
    lines += _names("incident", INCIDENT, IncidentFacts)
    lines += ["", "## Not built yet", "", "Using one of these is an error that says so, never silently ignored.", ""]
    lines += [f"- `{key}`: {what}" for key, what in NOT_BUILT.items()]
    return "\n".join(lines) + "\n"


_KINDS = {
    "page": "it wakes somebody",
    "post": "it informs a channel",
    "ticket": "it opens a ticket; named by `ticket`, nowhere else",
    "console": "it prints where the worker runs",
}


def _told(definition: Mapping[str, Any]) -> list[str]:
    text = str(definition.get("description", "")).split("\n\n")[0].replace("\n", " ").replace("``", "`")
    return [text, ""] if text else []


def _part(schema: Mapping[str, Any], config: type[DestinationConfig], *, shared: bool) -> dict[str, Any]:
    """A destination's definition with the keys that all types share, or with those of its own."""
    definition = schema["$defs"][config.__name__]
    keys: dict[str, Any] = definition["properties"]
    common = DestinationConfig.model_fields
    return {**definition, "properties": {key: one for key, one in keys.items() if (key in common) == shared}}


def _table(definition: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    required = set(definition.get("required", ()))
    yield "| key | is | default | for |"
    yield "| --- | --- | --- | --- |"
    keys = sorted(definition["properties"].items(), key=lambda item: item[0] not in required)
    for key, one in keys:
        default = "needed" if key in required else _default(one)
        text = str(one.get("description", "")).replace("|", "\\|").replace("\n", " ")
        if key in {"rollout", "noise", "enrichment", "intake", "inhibits", "enrich", "evidence"}:
            text = f"{text} Not built yet.".strip()
        yield f"| `{key}` | {_type(one, definitions)} | {default} | {text} |"


def _default(one: Mapping[str, Any]) -> str:
    value = one.get("default")
    if isinstance(value, dict):
        return ""
    if isinstance(value, float) and one.get("pattern") == DURATION:
        return f"`{format_duration(value)}`"
    return "" if value in (None, "", [], {}) else f"`{json.dumps(value)}`"


def _type(one: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "anyOf" in one:
        return " or ".join(
            dict.fromkeys(_type(each, definitions) for each in one["anyOf"] if each.get("type") != "null")
        )
    if "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        title = next((title for _, title, known in _SECTIONS if known == name), "")
        if title:
            return f"see {title}"
        return "`{env: NAME}` or `{file: PATH}`" if name == "SecretRef" else "a map"
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if "const" in one:
        return f"`{one['const']}`"
    if one.get("pattern") == DURATION:
        return "a duration, such as `15m`"
    match one.get("type"):
        case "array":
            items = one.get("items", {})
            return "names" if items.get("type") == "string" else f"a list: {_type(items, definitions)}"
        case "object":
            inner: Any = one.get("additionalProperties") or {}
            return (
                f"a map: {_type(inner, definitions)}"
                if inner and inner is not True and "oneOf" not in inner
                else "a map"
            )
        case "boolean":
            return "true or false"
        case "integer" | "number":
            return "a number"
        case _:
            return "an address" if one.get("format") == "uri" else "text"


def _names(root: str, types: Mapping[str, str], model: Any) -> Iterator[str]:
    yield f"| `{root}.…` | is | |"
    yield "| --- | --- | --- |"
    for name, kind in types.items():
        text = str(model.model_fields[name].description or "").replace("|", "\\|")
        yield f"| `{name}` | {kind} | {text} |"
