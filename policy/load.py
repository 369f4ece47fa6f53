"""Loads a policy from files, or reports every problem in them with file, line and column."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from policy.authoring.error_messages import humanize
from policy.authoring.errors import PolicyError, Problem, sort_problems
from policy.authoring.partial_validation import validate_parts
from policy.authoring.schedule_faults import cron_faults, timezone_faults
from policy.authoring.secret_checks import find_secrets
from policy.authoring.suggestions import did_you_mean
from policy.authoring.yaml_slips import comment_slip
from policy.compile import compile_policy
from policy.decide import Policy
from policy.destinations import DestinationConfig
from policy.schema import PolicyFile
from policy.secret_sources import file_fault
from policy.source import PolicySource, read_source
from policy.yaml_file import KeyPath, Places, format_path, read_yaml

DestinationTypes = Mapping[str, type[DestinationConfig]]
_M = TypeVar("_M", bound=BaseModel)


def load_policy(path: Path, types: DestinationTypes, environment: Mapping[str, str] | None = None) -> Policy:
    """Load a policy file, or a folder of ``*.yaml`` files that together contain the sections.

    Args:
        path: The file or folder.
        types: The configuration classes of the destination types, by name.
        environment: If given, a secret that is missing in it is a warning.

    Raises:
        PolicyError: With all problems, if one of them is an error.
    """
    return parse_policy(read_source(path), types, environment)


def parse_policy(source: PolicySource, types: DestinationTypes, environment: Mapping[str, str] | None = None) -> Policy:
    """Like ``load_policy``, for files that have been read."""
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
                problems.found.append(Problem(*found, key, f"is already in {places.of((key,), name)[0]}"))
            else:
                content[key] = value
        places.merge(here)
    problems.raise_errors()  # without all files, nothing else can be checked
    return _build(content, problems, types, source, environment)


class _Problems:
    """Collects problems, and finds the place of each by the path of its key."""

    def __init__(self, places: Places, file: str) -> None:
        self.found: list[Problem] = []
        self._places = places
        self._file = file

    def add(self, path: KeyPath, message: str, offset: int | None = None, *, warning: bool = False) -> None:
        """Add a problem. ``offset`` counts characters into the text at the path, from 0."""
        place = self._places.of(path, self._file)
        if offset is not None:
            inside = self._places.within(path, offset)
            place = inside or place
            message += "" if inside else f" (at character {offset + 1} of it)"
        self.found.append(Problem(*place, format_path(path), message, "warning" if warning else "error"))

    def slip(self, path: KeyPath) -> str:
        """What became of a value that is nothing: the rest of its line may be a comment."""
        return comment_slip(self._places.line(path))

    def contains(self, path: KeyPath, words: str) -> bool:
        """Whether a problem of this key contains these words."""
        return any(problem.path == format_path(path) and words in problem.message for problem in self.found)

    def raise_errors(self) -> None:
        """Raise PolicyError if one of the problems is an error."""
        if any(problem.severity == "error" for problem in self.found):
            raise PolicyError(self.found)


def _build(
    content: dict[str, Any],
    problems: _Problems,
    types: DestinationTypes,
    source: PolicySource,
    environment: Mapping[str, str] | None,
) -> Policy:
    file = _validate(PolicyFile, content, (), problems)
    destinations: dict[str, DestinationConfig] = {}
    stated = content.get("destinations")
    for name, entry in cast("dict[str, Any]", stated).items() if isinstance(stated, dict) else ():
        destination = _destination(str(name), entry, problems, types, environment)
        if destination:
            destinations[str(name)] = destination
    for path, kind in find_secrets(content):
        if not problems.contains(path, "a secret is named"):
            problems.add(
                path, f"this looks like {kind}: a secret is named, never written: use {{env: NAME}} or {{file: PATH}}"
            )
    if file is None:
        for path, issue in validate_parts(content):
            is_expression = path[-1] in {"when", "regulated"} or path[:2] == ("intake", "mappings")
            inside = issue.offset if is_expression and issue.offset >= 0 else None
            problems.add(path, issue.message, inside, warning=issue.warning)
        problems.raise_errors()
        raise AssertionError("an invalid file has errors")
    policy = compile_policy(file, destinations, source, problems.add)
    problems.raise_errors()
    return policy.with_warnings(sort_problems(problems.found))


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
        problems.add((*path, "type"), f"there is no destination type {kind!r}{did_you_mean(kind, types)}")
        return None
    destination = _validate(types[kind], entry, path, problems)
    if destination:
        _check_secrets(destination, path, problems, types, environment)
        for message in cron_faults(destination.schedule):
            problems.add((*path, "schedule"), message)
        for message in timezone_faults(destination.timezone):
            problems.add((*path, "timezone"), message)
    return destination


def _check_secrets(
    destination: DestinationConfig,
    path: KeyPath,
    problems: _Problems,
    types: DestinationTypes,
    environment: Mapping[str, str] | None,
) -> None:
    """A secret of Tocsin itself is an error; with an environment, a file elsewhere too, and a missing one a warning."""
    callbacks = {one.callback_variable for one in types.values()} - {""}
    values = {
        key: secret.resolve(environment or {})
        for key, secret in destination.secrets().items()
        if environment is not None and not (secret.file and file_fault(secret.file, environment))
    }
    faults = destination.secret_faults({key: value for key, value in values.items() if value})
    for key, secret in destination.secrets().items():
        place = (*path, *key.split("."))
        if secret.env in callbacks:
            problems.add(
                place, f"{secret.env} authenticates callbacks to Tocsin, and no destination may receive it; use another"
            )
        elif environment is None:
            continue
        elif secret.file and (fault := file_fault(secret.file, environment)):
            problems.add(place, f"{secret.file} {fault}")
        elif key in faults:
            problems.add(place, f"{secret.name} {faults[key]}")
        elif values[key] is None:
            state = "is not set" if secret.env else "cannot be read or is empty"
            problems.add(place, f"{secret.name} {state} here", warning=True)


def _validate(model: type[_M], value: Any, at: KeyPath, problems: _Problems) -> _M | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        for one in errors:
            if one["type"] == "too_short" and any(
                one["loc"] == other["loc"][: len(one["loc"])] for other in errors if other is not one
            ):
                continue  # the list is too short without the items that are invalid
            path = (*at, *_key_path(one["loc"]))
            slip = problems.slip(path) if one["input"] is None else ""
            problems.add(path, slip or humanize(one, model))
        return None


def _key_path(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Without the parts that Pydantic adds: the member of a union, and ``[key]``."""
    return tuple(part for part in place if not (isinstance(part, str) and re.search(r"[\[(]", part)))
