"""Runs the tests of a policy: reports differences and uncovered rules, and writes JUnit XML."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from junitparser import Failure, JUnitXml, TestCase, TestSuite
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alerts import Alert
from incident.suppression import Suppression, silenced
from incident.text import counted
from policy import Decision, Policy, format_duration, short_digest
from policy.authoring.near_misses import near_misses
from policy.rewrite import fields_of
from simulation.preview import decide_by
from simulation.simulator import Event, Recheck, SentNotification, SimulatedIncident, pages, simulate
from simulation.test_cases import DECIDED_KEYS, Expected, Names, StepExpected, Test


@dataclass(frozen=True)
class Difference:
    """The expected and the actual value of one key."""

    key: str
    expected: str
    got: str
    hint: str = ""


@dataclass(frozen=True)
class TestResult:
    """The result of one test."""

    __test__ = False

    test: Test
    differences: tuple[Difference, ...]
    rules: frozenset[str]
    """The rules that decided about the test's alerts."""
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.differences


@dataclass
class TestRun:
    """The results of all tests, and the rules that they cover."""

    __test__ = False

    results: list[TestResult] = field(default_factory=list[TestResult])
    covered: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    """The rules that decided in no test, in the order of the policy."""

    @property
    def failed(self) -> list[TestResult]:
        return [result for result in self.results if not result.passed]


def run(tests: Iterable[Test], policy: Policy) -> TestRun:
    """Run every test."""
    results = [_run_one(test, policy) for test in tests]
    decided = frozenset(rule for result in results for rule in result.rules)
    rules = [*(rule.name for rule in policy.rules), "unmapped", "otherwise"]
    return TestRun(
        results,
        tuple(rule for rule in rules if rule in decided),
        tuple(rule for rule in rules if rule not in decided),
    )


def _run_one(test: Test, policy: Policy) -> TestResult:
    start = perf_counter()
    events = [_interpreted(event, policy) for event in test.events]
    silences = test.silences
    events = [*(Event(one.starts_at - test.case.start, Recheck()) for one in silences), *events]

    def silence_of(alert: Alert, now: datetime) -> Suppression | None:
        return silenced(policy, alert, now, silences)

    incidents = simulate(events, decide_by(policy), test.case.start, test.duration, policy.incident_of, silence_of)
    rules = frozenset(decision.rule for one in incidents for decision in one.decisions)
    differences = tuple(_differences(test, incidents, policy))
    return TestResult(test, differences, rules, perf_counter() - start)


def _interpreted(event: Event, policy: Policy) -> Event:
    return replace(event, payload=policy.interpret(event.payload)) if isinstance(event.payload, Alert) else event


def _differences(test: Test, incidents: Sequence[SimulatedIncident], policy: Policy) -> Iterator[Difference]:
    expected = test.case.expect
    if expected.incidents is not None and expected.incidents != len(incidents):
        yield Difference("incidents", str(expected.incidents), str(len(incidents)))
    if not incidents:
        if expected.model_fields_set - {"incidents"}:
            yield Difference("incidents", "one", "none: no alert of this test is triggered")
        return
    one = incidents[0]
    decision = one.state.decision
    assert decision is not None
    got = _got(one, decision)
    for key in Expected.model_fields:
        wanted = getattr(expected, key)
        if wanted is None or key in {"steps", "incidents"}:
            continue
        there = got[key]
        if sorted(cast("Names", wanted)) != sorted(there) if isinstance(wanted, tuple) else wanted != there:
            hint = _hint(test, policy, cast("str", wanted)) if key == "rule" else ""
            yield Difference(key, _shown(key, wanted), _shown(key, there), hint)
    if expected.steps is not None:
        yield from _step_differences(expected.steps, pages(one.sent))


def _got(one: SimulatedIncident, decision: Decision) -> dict[str, Any]:
    notified = pages(one.sent)
    # An acknowledgement timeout changes the incident's decision: a rule's keys are those of the policy's decision.
    decided = next(each for each in reversed(one.decisions) if each.rule == decision.rule)
    return {
        **{key: getattr(decided, key) for key in DECIDED_KEYS},
        "rule": decision.rule,
        "tier": one.state.tier,
        "notify": tuple(sent.target.name for sent in notified if sent.after == notified[0].after),
        "ticket": tuple(
            sent.target.name for sent in one.sent if sent.verb == "notify" and sent.target.kind == "ticket"
        ),
        "digest": tuple(sent.target.name for sent in one.sent if sent.digest),
        "regulated": decision.regulated,
        "closed_by": decision.closed_by or "anyone",
        "state": one.state.state,
    }


