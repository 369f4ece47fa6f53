"""Checks the valid parts of a policy whose shape is invalid elsewhere, so that all problems are reported at once."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import ValidationError

from policy.authoring.suggestions import did_you_mean
from policy.cel.conditions import Condition, ConditionError
from policy.cel.declarations import Declarations
from policy.cel.type_check import Issue
from policy.intake import check_mapping
from policy.schema import MappingConfig, ModelConfig, PolicyFile, destination_keys
from policy.yaml_file import KeyPath

_KEYS_WITH_NAMES = destination_keys()


def validate_parts(content: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Issue]]:
    """Issues of conditions, and unknown names of destinations, in the parts that can be read."""
    declarations = _declarations(content.get("models"))
    for path, rule in _maps_in(content.get("rules"), ("rules",)):
        yield from _condition_issues(rule.get("when"), (*path, "when"), declarations)
    governance = content.get("governance")
    if isinstance(governance, dict):
        stated = cast("dict[str, Any]", governance).get("regulated")
        yield from _condition_issues(stated, ("governance", "regulated"), declarations)
    intake = content.get("intake")
    if isinstance(intake, dict):
        stated = cast("dict[str, Any]", intake).get("mappings")
        for path, mapping in _maps_in(stated, ("intake", "mappings")):
            yield from _mapping_issues(mapping, path)
    destinations = content.get("destinations")
    if isinstance(destinations, dict):
        known = [str(name) for name in cast("dict[Any, Any]", destinations)]
        for section in PolicyFile.model_fields.keys() - {"destinations", "models"}:
            yield from _unknown_names(content.get(section), (section,), known)


def _declarations(models: Any) -> Declarations:
    entries = {
        str(name): _valid_part(entry)
        for name, entry in (cast("dict[Any, Any]", models).items() if isinstance(models, dict) else ())
    }
    default = entries.pop("defaults", ModelConfig())
    return Declarations.of({name: entry.over(default) for name, entry in entries.items()}, default)


def _valid_part(entry: Any) -> ModelConfig:
    """A catalogue entry without its invalid keys. Objectives are kept by name, since conditions may use them."""
    try:
        return ModelConfig.model_validate(entry)
    except ValidationError as error:
        if not isinstance(entry, dict):
            return ModelConfig()
        keys = cast("dict[str, Any]", entry)
        invalid = {str(one["loc"][0]) for one in error.errors(include_url=False)}
        slo = keys.get("slo")
        objectives = dict.fromkeys(map(str, cast("dict[Any, Any]", slo)), 0.0) if isinstance(slo, dict) else {}
        valid = {key: value for key, value in keys.items() if str(key) not in invalid}
        return ModelConfig.model_validate({**valid, "slo": objectives})


def _condition_issues(source: Any, path: KeyPath, declarations: Declarations) -> Iterator[tuple[KeyPath, Issue]]:
    if isinstance(source, str) and source.strip():
        try:
            Condition(source, declarations)
        except ConditionError as error:
            for issue in error.issues:
                yield path, issue


def _mapping_issues(mapping: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Issue]]:
    try:
        config = MappingConfig.model_validate({**mapping, "name": "unnamed"})
    except ValidationError:
        return  # reported as a problem of its shape
    for key, issue in check_mapping(config):
        yield (*path, *key), issue


def _unknown_names(value: Any, path: KeyPath, known: list[str]) -> Iterator[tuple[KeyPath, Issue]]:
    if isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _unknown_names(item, (*path, index), known)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            here = (*path, str(key))
            if key not in _KEYS_WITH_NAMES:
                yield from _unknown_names(item, here, known)
                continue
            listed = cast("list[Any]", item) if isinstance(item, list) else [item]
            for name in listed:
                if isinstance(name, str) and name not in known:
                    yield here, Issue(0, f"there is no destination {name!r}{did_you_mean(name, known)}")


def _maps_in(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    for index, item in enumerate(cast("list[Any]", value)) if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield (*path, index), cast("dict[str, Any]", item)
