"""Unit tests of a policy, as YAML: given an alert, or several with times, what is to happen.

A file holds ``tests``; each has a name, the alert, what comes ``then``, and what to ``expect``. Shapes are strict, and
names of rules and destinations must exist: a test with a typing error must not pass.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerts import FIELD_OF, Alert, AlertError, BodyError, normalise, read_body
from policy import Policy, PolicyError, Problem, Tier
from policy.durations import Duration
from policy.errors import in_order
from policy.faults import said
from policy.near import near
from policy.yaml_file import KeyPath, Places, read_yaml, written_path
from workflows.messages import Answer, Role, State
from workflows.rehearsal import Event

Names = tuple[str, ...]
BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""A Monday morning: when a test begins that does not say when."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepExpected(_Strict):
    at: Duration = Field(description="Since the first alert.")
    notify: Names = Field(default=(), description="Who is paged or posted to then, all of them, in any order.")
    remind: Names = ()


class Expected(_Strict):
    """Only what is stated is compared."""

    rule: str | None = Field(default=None, description="The rule that decided; otherwise where none matched.")
    tier: Tier | None = Field(default=None, description="The incident's tier in the end.")
    priority: str | None = None
    tags: Names | None = None
    notify: Names | None = Field(default=None, description="Who is told first.")
    steps: tuple[StepExpected, ...] | None = Field(
        default=None, description="Everybody who is paged or posted to, and when; all of it, and nothing else."
    )
    ticket: Names | None = Field(default=None, description="Where tickets are opened.")
    digest: Names | None = Field(default=None, description="In which digests it stands.")
    hold: Duration | None = None
    respond_within: Duration | None = None
    regulated: bool | None = None
    closed_by: Literal["anyone", "responder", "compliance", "admin"] | None = Field(
        default=None, description="Who may close it; anyone includes the machine."
    )
    state: State | None = Field(default=None, description="The incident's state in the end.")
    incidents: int | None = Field(default=None, ge=0, description="How many incidents were opened.")


class Next(_Strict):
    at: Duration = Field(description="Since the first alert.")
    alert: dict[str, Any] | None = Field(default=None, description="What differs from the test's alert.")
    acknowledge: str = Field(default="", description="By whom.")
    resolve: str = Field(default="", description="By whom; with which role, says role.")
    role: Role = "responder"


class Case(_Strict):
    name: str = Field(min_length=1, max_length=200)
    alert: dict[str, Any] | str = Field(description="As it is sent to Tocsin, or the path of a JSON file with it.")
    then: tuple[Next, ...] = ()
    began: datetime = BEGAN
    until: Duration = Field(default=24 * 3600.0, description="How long it is watched.")
    expect: Expected


class CaseFile(_Strict):
    tests: tuple[Case, ...]


@dataclass(frozen=True)
class Test:
    """A case that can be run, and where it stands."""

    __test__ = False

    case: Case
    events: tuple[Event, ...]
    file: str
    line: int

    @property
    def watched(self) -> timedelta:
        return timedelta(seconds=self.case.until)


def test_files(paths: Iterable[Path]) -> list[Path]:
    """The files, and those of the folders."""
    found: list[Path] = []
    for path in paths:
        found += sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    return found


def read_tests(files: Iterable[Path], policy: Policy) -> list[Test]:
    """Read every test. Raises PolicyError with all that is wrong with them."""
    problems: list[Problem] = []
    tests: list[Test] = []
    for file in files:
        tests += _Reader(file, policy, problems).tests()
    if problems:
        raise PolicyError(in_order(problems))
    return tests


class _Reader:
    def __init__(self, file: Path, policy: Policy, problems: list[Problem]) -> None:
        self._file = file
        self._policy = policy
        self._problems = problems
        self._places = Places()

    def tests(self) -> Iterator[Test]:
        try:
            content = read_yaml(str(self._file), self._file.read_bytes(), self._places)
            parsed = CaseFile.model_validate(content)
        except OSError as error:
            self._problems.append(Problem(str(self._file), 1, 1, "", f"cannot be read: {error.strerror}"))
            return
        except PolicyError as error:
            self._problems += error.problems
            return
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                place = tuple(part for part in fault["loc"] if part not in {"str", "dict[str,any]"})
                self._add(place, said(fault, CaseFile))
            return
        for index, case in enumerate(parsed.tests):
            path: KeyPath = ("tests", index)
            self._check_names(case.expect, (*path, "expect"))
            events = self._events(case, path)
            _, line, _ = self._places.of(path, str(self._file))
            yield Test(case, tuple(events), str(self._file), line)

    def _add(self, path: KeyPath, message: str) -> None:
        place = self._places.of(path, str(self._file))
        self._problems.append(Problem(*place, written_path(path), message))

    def _events(self, case: Case, path: KeyPath) -> Iterator[Event]:
        body = self._body(case.alert, (*path, "alert"))
        if body is None:
            return
        first = self._alert(body, (*path, "alert"))
        if first is None:
            return
        yield Event(timedelta(0), first)
        for index, step in enumerate(case.then):
            here = (*path, "then", index)
            after = timedelta(seconds=step.at)
            stated = [step.alert is not None, bool(step.acknowledge), bool(step.resolve)]
            if sum(stated) != 1:
                self._add(here, "says one of alert, acknowledge and resolve")
                continue
            if step.alert is not None:
                self._check_keys(step.alert, (*here, "alert"))
                alert = self._alert(_changed(body, step.alert), (*here, "alert"))
                if alert is not None:
                    yield Event(after, alert)
            elif step.acknowledge:
                yield Event(after, Answer(act="acknowledge", by=step.acknowledge, role=step.role))
            else:
                yield Event(after, Answer(act="resolve", by=step.resolve, role=step.role))

    def _body(self, alert: dict[str, Any] | str, path: KeyPath) -> Mapping[str, Any] | None:
        if isinstance(alert, dict):
            self._check_keys(alert, path)
            return alert
        try:
            return read_body((self._file.parent / alert).read_bytes())
        except OSError as error:
            self._add(path, f"{alert} cannot be read: {error.strerror}")
        except BodyError as error:
            self._add(path, f"{alert}: {error}")
        return None

    def _check_keys(self, alert: Mapping[str, Any], path: KeyPath) -> None:
        for key in alert:
            if key not in FIELD_OF:
                self._add((*path, key), f"is no field of an alert that is read{near(key, FIELD_OF)}")

    def _alert(self, body: Mapping[str, Any], path: KeyPath) -> Alert | None:
        """Read as the gateway reads it; YAML's own types, such as dates, as the texts that JSON has."""
        try:
            return normalise(read_body(json.dumps(body, default=_as_text).encode()))
        except (AlertError, BodyError) as error:
            self._add(path, str(error))
            return None

    def _check_names(self, expected: Expected, path: KeyPath) -> None:
        rules = [*(rule.name for rule in self._policy.rules), "otherwise"]
        if expected.rule is not None and expected.rule not in rules:
            self._add((*path, "rule"), f"{expected.rule!r} is no rule of the policy{near(expected.rule, rules)}")
        named: list[tuple[KeyPath, Names]] = [
            ((*path, key), getattr(expected, key) or ()) for key in ("notify", "ticket", "digest")
        ]
        for index, step in enumerate(expected.steps or ()):
            named += [((*path, "steps", index, key), getattr(step, key)) for key in ("notify", "remind")]
        for place, names in named:
            for name in names:
                if name not in self._policy.destinations:
                    self._add(place, f"{name!r} is no destination{near(name, self._policy.destinations)}")


def _changed(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The body with other values, whatever name the field had before."""
    fields = {FIELD_OF.get(key) for key in changes} - {""}
    return {**{key: value for key, value in body.items() if FIELD_OF.get(key) not in fields}, **changes}


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
