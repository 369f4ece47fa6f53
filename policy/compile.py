"""From a well-formed file to a Policy: references resolved, conditions compiled, contradictions found."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from policy.conditions import Condition, ConditionError
from policy.decide import CompiledRule, Policy
from policy.decision import TIERS, Decision, Raise, Step, Target, Tier
from policy.destinations import DestinationConfig
from policy.near import near
from policy.schema import ModelConfig, OutcomeConfig, PolicyFile, TierConfig
from policy.shadows import unreachable
from policy.source import PolicySource
from policy.vocabulary import Vocabulary
from policy.watchdog import Drill, Heartbeat, Watchdog

_LOUDER: dict[Tier, Tier] = dict(pairwise(TIERS))
_Path = tuple[str | int, ...]


class Report(Protocol):
    def __call__(self, path: _Path, message: str, offset: int | None = None, *, warning: bool = False) -> None: ...


def compile_policy(
    file: PolicyFile, destinations: Mapping[str, DestinationConfig], source: PolicySource, report: Report
) -> Policy:
    """Build the Policy. Every problem goes to ``report`` with its path; the caller stops if one is an error."""
    defaults = file.models.get("defaults", ModelConfig())
    models = {name: entry.over(defaults) for name, entry in file.models.items() if name != "defaults"}
    compiler = _Compiler(file, destinations, source.digest, report, Vocabulary.of(models, defaults))
    compiler.check_tiers()
    folded: dict[str, str] = {}
    for name in models:
        if name.casefold() in folded:
            report(
                ("models", name),
                f"is {folded[name.casefold()]!r} in another case: a model's name is read whatever its case",
            )
        folded[name.casefold()] = name

    rules: list[CompiledRule] = []
    conditions: list[tuple[str, Condition]] = []
    places: list[int] = []
    names: set[str] = {"otherwise"}
    for index, rule in enumerate(file.rules):
        path = ("rules", index)
        if rule.name in names:
            report((*path, "name"), f"another rule is named {rule.name!r} already")
        names.add(rule.name)
        condition = compiler.condition(rule.when, (*path, "when"))
        decision = compiler.decision(rule.name, rule, path)
        if condition:
            rules.append(CompiledRule(rule.name, condition, decision, rule.notify_owner))
            conditions.append((rule.name, condition))
            places.append(index)
    for index, why in unreachable(conditions):
        report(("rules", places[index], "when"), why)
    governance = file.governance
    return Policy(
        source=source,
        digest=source.digest,
        destinations=dict(destinations),
        models=models,
        default_model=defaults,
        rules=tuple(rules),
        otherwise=CompiledRule(
            "otherwise",
            None,
            compiler.decision("otherwise", file.otherwise, ("otherwise",)),
            file.otherwise.notify_owner,
        ),
        owners=compiler.owners({"defaults": defaults, **models}),
        regulated=compiler.condition(governance.regulated, ("governance", "regulated")) if governance else None,
        closed_by=governance.closed_by if governance else "",
        governance_tickets=compiler.targets(governance.ticket, ("governance", "ticket"), tickets=True)
        if governance
        else (),
        watchdog=compiler.watchdog(),
    )


@dataclass(frozen=True)
class _Tier:
    steps: tuple[Step, ...]
    fallback: tuple[Target, ...]
    digest: tuple[Target, ...]
    config: TierConfig


@dataclass
class _Compiler:
    file: PolicyFile
    destinations: Mapping[str, DestinationConfig]
    digest: str
    report: Report
    vocabulary: Vocabulary

    def __post_init__(self) -> None:
        # Compiled once, so that a fault in a tier is told once and not by each rule that uses it.
        self._tiers = {tier: self._tier(tier) for tier in TIERS}

    def condition(self, source: str, path: _Path) -> Condition | None:
        try:
            condition = Condition(source, self.vocabulary)
        except ConditionError as error:
            for fault in error.faults:
                self.report(path, fault.message, fault.offset, warning=not fault.certain)
            return None
        for fault in condition.doubts:
            self.report(path, fault.message, fault.offset, warning=True)
        return condition

    def targets(self, names: tuple[str, ...], path: _Path, *, tickets: bool = False) -> tuple[Target, ...]:
        found: list[Target] = []
        for name in names:
            config = self.destinations.get(name)
            if config is None:
                if name not in self.file.destinations:  # else its own problem has been told
                    self.report(path, f"{name!r} is no destination{near(name, self.file.destinations)}")
            elif tickets and config.kind not in {"ticket", "console"}:
                self.report(path, f"{name!r} is of type {config.type}, which opens no tickets")
            elif not tickets and config.kind == "ticket":
                self.report(path, f"{name!r} is of type {config.type}: name it as ticket, not here")
            elif "digest" in path and config.kind == "page":
                self.report(path, f"{name!r} is of type {config.type}, which pages people and takes no digests")
            elif any(target.name == name for target in found):
                self.report(path, f"{name!r} stands here twice", warning=True)
            else:
                found.append(Target(name=name, type=config.type, kind=config.kind))
        return tuple(found)

    def owners(self, models: Mapping[str, ModelConfig]) -> Mapping[str, Target]:
        """The owners that are destinations, by name. Those that are none are warned of where a rule tells the owner."""
        asking = [rule.name for rule in self.file.rules if rule.notify_owner]
        if self.file.otherwise.notify_owner:
            asking.append("otherwise")
        found: dict[str, Target] = {}
        for model, entry in models.items():
            config = self.destinations.get(entry.owner)
            if config is not None and config.kind != "ticket":
                found[entry.owner] = Target(name=entry.owner, type=config.type, kind=config.kind)
            elif asking and entry.owner and "owner" in self._stated(model):
                self.report(
                    ("models", model, "owner"),
                    f"{entry.owner!r} is no destination: what {', '.join(asking)} sends the owner names them only, "
                    "in what the tier sends",
                    warning=True,
                )
        return found

    def _stated(self, model: str) -> set[str]:
        entry = self.file.models.get(model)
        return entry.model_fields_set if entry else set()

    def _tier(self, tier: Tier) -> "_Tier":
        config = self.file.tiers[tier]
        return _Tier(
            steps=self._steps(tier),
            fallback=self.targets(config.fallback, ("tiers", tier, "fallback")),
            digest=self.targets(config.digest, ("tiers", tier, "digest")),
            config=config,
        )

    def _steps(self, tier: Tier) -> tuple[Step, ...]:
        """The tier's steps, flat; a repeat is as long after as its step is after the one before."""
        steps: list[Step] = []
        before = 0.0
        for index, step in enumerate(self.file.tiers[tier].steps):
            path = ("tiers", tier, "steps", index)
            after = step.after or 0.0
            if index == 0 and step.after:
                self.report((*path, "after"), "the first step acts at once; use a rule's hold to wait")
            if index > 0 and after <= before:
                self.report((*path, "after"), "counts from the first step, so it must be more than the step before")
            gap = after - before
            notify = self.targets(step.notify, (*path, "notify"))
            if index == 0 and step.repeat:
                self.report((*path, "repeat"), "the first step is not repeated: add a later step instead")
            steps.extend(Step(after=after + gap * turn, notify=notify) for turn in range(step.repeat + 1))
            before = after
        return tuple(steps)

    def watchdog(self) -> Watchdog | None:
        config = self.file.watchdog
        if config is None:
            return None
        drill, heartbeat = config.drill, config.heartbeat
        rules = [rule.name for rule in self.file.rules]
        if drill and drill.rule not in rules:
            self.report(("watchdog", "drill", "rule"), f"there is no rule {drill.rule!r}{near(drill.rule, rules)}")
        return Watchdog(
            notify=self.targets(config.notify, ("watchdog", "notify")),
            after=config.after,
            heartbeat=Heartbeat(heartbeat.url, heartbeat.every) if heartbeat else None,
            drill=Drill(drill.rule, drill.every, drill.within) if drill else None,
        )

    def check_tiers(self) -> None:
        for name, tier in self._tiers.items():
            if not tier.config.steps and not tier.config.digest:
                self.report(("tiers", name), "this tier tells nobody: give it steps or a digest")
        critical = [target for step in self._tiers["critical"].steps for target in step.notify]
        named = [name for step in self.file.tiers.critical.steps for name in step.notify]
        broken = any(name not in self.destinations for name in named)  # told already, by its own problem
        if not broken and not any(target.kind in {"page", "console"} for target in critical):
            self.report(("tiers", "critical", "steps"), "a critical incident would page nobody")
        if self.file.tiers.low.respond_within:
            self.report(("tiers", "low", "respond_within"), "a digest is not answered; use the tier high")

    def decision(self, name: str, outcome: OutcomeConfig, path: _Path) -> Decision:
        """Everything a decision holds that does not depend on the alert."""
        tier = self._tiers[outcome.tier]
        steps = tier.steps
        if outcome.notify is not None:
            first = self.targets(outcome.notify, (*path, "notify"))
            steps = (Step(notify=first), *steps[1:]) if first else ()
        digest = tier.digest if outcome.notify is None else ()
        if outcome.digest is not None:
            digest = self.targets(outcome.digest, (*path, "digest"))
        respond_within = outcome.respond_within or tier.config.respond_within
        tickets = self.targets(outcome.ticket, (*path, "ticket"), tickets=True)
        named = (outcome.notify, outcome.ticket, outcome.digest, tier.config.steps, tier.config.digest)
        tells = any(named[:3]) or (outcome.notify is None and any(named[3:]))
        if not steps and not digest and not tickets and not tells:
            self.report(path, "this tells nobody and opens nothing; nothing is ever dropped")
        if outcome.tier == "critical" and not outcome.notify_owner and outcome.notify is not None:
            told = [target for step in steps for target in step.notify]
            broken = any(one not in self.destinations for one in outcome.notify)
            if not broken and not any(target.kind in {"page", "console"} for target in told):
                self.report((*path, "notify"), "a critical incident would page nobody")
        return Decision(
            rule=name,
            why="",
            tier=outcome.tier,
            priority=outcome.priority,
            tags=outcome.tags,
            steps=steps,
            fallback=tier.fallback,
            digest=digest,
            tickets=tickets,
            hold=outcome.hold,
            respond_within=respond_within if steps else None,
            unanswered=self._raised(outcome.tier) if respond_within and steps else None,
            remind=tier.config.remind,
            policy=self.digest,
        )

    def _raised(self, tier: Tier) -> Raise:
        louder = _LOUDER.get(tier)
        if louder is None:
            fallback = self._tiers[tier].fallback
            return Raise(tier=tier, steps=(Step(notify=fallback),) if fallback else ())
        above = self._tiers[louder]
        return Raise(tier=louder, steps=above.steps, fallback=above.fallback, remind=above.config.remind)
