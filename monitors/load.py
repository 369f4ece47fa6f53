"""Loads monitors files, or reports every problem in them with file, line and column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ValidationError

from monitors.ownership import WORDS, is_default, read_notes
from monitors.schema import KINDS, AnyMonitorConfig, CommonConfig, LimitConfig, MonitorsFile
from policy import Policy, PolicyError, Problem, read_source, short_digest
from policy.authoring.error_messages import humanize
from policy.authoring.secret_checks import find_secrets
from policy.authoring.suggestions import did_you_mean
from policy.schema import ModelConfig
from policy.source import PolicySource
from policy.yaml_file import KeyPath, Places, format_path, read_yaml

_M = TypeVar("_M", bound=BaseModel)
_SHAPE = "a monitors file is a map of sections: version, namespace, defaults, monitors"


class MonitorsError(PolicyError):
    """The declarations cannot be used. ``problems`` holds all problems, not only the first."""

    code: ClassVar[str] = "invalid_monitors"


@dataclass(frozen=True)
class Declaration:
    """One monitor of a file, checked against the policy but not against a tenant."""

    key: str
    config: AnyMonitorConfig
    slo: Mapping[str, float]
    """The objectives of its model; empty without a model."""
    projects: tuple[str, ...]
    """The names or ids of its Arize projects: one, or those among which the tenant decides."""


@dataclass(frozen=True)
class Declarations:
    """All monitors that are declared, and the places of their keys."""

    namespace: str
    monitors: tuple[Declaration, ...]
    digest: str
    """Identifies the files' content."""
    _places: Mapping[str, tuple[str, Places]]
    """The file of each monitor, and the places in it."""

    def problem(self, key: str, path: KeyPath, message: str) -> Problem:
        """A problem at a key of a monitor, or at the key of ``defaults`` that the monitor has it from."""
        file, places = self._places[key]
        whole: KeyPath = ("monitors", key, *path)
        if whole[:3] not in places.keys and ("defaults", *path[:1]) in places.keys:
            whole = ("defaults", *path)
        return _problem(places, file, whole, message)


def load_monitors(path: Path, policy: Policy) -> Declarations:
    """Load a monitors file, or all ``*.yaml`` files of a folder.

    Args:
        path: The file or folder.
        policy: Its catalogue has the models, their projects and their objectives.

    Raises:
        MonitorsError: With all problems.
    """
    try:
        return parse_monitors(read_source(path), policy)
    except PolicyError as error:
        raise MonitorsError(error.problems) from None


def parse_monitors(source: PolicySource, policy: Policy) -> Declarations:
    """Like ``load_monitors``, for files that have been read."""
    loader = _Loader(policy)
    for name, text in source.files:
        loader.read(name, text)
    namespaces = {file.namespace for file in loader.files}
    if len(namespaces) > 1:
        stated = ", ".join(sorted(one or "none" for one in namespaces))
        loader.add(("namespace",), f"all files of a folder need the same namespace; they have {stated}")
    if loader.problems:
        raise MonitorsError(loader.problems)
    namespace = next(iter(namespaces), None) or ""
    monitors = tuple(sorted(loader.monitors, key=lambda one: one.key))
    return Declarations(namespace, monitors, short_digest(source.digest), loader.places)


