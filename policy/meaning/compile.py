"""Compiles ``metrics`` and the catalogue's part of the interpretation."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from policy.cel.conditions import Condition
from policy.meaning.interpret import DEFAULT_ENVIRONMENT, Catalogue
from policy.meaning.known import fold
from policy.meaning.metrics import NamedMetric, NamedMetrics
from policy.meaning.naming import texts_of
from policy.schema import MetricConfig, ModelConfig

_Path = tuple[str | int, ...]


class Report(Protocol):
    def __call__(self, path: _Path, message: str, offset: int | None = None, *, warning: bool = False) -> None: ...


class CompileCondition(Protocol):
    def __call__(self, source: str, path: _Path) -> Condition | None: ...


def compile_metrics(metrics: Mapping[str, MetricConfig], condition: CompileCondition, report: Report) -> NamedMetrics:
    """The entries of ``metrics``. Problems go to ``report``."""
    found: list[NamedMetric] = []
    owner: dict[str, str] = {}
    for name, entry in metrics.items():
        path = ("metrics", name)
        for index, one in enumerate(entry.names):
            first = owner.setdefault(fold(one), name)
            if not fold(one):
                report((*path, "names", index), "an empty name matches nothing")
            elif first != name:
                report((*path, "names", index), f"{one!r} is a name of {first} already: the first counts")
        match = condition(entry.match, (*path, "match")) if entry.match else None
        if match is not None and (foreign := [one for one in match.fields if not one.startswith("alert.")]):
            report((*path, "match"), f"only alert.* says what is measured, not {foreign[0]}")
            match = None
        names = frozenset(fold(one) for one in (name, *entry.names)) - {""}
        found.append(NamedMetric(name, names, match, entry.kind, entry.unit or "", entry.better or ""))
    return NamedMetrics(found)


def compile_catalogue(
    stated: Mapping[str, ModelConfig],
    models: Mapping[str, ModelConfig],
    conditions: Sequence[Condition],
    report: Report,
) -> Catalogue:
    """What alerts need of the catalogue and of the rules' conditions.

    ``models`` are the entries over the defaults, without ``defaults``.
    """
    projects: dict[str, str] = {}
    for name in models:
        for index, project in enumerate(stated[name].arize.projects):
            for key in {project, project.casefold()}:
                first = projects.setdefault(key, name)
                if first != name:
                    path = ("models", name, "arize", "projects", index)
                    report(path, f"{project!r} is a project of {first} already")
    default = stated.get("defaults", ModelConfig())
    if default.arize.projects:
        report(("models", "defaults", "arize"), "a project belongs to one model; name it there, not in the defaults")
    environments = {name: stated[name].environment.casefold() for name in models if stated[name].environment}
    return Catalogue(
        names={name.casefold(): name for name in models},
        projects=projects,
        environments=environments,
        default_environment=default.environment.casefold() or DEFAULT_ENVIRONMENT,
        stated_environments=frozenset(environments.values()).union(
            *(texts_of(condition.tree) for condition in conditions if "alert.environment" in condition.fields)
        ),
    )
