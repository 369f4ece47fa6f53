"""From files to a Policy, or to every problem in them with its file, line and column."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ValidationError

from policy.compile import compile_policy
from policy.decide import Policy
from policy.destinations import DestinationConfig
from policy.errors import PolicyError, Problem, in_order
from policy.faults import said
from policy.near import near
from policy.salvage import salvaged
from policy.schema import NOT_BUILT, PolicyFile
from policy.secrets import written_secrets
from policy.source import PolicySource, read_source
from policy.yaml_file import KeyPath, Places, read_yaml, written_path

DestinationTypes = Mapping[str, type[DestinationConfig]]
_M = TypeVar("_M", bound=BaseModel)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def load_policy(path: Path, types: DestinationTypes, environment: Mapping[str, str] | None = None) -> Policy:
    """Read a policy file, or a folder of ``*.yaml`` files that together hold the sections.

    ``types`` are the destination types that may be used, by their names. With an ``environment``, secrets that it
    lacks are warned of. Raises PolicyError with all problems found.
    """
    return parse_policy(read_source(path), types, environment)


def parse_policy(source: PolicySource, types: DestinationTypes, environment: Mapping[str, str] | None = None) -> Policy:
    """The policy that a text means. Raises PolicyError with all problems found."""
    content: dict[str, Any] = {}
    places = Places()
    problems = _Problems(places, source.files[0][0])
    for name, text in source.files:
        here = Places()
        try:
            sections = read_yaml(name, text, here)
        except PolicyError as error:
            problems.found += error.problems
            continue
        for key, value in sections.items():
            if key in content:
                found = here.of((key,), name)
                problems.found.append(Problem(*found, key, f"stands in {places.of((key,), name)[0]} too"))
            else:
                content[key] = value
        places.merge(here)
    problems.stop()  # what is half read cannot be judged
    return _build(content, problems, types, source, environment)


class _Problems:
    """Collects faults by the path of their key, and knows where each key stands."""

    def __init__(self, places: Places, file: str) -> None:
        self.found: list[Problem] = []
        self._places = places
        self._file = file

    def add(self, path: KeyPath, message: str, offset: int | None = None, *, warning: bool = False) -> None:
        """``offset`` counts characters into the text that stands at the path."""
        place = self._places.of(path, self._file)
        if offset is not None:
            inside = self._places.within(path, offset)
            place = inside or place
            message += "" if inside else f" (at character {offset + 1} of it)"
        self.found.append(Problem(*place, written_path(path), message, "warning" if warning else "error"))

    def told(self, path: KeyPath, words: str) -> bool:
        """Whether that has been said of this key already."""
        return any(problem.path == written_path(path) and words in problem.message for problem in self.found)

    def stop(self) -> None:
        if any(problem.severity == "error" for problem in self.found):
            raise PolicyError(self.found)


def _build(
    content: dict[str, Any],
    problems: _Problems,
    types: DestinationTypes,
    source: PolicySource,
    environment: Mapping[str, str] | None,
) -> Policy:
    for path, what in _unbuilt(content):
        problems.add(path, f"{what}: not built yet, so this key is refused rather than ignored")
    file = _validate(PolicyFile, content, (), problems)
    destinations: dict[str, DestinationConfig] = {}
    stated = content.get("destinations")
    for name, entry in cast("dict[str, Any]", stated).items() if isinstance(stated, dict) else ():
        destination = _destination(str(name), entry, problems, types, environment)
        if destination:
            destinations[str(name)] = destination
    for path, what in written_secrets(content):
        if not problems.told(path, "a secret is named"):
            problems.add(
                path, f"this looks like {what}: a secret is named, never written: use {{env: NAME}} or {{file: PATH}}"
            )
    if file is None:
        for path, fault in salvaged(content):
            inside = fault.offset if path[-1] in {"when", "regulated"} else None
            problems.add(path, fault.message, inside, warning=not fault.certain)
        problems.stop()
        raise AssertionError("a file that does not validate has problems")
    policy = compile_policy(file, destinations, source, problems.add)
    problems.stop()
    return policy.warned(in_order(problems.found))


def _destination(
    name: str,
    entry: Any,
    problems: _Problems,
    types: DestinationTypes,
    environment: Mapping[str, str] | None,
) -> DestinationConfig | None:
    path: KeyPath = ("destinations", name)
    kind = cast("dict[str, Any]", entry).get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str):
        problems.add(path, f"a destination needs a type, one of {', '.join(sorted(types))}")
        return None
    if kind not in types:
        problems.add((*path, "type"), f"{kind!r} is no type of destination{near(kind, types)}")
        return None
    destination = _validate(types[kind], entry, path, problems)
    if destination:
        try:
            CronSim(destination.schedule, _EPOCH)
            if unfit := re.search(r"[LW#]", re.sub(r"[A-Z]{3}", "", destination.schedule.upper())):
                text = f"{destination.schedule!r}: a schedule of Temporal's knows no {unfit[0]}"
                problems.add((*path, "schedule"), text)
            elif len(destination.schedule.split()) != 5:
                problems.add((*path, "schedule"), f"{destination.schedule!r}: a cron expression has five fields here")
        except CronSimError as error:
            problems.add((*path, "schedule"), f"{destination.schedule!r} is no cron expression: {error}")
        try:
            ZoneInfo(destination.timezone)
        except (KeyError, ValueError, OSError):
            problems.add((*path, "timezone"), f"{destination.timezone!r} is no time zone; say Europe/Berlin, or UTC")
        for key, secret in destination.secrets().items() if environment is not None else ():
            if secret.resolve(environment or {}) is None:
                what = "is not set" if secret.env else "cannot be read, or is empty"
                problems.add((*path, *key.split(".")), f"{secret.name} {what} here", warning=True)
    return destination


def _validate(model: type[_M], value: Any, at: KeyPath, problems: _Problems) -> _M | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            problems.add((*at, *_plain(fault["loc"])), said(fault, model))
        return None


def _plain(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Without what Pydantic adds for itself: which member of a union it tried, and that it looked at a key."""
    return tuple(part for part in place if not (isinstance(part, str) and re.search(r"[\[(]", part)))


def _unbuilt(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Keys of the contract that are not built yet, and what they are for."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            here = (*path, str(key))
            what = next((text for pattern, text in NOT_BUILT.items() if _matches(pattern, here)), None)
            if what:
                yield here, what
            elif len(here) < 3:
                yield from _unbuilt(item, here)
    elif isinstance(value, list) and len(path) < 3:
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _unbuilt(item, (*path, index))


def _matches(pattern: str, path: KeyPath) -> bool:
    written = ".".join("[]" if isinstance(part, int) else part for part in path).replace(".[]", "[]")
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[^.]+"), written) is not None
