"""``Policy.decide``: from an alert to a decision. Pure and total: the same alert and time, the same decision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from alerts import Alert
from policy.conditions import Condition, Facts, model_facts
from policy.decision import Decision, IncidentFacts, Raise, Step, Target, Verdict
from policy.destinations import DestinationConfig
from policy.errors import Problem
from policy.schema import ModelConfig
from policy.source import PolicySource
from policy.watchdog import Watchdog

_TRACE_CHARS = 300
_NOTHING_YET = IncidentFacts()


@dataclass(frozen=True)
class CompiledRule:
    """A rule, and what it decides where its condition holds; ``otherwise`` has no condition."""

    name: str
    condition: Condition | None
    decision: Decision
    notify_owner: bool = False


@dataclass(frozen=True)
class Policy:
    """A policy that has been checked whole and can decide."""

    source: PolicySource = field(repr=False)
    digest: str
    destinations: Mapping[str, DestinationConfig]
    models: Mapping[str, ModelConfig]
    default_model: ModelConfig
    rules: tuple[CompiledRule, ...]
    otherwise: CompiledRule
    owners: Mapping[str, Target]
    regulated: Condition | None
    closed_by: str
    governance_tickets: tuple[Target, ...]
    watchdog: Watchdog | None = None
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def _by_folded_name(self) -> Mapping[str, ModelConfig]:
        return {name.casefold(): model for name, model in self.models.items()}

    @cached_property
    def _model_facts(self) -> Mapping[int, Mapping[str, Any]]:
        return {id(model): model_facts(model.model_dump()) for model in (self.default_model, *self.models.values())}

    def model(self, name: str) -> ModelConfig:
        """The catalogue's entry, whatever the case of the name; the declared defaults for an unknown model."""
        return self._by_folded_name.get(name.casefold(), self.default_model)

    def facts(self, alert: Alert, now: datetime, incident: IncidentFacts | None = None) -> Facts:
        """What the conditions may ask of an alert."""
        return Facts(alert, self._model_facts[id(self.model(alert.model))], incident or _NOTHING_YET, now)

    def decide(self, alert: Alert, now: datetime, incident: IncidentFacts | None = None) -> Decision:
        """Decide about an alert; ``incident`` is what it joins, where it joins one. Never raises.

        The trace holds each rule up to the one that decided, with the values that made it so.
        """
        facts = self.facts(alert, now, incident)
        if alert.drill:
            return self._drill(alert, facts)
        trace: list[Verdict] = []
        decided = self.otherwise
        for rule in self.rules:
            condition = rule.condition
            assert condition is not None
            if condition.guard_field and getattr(alert, condition.guard_field) not in condition.guard_values:
                trace.append(Verdict(rule.name, False, facts.told(condition.guard_told)))
                continue
            outcome = condition.matches(facts)
            trace.append(Verdict(rule.name, outcome.matched, outcome.why[:_TRACE_CHARS]))
            if outcome.matched:
                decided = rule
                break
        return self._decision(decided, alert, facts, trace)

    def _drill(self, alert: Alert, facts: Facts) -> Decision:
        """A fire drill does what its rule does, whatever the rule's condition says of the alert."""
        rule = next((one for one in self.rules if one.name == alert.drill), self.otherwise)
        why = "a fire drill of this rule" if rule.name == alert.drill else "a fire drill of a rule that is gone"
        decision = self._decision(rule, alert, facts, [Verdict(rule.name, True, why)])
        return decision.model_copy(update={"hold": None})  # what is watched for a while first is drilled at once

    def _decision(self, rule: CompiledRule, alert: Alert, facts: Facts, trace: list[Verdict]) -> Decision:
        entry = self.model(alert.model)
        decided = rule.decision
        regulated = self.regulated is not None and self.regulated.holds(facts)
        tickets = decided.tickets
        if regulated:
            tickets += tuple(target for target in self.governance_tickets if target not in tickets)
        owner = self.owners.get(entry.owner) if rule.notify_owner else None
        return decided.model_copy(
            update={
                "why": trace[-1].why if trace and trace[-1].matched else "no rule matched",
                "steps": _with_owner(decided.steps, owner) if owner else decided.steps,
                "tickets": tickets,
                "regulated": regulated,
                "closed_by": self.closed_by if regulated else "",
                "team": entry.team,
                "owner": entry.owner,
                "service": entry.service,
                "runbook": entry.runbook,
                "links": entry.links,
                "trace": tuple(trace),
            }
        )

    def digests(self) -> dict[str, tuple[Target, ...]]:
        """The destinations that digests go to, and who hears of one that cannot be sent."""
        found: dict[str, tuple[Target, ...]] = {}
        for rule in (*self.rules, self.otherwise):
            for target in rule.decision.digest:
                more = tuple(one for one in rule.decision.fallback if one not in found.get(target.name, ()))
                found[target.name] = (*found.get(target.name, ()), *more)
        return found

    def warned(self, warnings: tuple[Problem, ...]) -> "Policy":
        """The same, with what whoever changes it should know."""
        return replace(self, warnings=warnings)

    def with_destinations(self, replaced: Mapping[str, DestinationConfig]) -> "Policy":
        """The same rules, with some destinations reached in another way (such as on the console)."""

        def target(old: Target) -> Target:
            new = replaced.get(old.name)
            return Target(name=old.name, type=new.type, kind=new.kind) if new else old

        def targets(old: tuple[Target, ...]) -> tuple[Target, ...]:
            return tuple(map(target, old))

        def steps(old: tuple[Step, ...]) -> tuple[Step, ...]:
            return tuple(step.model_copy(update={"notify": targets(step.notify)}) for step in old)

        def decision(old: Decision) -> Decision:
            new: dict[str, Any] = {name: targets(getattr(old, name)) for name in ("fallback", "digest", "tickets")}
            raised = old.unanswered
            if raised:
                raised = raised.model_copy(update={"steps": steps(raised.steps), "fallback": targets(raised.fallback)})
            return old.model_copy(update={**new, "steps": steps(old.steps), "unanswered": raised})

        return replace(
            self._with_decisions(decision),
            destinations={**self.destinations, **replaced},
            owners={name: target(old) for name, old in self.owners.items()},
            governance_tickets=targets(self.governance_tickets),
            watchdog=self.watchdog and replace(self.watchdog, notify=targets(self.watchdog.notify)),
        )

    def sped_up(self, factor: float) -> "Policy":
        """The same rules with every duration divided by ``factor``, for a demonstration; its digest says so."""

        def faster(seconds: float | None) -> float | None:
            return None if seconds is None else seconds / factor

        def steps(old: tuple[Step, ...]) -> tuple[Step, ...]:
            return tuple(step.model_copy(update={"after": step.after / factor}) for step in old)

        def decision(old: Decision) -> Decision:
            raised: Raise | None = old.unanswered
            if raised:
                raised = raised.model_copy(update={"steps": steps(raised.steps), "remind": faster(raised.remind)})
            return old.model_copy(
                update={
                    "steps": steps(old.steps),
                    "unanswered": raised,
                    "hold": faster(old.hold),
                    "respond_within": faster(old.respond_within),
                    "remind": faster(old.remind),
                    "policy": f"{self.digest}/{factor:g}",
                }
            )

        return replace(
            self._with_decisions(decision),
            digest=f"{self.digest}/{factor:g}",
            watchdog=self.watchdog and self.watchdog.sped_up(factor),
        )

    def _with_decisions(self, change: Callable[[Decision], Decision]) -> "Policy":
        def changed(rule: CompiledRule) -> CompiledRule:
            return replace(rule, decision=change(rule.decision))

        return replace(self, rules=tuple(map(changed, self.rules)), otherwise=changed(self.otherwise))


def _with_owner(steps: tuple[Step, ...], owner: Target) -> tuple[Step, ...]:
    """The owner is told in the first step, beside whoever it tells."""
    if not steps:
        return (Step(notify=(owner,)),)
    first = steps[0]
    if owner in first.notify:
        return steps
    return (first.model_copy(update={"notify": (*first.notify, owner)}), *steps[1:])
