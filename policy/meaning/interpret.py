"""From an alert in Arize's words to one in the policy's words, with every step for ``policy explain``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts import Alert
from alerts.normalise import relative_change
from policy.meaning.built_in import Meaning, built_in_meaning
from policy.meaning.metrics import NamedMetrics

DEFAULT_ENVIRONMENT = "production"
"""Of an alert without one, if the catalogue states none either."""
_ENVIRONMENTS = {
    "prod": "production",
    "prd": "production",
    "live": "production",
    "stage": "staging",
    "stg": "staging",
    "dev": "development",
}
_PRODUCTION = re.compile(r"(?:production|prod|prd|live)(?![a-z])")
_COMPARISON = re.compile(r"^(?:contains|similar to) ")
"""How the reader of filters writes an operator before the value."""
_NOT_DEPLOYMENTS = frozenset({"tracing", "training", "validation"})
"""Arize's names of a data set, which say nothing of where the model runs."""
_ARIZE_KINDS = frozenset({"", "tracing", "custom_metric"})
"""Kinds that say how a monitor is built, and not what it measures."""
_INTERPRETED = (
    "metric",
    "kind",
    "unit",
    "mapped",
    "model",
    "environment",
    "value",
    "threshold",
    "baseline",
    "change",
    "operator",
)
"""The fields that an interpretation may set."""
_TAG = "a tag of the monitor or its project, or a word of the notes"
_READS_DATA = frozenset({"span_attribute", "llm_eval", "user_annotation"})


@dataclass(frozen=True, slots=True)
class InterpretationStep:
    """One step from Arize's words to the policy's: ``p95 of latency_ms`` means ``p95_latency_ms``."""

    field: str
    said: str
    means: str
    by: str


@dataclass(frozen=True)
class Catalogue:
    """What the interpretation needs of the catalogue of models."""

    names: Mapping[str, str]
    """Each model's name, by its folded name."""
    projects: Mapping[str, str]
    """The model of a project, by the project's id and by its folded name."""
    environments: Mapping[str, str]
    """The environment that a model states, by the model's name."""
    default_environment: str = DEFAULT_ENVIRONMENT
    stated_environments: frozenset[str] = frozenset()
    """The environments that conditions and models name."""