class _Loader:
    """Reads files one after the other, and collects their monitors and problems."""

    def __init__(self, policy: Policy) -> None:
        self.problems: list[Problem] = []
        self.monitors: list[Declaration] = []
        self.files: list[MonitorsFile] = []
        self.places: dict[str, tuple[str, Places]] = {}
        self._policy = policy
        self._here = Places()
        self._name = ""

    def add(self, path: KeyPath, message: str) -> None:
        self.problems.append(_problem(self._here, self._name, path, message))

    def read(self, name: str, text: bytes) -> None:
        self._name, self._here = name, Places()
        try:
            content = read_yaml(name, text, self._here, _SHAPE)
        except PolicyError as error:
            self.problems += error.problems
            return
        file = self._validate(MonitorsFile, content, ())
        if file is not None:
            self.files.append(file)
        for path, kind in find_secrets(content):
            if "values" not in path:  # a filter may compare with anything
                self.add(path, f"this looks like {kind}: a declaration is no place for a secret")
        stated = content.get("defaults")
        usual: dict[str, Any] = cast("dict[str, Any]", stated) if isinstance(stated, dict) else {}
        known = {key: value for key, value in usual.items() if key in CommonConfig.model_fields}
        entries = content.get("monitors")
        for key, entry in cast("dict[Any, Any]", entries).items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                self._add_monitor(str(key), {**known, **cast("dict[str, Any]", entry)}, cast("dict[str, Any]", entry))

    def _add_monitor(self, key: str, whole: dict[str, Any], stated: Mapping[str, Any]) -> None:
        if key in self.places:
            self.add(("monitors", key), f"is already in {self.places[key][0]}")
            return
        self.places[key] = (self._name, self._here)
        self._monitor(key, whole, stated)

    def _monitor(self, key: str, whole: dict[str, Any], stated: Mapping[str, Any]) -> None:
        path: KeyPath = ("monitors", key)
        kind = whole.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            if kind is None:
                self.add(path, f"a monitor needs a kind, one of {', '.join(KINDS)}")
            else:
                self.add((*path, "kind"), f"there is no kind {str(kind)[:60]!r}{did_you_mean(str(kind), KINDS)}")
            return
        config = self._validate(KINDS[kind], whole, path, stated)
        if config is None:
            return
        if read_notes(config.notes)[0]:
            self.add((*path, "notes"), "ends with Tocsin's own mark, which is written for you: remove the line")
        said = notes_of(config).get("phase", "page")
        if said != config.phase and "phase" in config.model_fields_set:
            self.add(
                (*path, "notes"), f"ends with phase:{said}, and the key phase is {config.phase}: remove one of the two"
            )
        slo, projects = self._model(path, config, stated)
        for at, limit in _limits_with_slo(config):
            if limit.slo not in slo:
                of = f"model {config.model}" if config.model else "a monitor without model"
                self.add((*path, *at, "slo"), f"{of} has no objective {limit.slo!r}{did_you_mean(limit.slo, slo)}")
        self.monitors.append(Declaration(key, config, slo, projects))

    def _model(
        self, path: KeyPath, config: AnyMonitorConfig, stated: Mapping[str, Any]
    ) -> tuple[Mapping[str, float], tuple[str, ...]]:
        """The objectives and the projects of a monitor."""
        model, project = config.model, config.project
        at: KeyPath = ("defaults",) if "model" not in stated and "model" in config.model_fields_set else path
        if not model:
            if not project:
                self.add(path, "needs a model of the policy's catalogue, or an Arize project")
            return {}, (project,)
        names = {name.casefold(): name for name in self._policy.models}
        if model.casefold() not in names:
            hint = did_you_mean(model, self._policy.models)
            self.add((*at, "model"), f"the policy's catalogue has no model {model!r}{hint}")
            return {}, (project,)
        entry = self._policy.model(model)
        return entry.slo, (project,) if project else catalogue_projects(entry, names[model.casefold()])

    def _validate(self, model: type[_M], value: Any, at: KeyPath, stated: Mapping[str, Any] | None = None) -> _M | None:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                here = _key_path(one["loc"])
                start = ("defaults",) if stated is not None and here and here[0] not in stated else at
                if here and start == ("defaults",) and one["type"] == "missing":
                    start = at
                self.add((*start, *here), humanize(one, model))
            return None


def notes_of(config: AnyMonitorConfig) -> dict[str, Any]:
    """What the monitor's notes will say, by the names of the fields of ``MonitorState``.

    The last line of free notes may have the words that Tocsin writes, too (``owner:ml``). It is read as it will be read
    from Arize: as a part of the text if Tocsin adds such a line after it, and else for what it says.
    """
    stated = {name: getattr(config, name, "") for name in WORDS}
    words = {name: value for name, value in stated.items() if not is_default(name, value)}
    if not words:
        return read_notes(config.notes)[1]
    return {"notes": config.notes.replace("\r\n", "\n").strip(), **words}


def catalogue_projects(entry: ModelConfig, name: str) -> tuple[str, ...]:
    """The Arize projects of a model: those of its ``arize.projects``, or the one with the model's name."""
    return entry.arize.projects or (name,)


def _limits_with_slo(config: AnyMonitorConfig) -> list[tuple[KeyPath, LimitConfig]]:
    threshold = config.threshold
    sides: list[tuple[KeyPath, LimitConfig | None]] = [
        (("threshold",), threshold),
        (("threshold", "lower"), threshold.lower),
        (("threshold", "upper"), threshold.upper),
    ]
    return [(path, limit) for path, limit in sides if limit is not None and limit.slo]


def _problem(places: Places, file: str, path: KeyPath, message: str) -> Problem:
    return Problem(*places.of(path, file), format_path(path), message)


def _key_path(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Without the parts that Pydantic adds: ``[key]`` for a map's key."""
    return tuple(part for part in place if not (isinstance(part, str) and re.search(r"[\[(]", part)))
