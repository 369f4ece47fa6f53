"""Rules that compare with an objective that a model lacks: such a rule does not decide about the model's alerts."""

from collections.abc import Iterator, Mapping, Sequence

from policy.cel.conditions import Condition
from policy.cel.syntax import Select, path_of, walk
from policy.schema import ModelConfig

_OBJECTIVE = "model.slo."
_MAX_NAMED = 3


def missing_objectives(
    conditions: Sequence[Condition], models: Mapping[str, ModelConfig], defaults: ModelConfig
) -> Iterator[tuple[int, str]]:
    """The indexes of conditions that use an objective without a default, with the models that lack it.

    Args:
        conditions: of all rules.
        models: the catalogue, each with the defaults applied.
        defaults: what a model that is not listed has.

    A condition that chooses its models, or asks whether the objective is there, is left out: it is meant so.
    """
    for index, condition in enumerate(conditions):
        if _chooses_models(condition):
            continue
        for name in _objectives(condition):
            if name in defaults.slo:
                continue
            lacking = [model for model, entry in models.items() if name not in entry.slo]
            text = f"model.slo.{name} has no default, so this never matches an alert of {_listed(lacking)}"
            yield index, f"{text}: set models.defaults.slo.{name}"


def _objectives(condition: Condition) -> list[str]:
    return [path.removeprefix(_OBJECTIVE) for path in condition.fields if path.startswith(_OBJECTIVE)]


def _chooses_models(condition: Condition) -> bool:
    if any(
        path == "alert.model" or (path.startswith("model.") and not path.startswith(_OBJECTIVE))
        for path in condition.fields
    ):
        return True
    tested = (node for node in walk(condition.tree) if isinstance(node, Select) and node.test_only)
    return any(path_of(Select(node.offset, node.operand, node.name)).startswith(_OBJECTIVE) for node in tested)


def _listed(models: list[str]) -> str:
    more = len(models) - _MAX_NAMED
    named = [*models[:_MAX_NAMED], f"{more} more" if more > 0 else "", "a model that is not listed"]
    *first, last = filter(None, named)
    return f"{', '.join(first)} or {last}" if first else last