class Interpreter:
    """Interprets alerts by the policy's ``metrics`` and ``models``, over the built-in knowledge."""

    def __init__(self, metrics: NamedMetrics, catalogue: Catalogue) -> None:
        self._metrics, self._catalogue = metrics, catalogue

    def interpret(self, alert: Alert) -> tuple[Alert, list[InterpretationStep]]:
        """The alert in the policy's words, and the steps. The alert keeps what was replaced, as ``stated``."""
        alert = alert.as_read()
        steps: list[InterpretationStep] = []
        model = self._model(alert, steps)
        environment = self._environment(alert, model, steps)
        meaning = self._metrics.apply(alert, built_in_meaning(alert))
        kind = _kind(alert, meaning)
        if meaning.source != meaning.metric:
            steps.append(
                InterpretationStep("metric", meaning.source or "nothing", meaning.metric or "unknown", meaning.by)
            )
        if tag := alert.tags.get("kind"):
            steps.append(InterpretationStep("kind", f"kind:{tag}", kind, _TAG))
        elif kind != alert.kind:
            steps.append(InterpretationStep("kind", alert.kind or "no kind", kind, "what the metric measures"))
        for name, text in alert.excluded.items():
            steps.append(InterpretationStep("excluded", f"not {name}: {text}", "no segment", "a filter that excludes"))
        changed: dict[str, Any] = {
            "model": model,
            "environment": environment,
            "metric": meaning.metric,
            "kind": kind,
            "unit": meaning.unit,
            "mapped": meaning.mapped,
        }
        result = _converted(alert.model_copy(update=changed), meaning, steps)
        stated = {name: old for name in _INTERPRETED if (old := getattr(alert, name)) != getattr(result, name)}
        return result.model_copy(update={"stated": stated}), steps

    def failures(self, alert: Alert) -> dict[str, str]:
        """Why conditions in ``metrics`` cannot be evaluated for an interpreted alert, by their place."""
        return self._metrics.failures(alert)

    def _model(self, alert: Alert, steps: list[InterpretationStep]) -> str:
        """The model's name as the catalogue writes it."""
        catalogue = self._catalogue
        stated = alert.model
        if stated and stated != alert.project and stated.casefold() in catalogue.names:
            return catalogue.names[stated.casefold()]
        for project in (alert.project_id, alert.project, stated):
            mapped = catalogue.projects.get(project) or catalogue.projects.get(project.casefold())
            if project and mapped:
                steps.append(
                    InterpretationStep("model", f"project {project}", mapped, f"models.{mapped}.arize.projects")
                )
                return mapped
        name = stated or alert.project
        if name.casefold() in catalogue.names:
            found = catalogue.names[name.casefold()]
            steps.append(InterpretationStep("model", f"project {name}", found, "a model of that name"))
            return found
        if name or alert.project_id:
            said = f"project {name or alert.project_id}" if alert.project_id or alert.project else name
            steps.append(
                InterpretationStep("model", said, name or "unknown", "not in the catalogue: the defaults apply")
            )
        return name

    def _environment(self, alert: Alert, model: str, steps: list[InterpretationStep]) -> str:
        tag = alert.tags.get("environment", "")
        for stated in (alert.environment, tag.casefold()):
            if stated and stated not in _NOT_DEPLOYMENTS:
                found = self._environment_of(stated)
                if tag.casefold() == stated:
                    steps.append(InterpretationStep("environment", f"environment:{tag}", found, _TAG))
                elif found != stated:
                    steps.append(InterpretationStep("environment", stated, found, "the usual names"))
                return found
        catalogue = self._catalogue
        own = catalogue.environments.get(model)
        by = f"models.{model}.environment" if own else "models.defaults.environment"
        found = own or catalogue.default_environment
        steps.append(InterpretationStep("environment", "none stated", found, by))
        return found

    def _environment_of(self, stated: str) -> str:
        """The usual name. ``prod-eu`` and a filter of several environments with production among them are production.

        A name that the policy itself writes stays as it is.
        """
        if stated in _ENVIRONMENTS:
            return _ENVIRONMENTS[stated]
        own = self._catalogue.stated_environments
        if stated in own or any(_PRODUCTION.match(one) and stated.startswith(one) for one in own - {"production"}):
            return stated
        names = [name.strip() for name in re.split(r",| and ", _COMPARISON.sub("", stated)) if name.strip()]
        if any(_PRODUCTION.match(name) for name in names):
            return "production"
        return _ENVIRONMENTS.get(names[0], names[0]) if len(names) == 1 else stated


def _kind(alert: Alert, meaning: Meaning) -> str:
    """A tag wins, then a kind that a body's author chose; Arize's own types yield to what the metric measures."""
    if alert.tags.get("kind") or alert.segment.get("kind"):
        return alert.kind
    if meaning.by.startswith("metrics.") and meaning.kind:
        return meaning.kind
    generic = alert.kind in _ARIZE_KINDS or (
        alert.kind in {"data_quality", "performance"} and alert.dimension_category in _READS_DATA
    )
    return (meaning.kind or alert.kind) if generic else alert.kind


def _converted(alert: Alert, meaning: Meaning, steps: list[InterpretationStep]) -> Alert:
    """The alert with its numbers in the metric's unit, and the direction of a change that nothing else gives."""
    change_is_stated = alert.change is not None and relative_change(alert) is None
    if meaning.factor != 1.0 or meaning.complement:
        numbers = {
            name: _convert(number, meaning)
            for name in ("value", "threshold", "baseline")
            if (number := getattr(alert, name)) is not None
        }
        if "value" in numbers:
            steps.append(
                InterpretationStep("value", f"{alert.value:g}", f"{numbers['value']:g}", f"in the unit {meaning.unit}")
            )
        alert = alert.model_copy(update=numbers)
        if meaning.complement:
            alert = alert.model_copy(update={"operator": _mirrored(alert.operator), "change": relative_change(alert)})
    if change_is_stated and alert.change and meaning.better and alert.status == "triggered":
        worse = -abs(alert.change) if meaning.better == "higher" else abs(alert.change)
        if worse != alert.change:
            steps.append(
                InterpretationStep("change", f"{alert.change:+g}", f"{worse:+g}", f"{meaning.better} is better")
            )
            alert = alert.model_copy(update={"change": worse})
    return alert


def _convert(number: float, meaning: Meaning) -> float:
    return round(1.0 - number if meaning.complement else number * meaning.factor, 12)


def _mirrored(operator: str) -> str:
    return operator.replace("less", "greater") if "less" in operator else operator.replace("greater", "less")
