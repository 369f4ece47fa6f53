"""How much of a policy is live: rollout phases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy.cel.conditions import Condition, Facts
from policy.decision import PHASES, Decision, OnAckTimeout, Phase, Step, Target, Verdict
from policy.rollout_schema import RolloutConfig

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class PhaseException:
    """The phase of some alerts. Without a condition the policy is invalid."""

    condition: Condition | None
    phase: Phase
    source: str


@dataclass(frozen=True)
class Rollout:
    """Which phase an alert is in, and what that leaves of a decision."""

    phase: Phase = "page"
    exceptions: tuple[PhaseException, ...] = ()
    posts: tuple[Target, ...] = ()
    """Who receives in phase ``warn`` what only pages: the posts of the tier high."""

    @property
    def conditions(self) -> list[Condition | None]:
        return [one.condition for one in self.exceptions]

    def verdict(self, facts: Facts) -> tuple[Phase, str]:
        """The phase, and the exception that decides; the first that matches does.

        An exception that cannot be evaluated may match: the louder phase counts.
        """
        doubted: Phase = "observe"
        for one in self.exceptions:
            if one.condition is None:
                continue
            outcome = one.condition.matches(facts)
            if outcome.matched:
                return _louder(one.phase, doubted), one.source
            if outcome.failed:
                doubted = _louder(one.phase, doubted)
        return _louder(self.phase, doubted), ""

    def apply(self, decision: Decision, facts: Facts) -> tuple[Decision, Verdict | None]:
        """What the phase leaves of a decision, and the verdict for its trace, unless everything is live."""
        phase, source = self.verdict(facts)
        if phase == "page":
            return decision, None
        found = self._warning(decision) if phase == "warn" else _observation(decision)
        text = f"phase {phase}" + (f": {source}" if source else "")
        return found.model_copy(update={"phase": phase}), Verdict("rollout", True, text)

    def _warning(self, decision: Decision) -> Decision:
        """Nothing is louder than a post."""
        withheld = _pagers(decision.steps)
        steps = _without_pagers(decision.steps)
        if withheld and not (steps and steps[0].after == 0):
            steps = (Step(notify=self.posts), *steps) if self.posts else steps
        timeout = decision.on_ack_timeout and _quiet_timeout(decision.on_ack_timeout)
        return decision.model_copy(
            update={
                "steps": steps,
                "fallback": _posts(decision.fallback),
                "respond_within": decision.respond_within if timeout else None,
                "on_ack_timeout": timeout,
                "withheld": withheld,
            }
        )


def compile_rollout(
    config: RolloutConfig,
    posts: Sequence[Target],
    condition: Callable[[str, _Path], Condition | None],
    report: Callable[[_Path, str], None],
) -> Rollout:
    """Compile the section.

    Args:
        config: as it was written.
        posts: of the tier high, at its first step.
        condition: compiles a condition, and reports its problems.
        report: receives a problem with its path.
    """
    exceptions = tuple(
        PhaseException(condition(one.when, ("rollout", "exceptions", index, "when")), one.phase, one.when)
        for index, one in enumerate(config.exceptions)
    )
    phases = {config.phase, *(one.phase for one in config.exceptions)}
    found = _posts(tuple(posts))
    if "warn" in phases and not found:
        report(
            ("rollout",), "in phase warn, what only pages is posted where tiers.high posts first, and it posts nowhere"
        )
    return Rollout(config.phase, exceptions, found)


def _observation(decision: Decision) -> Decision:
    """Nobody is notified. A regulated incident keeps its tickets."""
    return decision.model_copy(
        update={
            "steps": (),
            "digest": (),
            "fallback": (),
            "tickets": decision.tickets if decision.regulated else (),
            "respond_within": None,
            "on_ack_timeout": None,
            "remind": None,
            "seasonal": decision.seasonal and decision.seasonal.model_copy(update={"digest": ()}),
            "withheld": tuple(dict.fromkeys(target for step in decision.steps for target in step.notify)),
        }
    )


def _quiet_timeout(timeout: OnAckTimeout) -> OnAckTimeout | None:
    steps = _without_pagers(timeout.steps)
    return timeout.model_copy(update={"steps": steps, "fallback": _posts(timeout.fallback)}) if steps else None


def _without_pagers(steps: Sequence[Step]) -> tuple[Step, ...]:
    quiet = (step.model_copy(update={"notify": _posts(step.notify)}) for step in steps)
    return tuple(step for step in quiet if step.notify)


def _pagers(steps: Sequence[Step]) -> tuple[Target, ...]:
    return tuple(dict.fromkeys(target for step in steps for target in step.notify if target.kind == "page"))


def _posts(targets: Sequence[Target]) -> tuple[Target, ...]:
    return tuple(target for target in targets if target.kind != "page")


def _louder(one: Phase, other: Phase) -> Phase:
    return one if PHASES.index(one) >= PHASES.index(other) else other
