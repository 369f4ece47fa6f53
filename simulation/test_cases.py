"""Reads the unit tests of a policy: YAML files with alerts, responder actions and expected results.

Keys are strict, and the names of rules and destinations must exist, so that a misspelt test cannot pass.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from alerts import (
    FIELD_OF,
    Alert,
    AlertError,
    BodyError,
    Shape,
    normalise,
    read_body,
    read_json,
    shape_of_fault,
    shape_of_json,
    unreadable_alert,
)
from incident.events import ResponderAction, Role
from incident.state import State
from incident.suppression import Silence
from policy import Decision, Policy, PolicyError, Problem, Tier, read_payload
from policy.authoring.error_messages import humanize
from policy.authoring.errors import sort_problems
from policy.authoring.suggestions import did_you_mean
from policy.cel.conditions import ConditionError
from policy.durations import Duration
from policy.schema import OutcomeConfig
from policy.yaml_file import KeyPath, Places, format_path, read_yaml
from simulation.simulator import Event

Names = tuple[str, ...]
DEFAULT_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""The start of a test that sets none: a Monday morning."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepExpected(_Strict):
    at: Duration = Field(description="The time since the first alert.")
    notify: Names = Field(default=(), description="All destinations that are notified then, in any order.")
    remind: Names = ()


class SimulatedOutcome(_Strict):
    """The results of a simulation that a test may state. Only what is stated is compared."""

    rule: str | None = Field(default=None, description="The rule that decided; otherwise if none matched.")
    tier: Tier | None = Field(default=None, description="The incident's tier at the end.")
    notify: Names | None = Field(default=None, description="The destinations that are notified first.")
    steps: tuple[StepExpected, ...] | None = Field(default=None, description="All pages and posts, with their times.")
    ticket: Names | None = Field(default=None, description="The destinations in which tickets are opened.")
    digest: Names | None = Field(default=None, description="The destinations whose digests list the incident.")
    regulated: bool | None = None
    closed_by: Literal["anyone", "responder", "compliance", "admin"] | None = Field(
        default=None, description="The role that may close it; anyone if it may close by itself."
    )
    state: State | None = Field(default=None, description="The incident's state at the end.")
    incidents: int | None = Field(default=None, ge=0, description="The number of incidents that were opened.")


DECIDED_KEYS = tuple(
    name
    for name in OutcomeConfig.model_fields
    if name in Decision.model_fields and name not in SimulatedOutcome.model_fields
)
"""The keys of a rule that its decision stores under the same name, such as ``hold``: a test may state them all."""
_decided: dict[str, Any] = {
    name: (Optional[OutcomeConfig.model_fields[name].annotation], None)  # noqa: UP045  # a value, not an annotation
    for name in DECIDED_KEYS
}


class Expected(create_model("_Decided", __base__=SimulatedOutcome, **_decided)):
    """What a test expects: results of the simulation, and keys of the rule that decided."""


class Next(_Strict):
    at: Duration = Field(description="The time since the first alert.")
    alert: dict[str, Any] | None = Field(default=None, description="The fields that differ from the first alert.")
    payload: Any = Field(default=None, description="A further body, if the test has `payload` in place of `alert`.")
    acknowledge: str = Field(default="", description="The responder's name.")
    resolve: str = Field(default="", description="The responder's name; the role is that of ``role``.")
    role: Role = "responder"


class SilenceStated(_Strict):
    when: str = Field(max_length=4_000, description="The condition that the silence matches.")
    at: Duration = Field(default=0.0, description="When it begins, counted from the first alert.")
    duration: Duration = Field(alias="for", description="How long it lasts.")
    reason: str = "a test"


class Case(_Strict):
    name: str = Field(min_length=1, max_length=200)
    alert: dict[str, Any] | str | None = Field(
        default=None, description="The alert as it is sent to Tocsin, or the path of a JSON file with it."
    )
    payload: Any = Field(
        default=None,
        description="In place of `alert`: a body in any format, or the path of a JSON file with it. It is read by the "
        "policy's mappings, and otherwise as Arize's; one that nothing reads is quarantined (rule `unreadable`).",
    )
    then: tuple[Next, ...] = ()
    silences: tuple[SilenceStated, ...] = Field(default=(), description="What somebody silences meanwhile.")
    start: datetime = DEFAULT_START
    until: Duration = Field(default=24 * 3600.0, description="How long the simulation runs.")
    expect: Expected


class CaseFile(_Strict):
    tests: tuple[Case, ...]


@dataclass(frozen=True)
class Test:
    """A case with its events, and its place in the file."""

    __test__ = False

    case: Case
    events: tuple[Event, ...]
    file: str
    line: int

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.case.until)

    @property
    def silences(self) -> list[Silence]:
        """What somebody silences in it, in the order of the file."""
        found: list[Silence] = []
        for number, one in enumerate(self.case.silences, 1):
            begins = self.case.start + timedelta(seconds=one.at)
            found.append(
                Silence(
                    id=f"s-{number}",
                    matcher=one.when,
                    reason=one.reason,
                    by="a test",
                    created_at=begins,
                    starts_at=begins,
                    ends_at=begins + timedelta(seconds=one.duration),
                )
            )
        return found


def test_files(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the YAML files of the given folders."""
    found: list[Path] = []
    for path in paths:
        found += sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    return found


