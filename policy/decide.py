"""``Policy.decide``: from an alert to a decision. The same alert, incident and time give the same decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from alerts import Alert, web_address
from policy.authoring.errors import Problem
from policy.cel.conditions import Condition, Facts, Outcome, model_facts
from policy.cel.declarations import ALERT, Declarations
from policy.cel.field_path import FieldPath
from policy.cel.mapping import AlertMapping
from policy.cel.syntax import uses
from policy.decision import Decision, IncidentFacts, MaintenanceSpan, Seasonal, Step, Target, Verdict
from policy.destinations import DestinationConfig
from policy.failures import EvaluationFailures
from policy.inhibition import CompiledInhibition, label_paths
from policy.matchers import Matchers
from policy.meaning.gaps import gap
from policy.meaning.interpret import InterpretationStep, Interpreter
from policy.meaning.naming import NamedTopics
from policy.noise import Noise
from policy.rewrite import rewrite
from policy.rollout import Rollout
from policy.schema import ModelConfig, PolicyFile
from policy.source import PolicySource
from policy.watchdog import Watchdog

_MAX_REASON_CHARS = 300
_NEW_INCIDENT = IncidentFacts()
_TAGGED = ("team", "owner", "service", "runbook")
"""Fields of the catalogue that a monitor's tags fill if its model states none."""


@dataclass(frozen=True)
class CompiledRule:
    """A rule, and the decision for an alert that matches it; ``otherwise`` has no condition."""

    name: str
    condition: Condition | None
    decision: Decision
    notify_owner: bool = False
    inhibits: tuple[CompiledInhibition, ...] = ()

    def louder_than(self, other: "CompiledRule") -> bool:
        return self.decision.louder_than(other.decision.tier)


@dataclass
class _Doubt:
    """The loudest rule that may match the alert, and why it does not: the first of equals."""

    rule: CompiledRule | None = None
    reason: str = ""

    def add(self, rule: CompiledRule, reason: str) -> None:
        if self.rule is None or rule.louder_than(self.rule):
            self.rule, self.reason = rule, reason


