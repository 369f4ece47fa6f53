"""From files to a Policy, or to every problem in them with its file, line and column."""

import difflib
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from policy.compile import compile_policy
from policy.decide import Policy
from policy.destinations import DestinationConfig
from policy.errors import PolicyError, Problem
from policy.schema import NOT_BUILT, TYPES_NOT_BUILT, PolicyFile

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000  # after aliases are written out: a bomb of anchors ends here

DestinationTypes = Mapping[str, type[DestinationConfig]]
Place = tuple[str, int, int]
Path_ = tuple[str | int, ...]
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
    places: dict[Path_, Place] = {}
    digest = hashlib.sha256()
    for file in files:
        try:
            source = file.read_bytes()
        except OSError as error:
            raise PolicyError([Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
        digest.update(source)
        sections, marks = _read_yaml(file.name, source)
        for key, value in sections.items():
            if key in content:
                raise PolicyError([Problem(*marks[(key,)], key, f"stands in {places[(key,)][0]} too")])
            content[key] = value
        places = {**marks, **places}
    problems = _Problems(places, files[0].name)
    return _build(content, problems, types, digest.hexdigest()[:12])


class _Problems:
    """Collects faults by the path of their key, and knows where each key stands."""

    def __init__(self, places: dict[Path_, Place], file: str) -> None:
        self.found: list[Problem] = []
        self._places = places
        self._file = file

    def add(self, path: Path_, message: str) -> None:
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


def _destination(
    name: str, entry: Any, problems: _Problems, types: DestinationTypes
) -> DestinationConfig | None:
    path: Path_ = ("destinations", name)
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
            problems.add(
                (*path, "timezone"), f"{destination.timezone!r} is no time zone; say Europe/Berlin, or UTC"
            )
    return destination


def _validate(model: type[_M], value: Any, at: Path_, problems: _Problems) -> _M | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            path: Path_ = (*at, *fault["loc"])
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

    def walk(value: Any, path: Path_) -> Any:
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


def _matches(pattern: str, path: Path_) -> bool:
    written = ".".join("[]" if isinstance(part, int) else str(part) for part in path).replace(".[]", "[]")
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[^.]+"), written) is not None


def _written(path: Path_) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _read_yaml(name: str, source: bytes) -> tuple[dict[str, Any], dict[Path_, Place]]:
    def refuse(message: str, line: int = 0, column: int = 0) -> PolicyError:
        return PolicyError([Problem(name, line + 1, column + 1, "", message)])

    if len(source) > MAX_BYTES:
        raise refuse(f"the file has {len(source):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse(f"the file is not UTF-8: {error.reason}", source[: error.start].count(b"\n")) from None
    reader = YAML(typ="safe", pure=True)
    try:
        root = cast("Node | None", reader.compose(io.StringIO(text)))  # pyright: ignore[reportUnknownMemberType]
        if root is None:
            raise refuse("the file is empty")
        if _size(root, {}, ()) > MAX_NODES:
            raise refuse(f"anchors and aliases blow it up to over {MAX_NODES:,} values")
        content: Any = reader.load(io.StringIO(text))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise refuse(
            f"not YAML: {_one_line(error.problem or error.context or 'unreadable')}", line, column
        ) from None
    except RecursionError:
        raise refuse("the file is nested too deeply, or an anchor contains itself") from None
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise refuse(f"not YAML: {_one_line(str(error))}") from None
    if not isinstance(content, dict):
        raise refuse("a policy is a map of sections: version, destinations, tiers, models, rules, …")
    sections = {str(key): value for key, value in cast("dict[Any, Any]", content).items()}
    return sections, dict(_marks(name, root, ()))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _size(node: Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    if id(node) in above:
        raise RecursionError
    if id(node) not in known:
        children: list[Node] = []
        if isinstance(node, MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            children = list(node.value)
        known[id(node)] = 1 + sum(_size(child, known, (*above, id(node))) for child in children)
    return known[id(node)]


def _marks(file: str, node: Node, path: Path_) -> Iterator[tuple[Path_, Place]]:
    yield path, (file, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield from _marks(file, value, here)
            yield here, (file, key.start_mark.line + 1, key.start_mark.column + 1)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _marks(file, item, (*path, index))