def _hint(test: Test, policy: Policy, wanted: str) -> str:
    """Why the expected rule did not decide."""
    alert = next((event.payload for event in test.events), None)
    if alert is None or not hasattr(alert, "monitor"):
        return ""
    now = test.case.start
    miss = next((one for one in near_misses(policy, cast("Any", alert), now, most=100) if one.rule == wanted), None)
    if miss:
        return str(miss)
    decision = policy.decide(cast("Any", alert), now)
    reason = next((result.reason for result in decision.trace if result.rule == wanted and not result.matched), "")
    return f"{wanted} did not match: {reason}" if reason else f"{decision.rule} comes first: {decision.reason}"


def _step_differences(
    expected: tuple[StepExpected, ...], notified_at: Sequence[SentNotification]
) -> Iterator[Difference]:
    there: dict[float, tuple[set[str], set[str]]] = {}
    for sent in notified_at:
        notified, reminded = there.setdefault(sent.after.total_seconds(), (set(), set()))
        (reminded if sent.verb == "remind" else notified).add(sent.target.name)
    wanted = {step.at: (set(step.notify), set(step.remind)) for step in expected}
    for at in sorted({*there, *wanted}):
        if wanted.get(at) != there.get(at):
            yield Difference(f"steps at {format_duration(at)}", _step(wanted.get(at)), _step(there.get(at)))


def _step(step: tuple[set[str], set[str]] | None) -> str:
    if not step or not any(step):
        return "nobody"
    notified, reminded = (", ".join(sorted(names)) for names in step)
    return " and ".join(part for part in (notified, reminded and f"a reminder to {reminded}") if part)


def _shown(key: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(cast("tuple[str, ...]", value)) or "nobody" * (key == "notify") or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if value in (None, ""):
        return "none"
    return format_duration(value) if fields_of(Expected)[key] else str(value)


def write_junit(test_run: TestRun, path: Path, policy: Policy) -> None:
    """Write JUnit XML for a CI system."""
    suite = TestSuite(f"policy {short_digest(policy.digest)}")
    for result in test_run.results:
        case = TestCase(result.test.case.name, Path(result.test.file).stem, result.seconds)
        if not result.passed:
            lines = [_line(one) for one in result.differences]
            failure = Failure(lines[0], "difference")
            failure.text = "\n".join(lines)
            case.result = [failure]
        suite.add_testcase(case)
    report = JUnitXml()
    report.add_testsuite(suite)
    report.write(str(path), pretty=True)  # pyright: ignore[reportUnknownMemberType]  # the library is untyped


def _line(one: Difference) -> str:
    return f"{one.key}: expected {one.expected}, got {one.got}" + (f" ({one.hint})" if one.hint else "")


def results_screen(test_run: TestRun) -> RenderableType:
    """One line for each test, and the differences of those that failed."""
    lines: list[RenderableType] = []
    for file, results in groupby(test_run.results, key=lambda result: result.test.file):
        lines.append(Text(file, style="bold"))
        for result in results:
            mark = Text("  ✓ ", style="green") if result.passed else Text("  ✗ ", style="bold red")
            lines.append(mark + Text(result.test.case.name, style="" if result.passed else "bold"))
            if not result.passed:
                lines.append(_failure(result))
    if test_run.uncovered:
        lines.append(Text(f"\nRules without a test: {', '.join(test_run.uncovered)}", style="yellow"))
    passed, failed = len(test_run.results) - len(test_run.failed), len(test_run.failed)
    rules = f"{len(test_run.covered)} of {counted(len(test_run.covered) + len(test_run.uncovered), 'rule')} covered"
    counts = f"{failed} failed, {passed} passed" if failed else f"{passed} passed"
    lines.append(Text(f"\n{counts}; {rules}", style="bold red" if failed else "bold green"))
    return Group(*lines)


def _failure(result: TestResult) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for column in (f"line {result.test.line}", "expected", "got"):
        table.add_column(column, overflow="fold")
    hints: list[RenderableType] = []
    for one in result.differences:
        table.add_row(one.key, Text(one.expected, style="green"), Text(one.got, style="red"))
        if one.hint:
            hints.append(Text(one.hint, style="yellow"))
    return Padding(Group(table, *hints), (0, 0, 1, 6))