@dataclass(frozen=True)
class Policy:
    """A checked policy that can decide. ``owners`` are the destinations that an owner can name."""

    source: PolicySource = field(repr=False)
    file: PolicyFile = field(repr=False)
    """Every key as it was written, or its default."""
    digest: str
    destinations: Mapping[str, DestinationConfig]
    models: Mapping[str, ModelConfig]
    default_model: ModelConfig
    rules: tuple[CompiledRule, ...]
    unmapped: CompiledRule
    otherwise: CompiledRule
    owners: Mapping[str, Target]
    regulated: Condition | None
    closed_by: str
    governance_tickets: tuple[Target, ...]
    declarations: Declarations
    interpreter: Interpreter
    named: NamedTopics
    unreadable: CompiledRule
    """For deliveries that nothing can read."""
    undecided: CompiledRule
    """For alerts about which no decision can be made: critical."""
    noise: Noise
    rollout: Rollout
    mappings: tuple[AlertMapping, ...] = ()
    watchdog: Watchdog | None = None
    describe_wait: float = 3.0
    """Seconds that a first decision may wait for Arize's description of a monitor."""
    warnings: tuple[Problem, ...] = ()
    failures: EvaluationFailures = field(default_factory=EvaluationFailures, compare=False, repr=False)
    """What could not be evaluated lately."""

    @cached_property
    def _by_folded_name(self) -> Mapping[str, ModelConfig]:
        return {name.casefold(): model for name, model in self.models.items()}

    @cached_property
    def _model_facts(self) -> Mapping[int, Mapping[str, Any]]:
        return {
            id(model): model_facts(model.model_dump(exclude={"arize"}))
            for model in (self.default_model, *self.models.values())
        }

    @cached_property
    def _spellings(self) -> Mapping[str, str]:
        """The teams of the catalogue and the destinations, by their folded names: tags may have another case."""
        teams = [model.team for model in (self.default_model, *self.models.values())]
        return {name.casefold(): name for name in (*self.owners, *teams)}

    def _tag(self, alert: Alert, name: str) -> str:
        text = alert.tags.get(name, "")
        return self._spellings.get(text.casefold(), text)

    def model(self, name: str) -> ModelConfig:
        """The catalogue's entry, by its name without regard to case; the defaults for an unknown model."""
        return self._by_folded_name.get(name.casefold(), self.default_model)

    def interpret(self, alert: Alert) -> Alert:
        """The alert in the policy's words: what it measures, of which model and environment.

        Never raises: an alert that cannot be interpreted is returned as it is, and ``decide`` pages for it.
        """
        try:
            return self._interpreted(alert)
        except Exception as error:  # noqa: BLE001  # nothing that an alert holds may stop its incident
            self.failures.record("interpretation", f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS])
            return alert

    def _interpreted(self, alert: Alert) -> Alert:
        if alert.interpreted == self.digest:
            return alert
        return self.interpreter.interpret(alert)[0].model_copy(update={"interpreted": self.digest})

    def incident_of(self, alert: Alert) -> str:
        """The id of the incident that an interpreted alert belongs to, unless its problem is in an open one already."""
        return self.noise.incident_of(alert, self.model(alert.model))

    def interpretation(self, alert: Alert) -> list[InterpretationStep]:
        """Each step from Arize's words to the policy's, for people."""
        return self.interpreter.interpret(alert)[1]

    def facts(
        self, alert: Alert, now: datetime, incident: IncidentFacts | None = None, *, whole: bool = False
    ) -> Facts:
        """The values that the policy's conditions may use, for an alert; with all of its fields if ``whole``."""
        alert = self._interpreted(alert)
        model = self._model_facts[id(self.model(alert.model))]
        stated = {name: text for name in _TAGGED if not model[name] and (text := self._tag(alert, name))}
        entry = {**model, **stated} if stated else model
        return Facts(alert, entry, incident or _NEW_INCIDENT, now, ALERT if whole else self._alert_names)

    @cached_property
    def asks_of_incidents(self) -> bool:
        """Whether a condition uses ``incident.*``, so that a decision depends on what came before."""
        return any(uses(one.tree, "incident") for one in self._conditions if one)

    @cached_property
    def matchers(self) -> Matchers:
        """The matchers of silences."""
        return Matchers(self)

    @cached_property
    def _label_paths(self) -> tuple[FieldPath, ...]:
        return label_paths(one for rule in self.rules for one in rule.inhibits)

    @cached_property
    def _conditions(self) -> list[Condition | None]:
        return [self.regulated, *(rule.condition for rule in self.rules)]

    @cached_property
    def _alert_names(self) -> tuple[str, ...]:
        """The fields of alerts that the policy's conditions use, in the order of the alert's own."""
        conditions = [*self._conditions, *self.noise.conditions, *self.rollout.conditions]
        used = frozenset[str]().union(*(one.alert_names for one in conditions if one))
        return tuple(name for name in ALERT if name in used)

    def decide(self, alert: Alert, now: datetime, incident: IncidentFacts | None = None) -> Decision:
        """Decide about an alert. Never raises.

        The trace lists each rule up to the one that decided, with the values that it used. In doubt, louder:

        - If no rule matches a triggered alert that lacks its value or its baseline, the first rule that only lacks that
          number decides, if it is louder.
        - A condition that cannot be evaluated may match: its rule decides, if it is louder than the rule that matches.
        - If nothing at all can be decided, the incident is critical, and the reason says why.

        Args:
            alert: The alert.
            now: The time of the decision.
            incident: The incident that the alert joins; None for a new one.
        """
        try:
            return self._decide(self._interpreted(alert), now, incident)
        except Exception as error:  # noqa: BLE001  # an incident without a decision notifies nobody
            reason = f"no decision can be made: {type(error).__name__}: {error}"[:_MAX_REASON_CHARS]
            self.failures.record("decision", reason)
            return self.undecidable(str(alert.model), reason)

    def _decide(self, alert: Alert, now: datetime, incident: IncidentFacts | None) -> Decision:
        facts = self.facts(alert, now, incident)
        if alert.drill:
            return self._drill(alert, facts)
        if alert.quarantined:
            verdict = Verdict(self.unreadable.name, True, "an authentic delivery that nothing can read")
            return self._decision(self.unreadable, alert, facts, [verdict], None)
        trace: list[Verdict] = []
        lacking, failed = _Doubt(), _Doubt()
        decided: CompiledRule | None = None
        for rule in self.rules:
            condition = rule.condition
            assert condition is not None
            if condition.guard_field and getattr(alert, condition.guard_field) not in condition.guard_values:
                trace.append(Verdict(rule.name, False, facts.describe(condition.guard_paths)))
                continue
            outcome = condition.matches(facts)
            trace.append(Verdict(rule.name, outcome.matched, outcome.reason[:_MAX_REASON_CHARS]))
            if outcome.undetermined and lacking.rule is None:
                lacking.add(rule, outcome.reason.removeprefix("skipped: "))
            if outcome.failed:
                failed.add(rule, self._failure(f"rules.{rule.name}", outcome))
            if outcome.matched:
                decided = rule
                break
        in_doubt = alert.undescribed or (decided is None and _lacks_number(alert))
        decided = decided or self._without_match(alert, facts)
        if alert.status == "triggered" and in_doubt and lacking.rule and lacking.rule.louder_than(decided):
            decided = lacking.rule
            reason = f"in doubt, because {alert.undescribed or _unread(alert, lacking.reason)}"
            trace.append(Verdict(decided.name, True, reason[:_MAX_REASON_CHARS]))
        for place, why in self.interpreter.failures(alert).items():
            self.failures.record(place, why)
            failed.add(self.unmapped, f"{place} cannot be evaluated: {why}")
        if failed.rule and failed.rule.louder_than(decided):
            decided = failed.rule
            trace.append(Verdict(decided.name, True, f"in doubt, because {failed.reason}"[:_MAX_REASON_CHARS]))
        return self._decision(decided, alert, facts, trace, now)

    def _failure(self, place: str, outcome: Outcome) -> str:
        """Record that a condition cannot be evaluated; returns the reason."""
        reason = outcome.reason.removeprefix("skipped: ")
        self.failures.record(place, reason)
        return f"its condition cannot be evaluated: {reason}"

    def undecidable(self, model: str, reason: str) -> Decision:
        """The loudest decision, made of the policy alone: what the alert holds may be what raises."""
        entry = self.model(model)
        regulated = self.regulated is not None
        return self.undecided.decision.model_copy(
            update={
                "reason": reason,
                "tickets": self.governance_tickets,
                "regulated": regulated,
                "closed_by": self.closed_by if regulated else "",
                "team": entry.team,
                "owner": entry.owner,
                "service": entry.service,
                "runbook": entry.runbook,
                "trace": (Verdict(self.undecided.name, True, reason),),
                "policy": self.digest,
            }
        )

    def _without_match(self, alert: Alert, facts: Facts) -> CompiledRule:
        """A metric that no rule names, or a monitor that Arize did not describe, is not covered by ``otherwise``."""
        if alert.status != "triggered":
            return self.otherwise
        covered = bool(alert.metric) and self.named.covers(facts)
        return self.otherwise if covered and not alert.undescribed else self.unmapped

    def _drill(self, alert: Alert, facts: Facts) -> Decision:
        """A fire drill is decided by its rule, without evaluating the rule's condition."""
        rule = next((rule for rule in self.rules if rule.name == alert.drill), self.otherwise)
        reason = (
            "a fire drill of this rule" if rule.name == alert.drill else "a fire drill of a rule that no longer exists"
        )
        decision = self._decision(rule, alert, facts, [Verdict(rule.name, True, reason)], None)
        return decision.model_copy(update={"hold": None})  # the drill tests the notification, so it does not wait

    def _decision(
        self, rule: CompiledRule, alert: Alert, facts: Facts, trace: list[Verdict], now: datetime | None
    ) -> Decision:
        entry, decided = self.model(alert.model), rule.decision
        reason = trace[-1].reason if trace and trace[-1].matched else self._no_match(rule, alert)
        regulated = self._is_regulated(facts, trace)
        tickets = decided.tickets
        if regulated:
            tickets += tuple(target for target in self.governance_tickets if target not in tickets)
        owner = self.owners.get(entry.owner or self._tag(alert, "owner")) if rule.notify_owner else None
        maintenance = self._maintenance(facts, now, trace)
        inhibits = [found for one in rule.inhibits if (found := one.of(alert, entry)) is not None]
        decision = decided.model_copy(
            update={
                "reason": reason,
                "steps": _with_owner(decided.steps, owner) if owner else decided.steps,
                "tickets": tickets,
                "regulated": regulated,
                "closed_by": self.closed_by if regulated else "",
                "team": entry.team or self._tag(alert, "team"),
                "owner": entry.owner or self._tag(alert, "owner"),
                "service": entry.service or alert.tags.get("service", ""),
                "runbook": entry.runbook or web_address(alert.tags.get("runbook")),
                "links": entry.links,
                "maintenance": maintenance,
                "inhibits": tuple(inhibits),
                "labels": {path.text: value for path in self._label_paths if (value := path.value(alert, entry))},
                "budget": None if regulated else self.noise.budget_of(alert, entry),
                "seasonal": self._seasonal(alert, facts, now) if self.noise.seasonal and not regulated else None,
                "policy": self.digest,
            }
        )
        if now is not None:  # neither a drill nor a delivery that nothing can read
            decision, verdict = self.rollout.apply(decision, facts)
            trace.extend([verdict] if verdict else [])
        return decision.model_copy(update={"trace": tuple(trace)})

    def _seasonal(self, alert: Alert, facts: Facts, now: datetime | None) -> Seasonal | None:
        return None if now is None else self.noise.seasonal_of(alert, facts, self.model(alert.model))

    def _maintenance(self, facts: Facts, now: datetime | None, trace: list[Verdict]) -> tuple[MaintenanceSpan, ...]:
        """Those for an alert. A drill has none: it tests that people are notified."""
        if now is None or not self.noise.maintenance:
            return ()
        spans = self.noise.spans(facts, now)
        texts = [f"{one.reason}, until {one.until:%Y-%m-%d %H:%M} UTC" for one in spans if one.since <= now]
        trace.extend(Verdict("noise.maintenance", True, text) for text in texts)
        return spans

    def _is_regulated(self, facts: Facts, trace: list[Verdict]) -> bool:
        """In doubt, the incident is regulated; the trace then says why."""
        if self.regulated is None:
            return False
        outcome = self.regulated.matches(facts)
        if outcome.failed:
            why = self._failure("governance.regulated", outcome)
            trace.append(Verdict("governance.regulated", True, f"in doubt, because {why}"[:_MAX_REASON_CHARS]))
        return outcome.matched or outcome.failed

    def _no_match(self, rule: CompiledRule, alert: Alert) -> str:
        if rule is not self.unmapped:
            return "no rule matched"
        if alert.undescribed:
            return f"no rule matched without Arize's description of the monitor: {alert.undescribed}"
        return f"no rule names this metric: {gap(alert)}"

    def digests(self) -> dict[str, tuple[Target, ...]]:
        """The destinations of digests, by name, each with the fallback for a digest that cannot be sent."""
        found: dict[str, tuple[Target, ...]] = {}
        for rule in (*self.rules, self.unmapped, self.otherwise, self.unreadable):
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


def _unread(alert: Alert, reason: str) -> str:
    """The reason, with what the alert states instead of a number."""
    for name, text in alert.unread.items():
        reason = reason.replace(f"alert.{name} is not in this alert", f"alert.{name} is no number: {text!r}")
    return reason


def _lacks_number(alert: Alert) -> bool:
    """Whether the alert lacks a number that every monitor of Arize has, or rose from zero: no share says how far."""
    reference = alert.baseline if alert.baseline is not None else alert.threshold
    rose_from_zero = reference == 0 and bool(alert.value)
    return alert.value is None or (alert.change is None and (alert.dynamic_threshold or rose_from_zero))


def _with_owner(steps: tuple[Step, ...], owner: Target) -> tuple[Step, ...]:
    """The steps with the owner added to the first; one step if there is none."""
    if not steps:
        return (Step(notify=(owner,)),)
    first = steps[0]
    if owner in first.notify:
        return steps
    return (first.model_copy(update={"notify": (*first.notify, owner)}), *steps[1:])
