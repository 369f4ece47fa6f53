"""From files to a Policy, or to every problem in them with its file, line and column."""

import difflib
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ValidationError

from policy.compile import compile_policy
from policy.decide import Policy
from policy.destinations import DestinationConfig
from policy.errors import PolicyError, Problem
from policy.schema import NOT_BUILT, TYPES_NOT_BUILT, PolicyFile
from policy.yaml_file import KeyPath, Place, read_yaml

DestinationTypes = Mapping[str, type[DestinationConfig]]
_M = TypeVar("_M", bound=BaseModel)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def load_policy(path: Path, types: DestinationTypes) -> Policy:
    """Read a policy file, or a folder of ``*.yaml`` files that together hold the sections.

    ``types`` are the destination types that may be used, by their names.
    Raises PolicyError with all problems found.
    """
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        raise PolicyError([Problem(str(path), 1, 1, "", "the folder holds no *.yaml file")])
    content: dict[str, Any] = {}
    places: dict[KeyPath, Place] = {}
    digest = hashlib.sha256()
    for file in files:
        try:
            source = file.read_bytes()
        except OSError as error:
            raise PolicyError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
        digest.update(source)
        sections, marks = read_yaml(file.name, source)
        for key, value in sections.items():
            if key in content:
                raise PolicyError([Problem(*marks[(key,)], key, f"stands in {places[(key,)][0]} too")])
            content[key] = value
        places = {**marks, **places}
    problems = _Problems(places, files[0].name)
    return _build(content, problems, types, digest.hexdigest()[:12])


class _Problems:
    """Collects faults by the path of their key, and knows where each key stands."""

    def __init__(self, places: dict[KeyPath, Place], file: str) -> None:
        self.found: list[Problem] = []
        self._places = places
        self._file = file

    def add(self, path: KeyPath, message: str) -> None:
        known = path
        while known and known not in self._places:
            known = known[:-1]
        file, line, column = self._places.get(known, (self._file, 1, 1))
        self.found.append(Problem(file, line, column, _written(path), message))

    def stop(self) -> None:
        if self.found:
            raise PolicyError(self.found)


def _build(content: dict[str, Any], problems: _Problems, types: DestinationTypes, digest: str) -> Policy:
    content = _without_unbuilt(content, problems)
    file = _validate(PolicyFile, content, (), problems)
    destinations: dict[str, DestinationConfig] = {}
    stated = content.get("destinations")
    for name, entry in cast("dict[str, Any]", stated).items() if isinstance(stated, dict) else ():
        destination = _destination(name, entry, problems, types)
        if destination:
            destinations[name] = destination
    if file is None:
        problems.stop()
        raise AssertionError("a file that does not validate has problems")
    policy = compile_policy(file, destinations, digest, problems.add)
    problems.stop()
    return policy


def _destination(name: str, entry: Any, problems: _Problems, types: DestinationTypes) -> DestinationConfig | None:
    path: KeyPath = ("destinations", name)
    kind = cast("dict[str, Any]", entry).get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str):
        problems.add(path, f"a destination needs a type, one of {', '.join(sorted(types))}")
        return None
    if kind not in types and kind in TYPES_NOT_BUILT:
        problems.add((*path, "type"), f"{kind}: not built yet; there are {', '.join(sorted(types))}")
        return None
    if kind not in types:
        problems.add((*path, "type"), f"{kind!r} is no type of destination{near(kind, tuple(types))}")
        return None
    destination = _validate(types[kind], entry, path, problems)
    if destination:
        try:
            CronSim(destination.schedule, _EPOCH)
        except CronSimError as error:
            problems.add((*path, "schedule"), f"{destination.schedule!r} is no cron expression: {error}")
        try:
            ZoneInfo(destination.timezone)
        except (KeyError, ValueError, OSError):
            problems.add((*path, "timezone"), f"{destination.timezone!r} is no time zone; say Europe/Berlin, or UTC")
    return destination


def _validate(model: type[_M], value: Any, at: KeyPath, problems: _Problems) -> _M | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            path: KeyPath = (*at, *fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            if fault["type"] == "extra_forbidden":
                known = tuple(_fields_at(model, fault["loc"][:-1]))
                message = f"unknown key{near(str(fault['loc'][-1]), known)}"
            elif fault["type"] == "missing":
                message = "is missing"
            problems.add(path, message)
        return None


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand at a path, found by following the model's annotations."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = field.annotation if field else None
        else:
            current = next((arg for arg in get_args(current) if arg not in (str, type(None), ...)), None)
        if get_origin(current) in (Union, UnionType):
            current = next((arg for arg in get_args(current) if arg is not type(None)), None)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def near(name: str, known: tuple[str, ...]) -> str:
    """``: did you mean steps?``, or what is allowed."""
    close = difflib.get_close_matches(name, known, 1, 0.55)
    if close:
        return f": did you mean {close[0]}?"
    return f"; allowed are {', '.join(sorted(known))}" if known else ""


def _without_unbuilt(content: dict[str, Any], problems: _Problems) -> dict[str, Any]:
    """Report keys of the contract that are not built yet, and take them out so that the rest is checked."""

    def walk(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            kept: dict[str, Any] = {}
            for key, item in cast("dict[str, Any]", value).items():
                here = (*path, key)
                what = next((text for pattern, text in NOT_BUILT.items() if _matches(pattern, here)), None)
                if what:
                    problems.add(here, f"{what}: not built yet, so this key is refused rather than ignored")
                else:
                    kept[key] = walk(item, here)
            return kept
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(cast("list[Any]", value))]
        return value

    return cast("dict[str, Any]", walk(content, ()))


def _matches(pattern: str, path: KeyPath) -> bool:
    written = ".".join("[]" if isinstance(part, int) else str(part) for part in path).replace(".[]", "[]")
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[^.]+"), written) is not None


def _written(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