def read_tests(files: Iterable[Path], policy: Policy) -> list[Test]:
    """Read the tests. Raises PolicyError with all problems of all files."""
    problems: list[Problem] = []
    tests: list[Test] = []
    for file in files:
        tests += _Reader(file, policy, problems).tests()
    if problems:
        raise PolicyError(sort_problems(problems))
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
            for one in error.errors(include_url=False):
                place = tuple(part for part in one["loc"] if part not in {"str", "dict[str,any]"})
                self._add(place, humanize(one, CaseFile))
            return
        for index, case in enumerate(parsed.tests):
            path: KeyPath = ("tests", index)
            self._check_names(case.expect, (*path, "expect"))
            self._check_silences(case, (*path, "silences"))
            events = self._events(case, path)
            _, line, _ = self._places.of(path, str(self._file))
            yield Test(case, tuple(events), str(self._file), line)

    def _add(self, path: KeyPath, message: str) -> None:
        place = self._places.of(path, str(self._file))
        self._problems.append(Problem(*place, format_path(path), message))

    def _check_silences(self, case: Case, path: KeyPath) -> None:
        for index, one in enumerate(case.silences):
            try:
                self._policy.matchers.check(one.when)
            except ConditionError as error:
                for issue in error.issues:
                    self._add((*path, index, "when"), issue.message)

    def _events(self, case: Case, path: KeyPath) -> Iterator[Event]:
        if (case.alert is None) == (case.payload is None):
            self._add(path, "needs either alert or payload")
            return
        body: Mapping[str, Any] | None = None
        if case.alert is None:
            first = self._payload(case.payload, (*path, "payload"), case.start)
        else:
            body = self._body(case.alert, (*path, "alert"))
            first = self._alert(body, (*path, "alert")) if body is not None else None
        if first is None:
            return
        yield Event(timedelta(0), first)
        for index, step in enumerate(case.then):
            here = (*path, "then", index)
            after = timedelta(seconds=step.at)
            more = "payload" if body is None else "alert"
            stated = [getattr(step, more) is not None, bool(step.acknowledge), bool(step.resolve)]
            if sum(stated) != 1 or (step.alert is not None and step.payload is not None):
                self._add(here, f"needs exactly one of {more}, acknowledge and resolve")
                continue
            if step.payload is not None:
                alert = self._payload(step.payload, (*here, "payload"), case.start + after)
                if alert is not None:
                    yield Event(after, alert)
            elif step.alert is not None and body is not None:
                self._check_keys(step.alert, (*here, "alert"))
                alert = self._alert(_changed(body, step.alert), (*here, "alert"))
                if alert is not None:
                    yield Event(after, alert)
            elif step.acknowledge:
                yield Event(after, ResponderAction(type="acknowledge", by=step.acknowledge, role=step.role))
            else:
                yield Event(after, ResponderAction(type="resolve", by=step.resolve, role=step.role))

    def _body(self, alert: dict[str, Any] | str, path: KeyPath) -> Mapping[str, Any] | None:
        if isinstance(alert, dict):
            self._check_keys(alert, path)
            return alert
        content = self._content(alert, path)
        try:
            return read_body(content) if content is not None else None
        except BodyError as error:
            self._add(path, f"{alert}: {error}")
        return None

    def _content(self, file: str, path: KeyPath) -> bytes | None:
        try:
            return (self._file.parent / file).read_bytes()
        except OSError as error:
            self._add(path, f"{file} cannot be read: {error.strerror}")
            return None

    def _payload(self, stated: Any, path: KeyPath, at: datetime) -> Alert | None:
        """What the gateway makes of a body: by the mappings, the built-in reader, or the quarantine."""
        content = (
            self._content(stated, path) if isinstance(stated, str) else json.dumps(stated, default=_as_text).encode()
        )
        if content is None:
            return None
        try:
            payload = read_json(content)
        except BodyError as error:
            return _quarantined(shape_of_fault(error.fault, "application/json"), str(error), at)
        try:
            reading = read_payload(self._policy.mappings, payload)
        except AlertError as error:
            return _quarantined(shape_of_json(payload), str(error), at)
        for failure in reading.failures:
            self._add(path, f"{failure}; the body was read without it")
        return reading.alert

    def _check_keys(self, alert: Mapping[str, Any], path: KeyPath) -> None:
        for key in alert:
            if key not in FIELD_OF:
                self._add((*path, key), f"is not a field of an alert{did_you_mean(key, FIELD_OF)}")

    def _alert(self, body: Mapping[str, Any], path: KeyPath) -> Alert | None:
        """Parse a body as the gateway does. YAML's dates become texts, as in JSON."""
        try:
            return normalise(read_body(json.dumps(body, default=_as_text).encode()))
        except (AlertError, BodyError) as error:
            self._add(path, str(error))
            return None

    def _check_names(self, expected: Expected, path: KeyPath) -> None:
        rules = [*(rule.name for rule in self._policy.rules), "unmapped", "otherwise", "unreadable"]
        if expected.rule is not None and expected.rule not in rules:
            self._add((*path, "rule"), f"the policy has no rule {expected.rule!r}{did_you_mean(expected.rule, rules)}")
        named: list[tuple[KeyPath, Names]] = [
            ((*path, key), getattr(expected, key) or ()) for key in ("notify", "ticket", "digest")
        ]
        for index, step in enumerate(expected.steps or ()):
            named += [((*path, "steps", index, key), getattr(step, key)) for key in ("notify", "remind")]
        for place, names in named:
            for name in names:
                if name not in self._policy.destinations:
                    self._add(place, f"there is no destination {name!r}{did_you_mean(name, self._policy.destinations)}")


def _quarantined(shape: Shape, reason: str, at: datetime) -> Alert:
    return unreadable_alert(shape, quarantine_id="q-test", reason=reason, received_at=at)


def _changed(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The body with changed fields; a field is replaced under all of its names."""
    fields = {FIELD_OF.get(key) for key in changes} - {""}
    return {**{key: value for key, value in body.items() if FIELD_OF.get(key) not in fields}, **changes}


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
