"""Running a policy's tests: what differs, what no test covers, and JUnit XML for a CI system."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from junitparser import Failure, JUnitXml, TestCase, TestSuite
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from policy import Decision, Policy, format_duration
from policy.misses import near_misses
from worker.review.cases import Expected, Names, StepExpected, Test
from worker.review.happens import deciding
from workflows.rehearsal import Rehearsed, Sent, pages, rehearse


@dataclass(frozen=True)
class Difference:
    """What was expected of one key, and what there is."""

    key: str
    expected: str
    got: str
    hint: str = ""


@dataclass(frozen=True)
class Verdict:
    test: Test
    differences: tuple[Difference, ...]
    rules: frozenset[str]
    """The rules that decided in it."""
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.differences


@dataclass
class Trial:
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    covered: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    """The rules by which no test was decided, in the policy's order."""

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.passed]


def run(tests: Iterable[Test], policy: Policy) -> Trial:
    """Run every test."""
    verdicts = [_run_one(test, policy) for test in tests]
    decided = frozenset(rule for verdict in verdicts for rule in verdict.rules)
    rules = [*(rule.name for rule in policy.rules), "otherwise"]
    return Trial(
        verdicts,
        tuple(rule for rule in rules if rule in decided),
        tuple(rule for rule in rules if rule not in decided),
    )


def _run_one(test: Test, policy: Policy) -> Verdict:
    began = perf_counter()
    incidents = rehearse(test.events, deciding(policy), test.case.began, test.watched)
    rules = frozenset(decision.rule for one in incidents for decision in one.decisions)
    differences = tuple(_differences(test, incidents, policy))
    return Verdict(test, differences, rules, perf_counter() - began)


def _differences(test: Test, incidents: Sequence[Rehearsed], policy: Policy) -> Iterator[Difference]:
    expected = test.case.expect
    if expected.incidents is not None and expected.incidents != len(incidents):
        yield Difference("incidents", str(expected.incidents), str(len(incidents)))
    if not incidents:
        if expected.model_fields_set - {"incidents"}:
            yield Difference("incidents", "one", "none: nothing in this test burns")
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


def _got(one: Rehearsed, decision: Decision) -> dict[str, Any]:
    told = pages(one.sent)
    return {
        "rule": decision.rule,
        "tier": one.state.tier,
        "priority": decision.priority,
        "tags": decision.tags,
        "notify": tuple(sent.target.name for sent in told if sent.after == told[0].after),
        "ticket": tuple(
            sent.target.name for sent in one.sent if sent.verb == "notify" and sent.target.kind == "ticket"
        ),
        "digest": tuple(sent.target.name for sent in one.sent if sent.digest),
        "hold": decision.hold,
        "respond_within": one.decisions[-1].respond_within,
        "regulated": decision.regulated,
        "closed_by": decision.closed_by or "anyone",
        "state": one.state.state,
    }


def _hint(test: Test, policy: Policy, wanted: str) -> str:
    """Why the rule that was expected did not decide."""
    alert = next((event.what for event in test.events), None)
    if alert is None or not hasattr(alert, "monitor"):
        return ""
    now = test.case.began
    miss = next((one for one in near_misses(policy, cast("Any", alert), now, most=100) if one.rule == wanted), None)
    if miss:
        return str(miss)
    decision = policy.decide(cast("Any", alert), now)
    told = next((verdict.why for verdict in decision.trace if verdict.rule == wanted and not verdict.matched), "")
    return f"{wanted} did not match: {told}" if told else f"{decision.rule} comes first: {decision.why}"


def _step_differences(expected: tuple[StepExpected, ...], told: Sequence[Sent]) -> Iterator[Difference]:
    there: dict[float, tuple[set[str], set[str]]] = {}
    for sent in told:
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
    if key in {"hold", "respond_within"}:
        return "none" if value is None else format_duration(value)
    return str(value) if value not in (None, "") else "none"


def write_junit(trial: Trial, path: Path, policy: Policy) -> None:
    """JUnit XML, as CI systems read it."""
    suite = TestSuite(f"policy {policy.digest}")
    for verdict in trial.verdicts:
        case = TestCase(verdict.test.case.name, Path(verdict.test.file).stem, verdict.seconds)
        if not verdict.passed:
            lines = [_line(one) for one in verdict.differences]
            failure = Failure(lines[0], "difference")
            failure.text = "\n".join(lines)
            case.result = [failure]
        suite.add_testcase(case)
    whole = JUnitXml()
    whole.add_testsuite(suite)
    whole.write(str(path), pretty=True)  # pyright: ignore[reportUnknownMemberType]  # the library's own


def _line(one: Difference) -> str:
    return f"{one.key}: expected {one.expected}, got {one.got}" + (f" ({one.hint})" if one.hint else "")


def print_trial(console: Console, trial: Trial) -> None:
    """As a test runner prints it: a line a test, and what differs in those that fail."""
    for file, verdicts in groupby(trial.verdicts, key=lambda verdict: verdict.test.file):
        console.print(Text(file, style="bold"))
        for verdict in verdicts:
            mark = Text("  ✓ ", style="green") if verdict.passed else Text("  ✗ ", style="bold red")
            console.print(mark + Text(verdict.test.case.name, style="" if verdict.passed else "bold"))
            if not verdict.passed:
                console.print(_failure(verdict))
    if trial.uncovered:
        console.print(Text(f"\nNo test is decided by: {', '.join(trial.uncovered)}", style="yellow"))
    passed, failed = len(trial.verdicts) - len(trial.failed), len(trial.failed)
    rules = f"{len(trial.covered)} of {len(trial.covered) + len(trial.uncovered)} rules covered"
    told = f"{failed} failed, {passed} passed" if failed else f"{passed} passed"
    console.print(Text(f"\n{told}; {rules}", style="bold red" if failed else "bold green"))


def _failure(verdict: Verdict) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for column in (f"line {verdict.test.line}", "expected", "got"):
        table.add_column(column, overflow="fold")
    hints: list[RenderableType] = []
    for one in verdict.differences:
        table.add_row(one.key, Text(one.expected, style="green"), Text(one.got, style="red"))
        if one.hint:
            hints.append(Text(one.hint, style="yellow"))
    return Padding(Group(table, *hints), (0, 0, 1, 6))
