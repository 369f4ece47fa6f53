"""What can be judged of a policy whose shape is wrong somewhere: so that one round of corrections is enough."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import ValidationError

from policy.checking import Fault
from policy.conditions import Condition, ConditionError
from policy.near import near
from policy.schema import ModelConfig
from policy.vocabulary import Vocabulary
from policy.yaml_file import KeyPath

_NAMING = ("notify", "ticket", "digest", "fallback")


def salvaged(content: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Fault]]:
    """Faults of the conditions, and names of destinations that are none, wherever they can be found."""
    vocabulary = _vocabulary(content.get("models"))
    for path, rule in _each(content.get("rules"), ("rules",)):
        yield from _of_condition(rule.get("when"), (*path, "when"), vocabulary)
    governance = content.get("governance")
    if isinstance(governance, dict):
        stated = cast("dict[str, Any]", governance).get("regulated")
        yield from _of_condition(stated, ("governance", "regulated"), vocabulary)
    destinations = content.get("destinations")
    if isinstance(destinations, dict):
        known = [str(name) for name in cast("dict[Any, Any]", destinations)]
        for section in ("tiers", "rules", "otherwise", "governance"):
            yield from _names(content.get(section), (section,), known)


def _vocabulary(models: Any) -> Vocabulary:
    good: dict[str, ModelConfig] = {}
    for name, entry in cast("dict[Any, Any]", models).items() if isinstance(models, dict) else ():
        try:
            good[str(name)] = ModelConfig.model_validate(entry)
        except ValidationError:
            # Its limits may be asked for, whatever else is wrong with it.
            slo = cast("dict[str, Any]", entry).get("slo") if isinstance(entry, dict) else None
            keys = cast("dict[Any, Any]", slo) if isinstance(slo, dict) else {}
            good[str(name)] = ModelConfig(slo={str(key): 0.0 for key in keys})
    default = good.pop("defaults", ModelConfig())
    return Vocabulary.of({name: entry.over(default) for name, entry in good.items()}, default)


def _of_condition(source: Any, path: KeyPath, vocabulary: Vocabulary) -> Iterator[tuple[KeyPath, Fault]]:
    if isinstance(source, str) and source.strip():
        try:
            Condition(source, vocabulary)
        except ConditionError as error:
            for fault in error.faults:
                yield path, fault


def _names(value: Any, path: KeyPath, known: list[str]) -> Iterator[tuple[KeyPath, Fault]]:
    if isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _names(item, (*path, index), known)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            here = (*path, str(key))
            if key not in _NAMING:
                yield from _names(item, here, known)
                continue
            listed = cast("list[Any]", item) if isinstance(item, list) else [item]
            for name in listed:
                if isinstance(name, str) and name not in known:
                    yield here, Fault(0, f"{name!r} is no destination{near(name, known)}")


def _each(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    for index, item in enumerate(cast("list[Any]", value)) if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield (*path, index), cast("dict[str, Any]", item)
