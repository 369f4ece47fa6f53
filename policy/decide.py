"""``Policy.decide``: from an alert to a decision. The same alert, incident and time give the same decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from alerts import Alert
from policy.authoring.errors import Problem
from policy.cel.conditions import Condition, Facts, model_facts
from policy.decision import Decision, IncidentFacts, Step, Target, Verdict
from policy.destinations import DestinationConfig
from policy.rewrite import rewrite
from policy.schema import ModelConfig
from policy.source import PolicySource
from policy.watchdog import Watchdog

_MAX_REASON_CHARS = 300
_NEW_INCIDENT = IncidentFacts()


@dataclass(frozen=True)
class CompiledRule:
    """A rule, and the decision for an alert that matches it; ``otherwise`` has no condition."""

    name: str
    condition: Condition | None
    decision: Decision
    notify_owner: bool = False


@dataclass(frozen=True)
class Policy:
    """A checked policy that can decide. ``owners`` are the models' owners that are destinations, by name."""

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
        """The catalogue's entry, by its name without regard to case; the defaults for an unknown model."""
        return self._by_folded_name.get(name.casefold(), self.default_model)

    def facts(self, alert: Alert, now: datetime, incident: IncidentFacts | None = None) -> Facts:
        """The values that conditions may use, for an alert."""
        return Facts(alert, self._model_facts[id(self.model(alert.model))], incident or _NEW_INCIDENT, now)

    def decide(self, alert: Alert, now: datetime, incident: IncidentFacts | None = None) -> Decision:
        """Decide about an alert. Never raises.

        The trace lists each rule up to the one that decided, with the values that it used.

        Args:
            alert: The alert.
            now: The time of the decision.
            incident: The incident that the alert joins; None for a new one.
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
                trace.append(Verdict(rule.name, False, facts.describe(condition.guard_paths)))
                continue
            outcome = condition.matches(facts)
            trace.append(Verdict(rule.name, outcome.matched, outcome.reason[:_MAX_REASON_CHARS]))
            if outcome.matched:
                decided = rule
                break
        return self._decision(decided, alert, facts, trace)

    def _drill(self, alert: Alert, facts: Facts) -> Decision:
        """A fire drill is decided by its rule, without evaluating the rule's condition."""
        rule = next((rule for rule in self.rules if rule.name == alert.drill), self.otherwise)
        reason = (
            "a fire drill of this rule" if rule.name == alert.drill else "a fire drill of a rule that no longer exists"
        )
        decision = self._decision(rule, alert, facts, [Verdict(rule.name, True, reason)])
        return decision.model_copy(update={"hold": None})  # the drill tests the notification, so it does not wait

    def _decision(self, rule: CompiledRule, alert: Alert, facts: Facts, trace: list[Verdict]) -> Decision:
        entry, decided = self.model(alert.model), rule.decision
        regulated = self.regulated is not None and self.regulated.holds(facts)
        tickets = decided.tickets
        if regulated:
            tickets += tuple(target for target in self.governance_tickets if target not in tickets)
        owner = self.owners.get(entry.owner) if rule.notify_owner else None
        return decided.model_copy(
            update={
                "reason": trace[-1].reason if trace and trace[-1].matched else "no rule matched",
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
                "policy": self.digest,
            }
        )

    def digests(self) -> dict[str, tuple[Target, ...]]:
        """The destinations of digests, by name, each with the fallback for a digest that cannot be sent."""
        found: dict[str, tuple[Target, ...]] = {}
        for rule in (*self.rules, self.otherwise):
            for target in rule.decision.digest:
                known = found.get(target.name, ())
                found[target.name] = (*known, *(one for one in rule.decision.fallback if one not in known))
        return found

    def with_warnings(self, warnings: tuple[Problem, ...]) -> "Policy":
        """The same policy with the warnings that were found when it was loaded."""
        return replace(self, warnings=warnings)

    def with_destinations(self, replaced: Mapping[str, DestinationConfig]) -> "Policy":
        """The same rules with other configurations for some destinations, such as the console."""

        def target(old: Target) -> Target:
            new = replaced.get(old.name)
            return Target(name=old.name, type=new.type, kind=new.kind) if new else old

        return replace(rewrite(self, target=target), destinations={**self.destinations, **replaced})

    def scaled(self, factor: float) -> "Policy":
        """The same rules with every duration divided by ``factor``, for demonstrations; the digest shows the factor."""
        return replace(rewrite(self, seconds=lambda old: old / factor), digest=f"{self.digest}/{factor:g}")


def _with_owner(steps: tuple[Step, ...], owner: Target) -> tuple[Step, ...]:
    """The steps with the owner added to the first; one step if there is none."""
    if not steps:
        return (Step(notify=(owner,)),)
    first = steps[0]
    if owner in first.notify:
        return steps
    return (first.model_copy(update={"notify": (*first.notify, owner)}), *steps[1:])
