"""``Policy.decide``: from an alert to a decision. Pure and total: the same alert, the same decision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from alerts import Alert
from policy.conditions import Condition, Facts
from policy.decision import Decision, IncidentFacts, Raise, Step, Target, Verdict
from policy.destinations import DestinationConfig
from policy.schema import ModelConfig

_TRACE_CHARS = 300


@dataclass(frozen=True)
class CompiledRule:
    name: str
    condition: Condition
    decision: Decision


@dataclass(frozen=True)
class Policy:
    """A policy that has been checked whole and can decide."""

    digest: str
    destinations: Mapping[str, DestinationConfig]
    models: Mapping[str, ModelConfig]
    default_model: ModelConfig
    rules: tuple[CompiledRule, ...]
    otherwise: Decision
    regulated: Condition | None
    closed_by: str
    governance_tickets: tuple[Target, ...]

    @cached_property
    def _by_folded_name(self) -> Mapping[str, ModelConfig]:
        return {name.casefold(): model for name, model in self.models.items()}

    @cached_property
    def _model_values(self) -> Mapping[int, Mapping[str, Any]]:
        return {id(model): model.model_dump() for model in (self.default_model, *self.models.values())}

    def model(self, name: str) -> ModelConfig:
        """The catalogue's entry, whatever the case of the name; the declared defaults for an unknown model."""
        return self._by_folded_name.get(name.casefold(), self.default_model)

    def decide(self, alert: Alert, incident: IncidentFacts | None = None) -> Decision:
        """Decide about an alert; ``incident`` is what it joins, where it joins one. Never raises."""
        entry = self.model(alert.model)
        facts = Facts(alert, self._model_values[id(entry)], incident or IncidentFacts())
        trace: list[Verdict] = []
        decided = self.otherwise
        for rule in self.rules:
            outcome = rule.condition.matches(facts)
            trace.append(Verdict(rule=rule.name, matched=outcome.matched, why=outcome.why[:_TRACE_CHARS]))
            if outcome.matched:
                decided = rule.decision
                break
        regulated = self.regulated is not None and self.regulated.matches(facts).matched
        tickets = decided.tickets
        if regulated:
            tickets += tuple(target for target in self.governance_tickets if target not in tickets)
        return decided.model_copy(
            update={
                "why": trace[-1].why if trace and trace[-1].matched else "no rule matched",
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
            governance_tickets=targets(self.governance_tickets),
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

        return replace(self._with_decisions(decision), digest=f"{self.digest}/{factor:g}")

    def _with_decisions(self, change: Callable[[Decision], Decision]) -> "Policy":
        rules = tuple(replace(rule, decision=change(rule.decision)) for rule in self.rules)
        return replace(self, rules=rules, otherwise=change(self.otherwise))
