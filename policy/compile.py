"""From a well-formed file to a Policy: references resolved, conditions compiled, contradictions found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from policy.conditions import Condition, ConditionError
from policy.decide import CompiledRule, Policy
from policy.decision import TIERS, Decision, Raise, Step, Target, Tier
from policy.destinations import DestinationConfig
from policy.schema import ModelConfig, OutcomeConfig, PolicyFile, TierConfig

Report = Callable[[tuple[str | int, ...], str], None]
_LOUDER: dict[Tier, Tier] = dict(pairwise(TIERS))


def compile_policy(
    file: PolicyFile, destinations: Mapping[str, DestinationConfig], digest: str, report: Report
) -> Policy:
    """Build the Policy. Every problem goes to ``report`` with its path; the caller stops if there was one."""
    compiler = _Compiler(file, destinations, digest, report)
    defaults = file.models.get("defaults", ModelConfig())
    models = {name: entry.over(defaults) for name, entry in file.models.items() if name != "defaults"}
    slo = frozenset(key for model in (defaults, *models.values()) for key in model.slo)
    compiler.model_fields = {name: slo if name == "slo" else frozenset[str]() for name in ModelConfig.model_fields}
    compiler.check_tiers()

    rules: list[CompiledRule] = []
    names: set[str] = set()
    for index, rule in enumerate(file.rules):
        path = ("rules", index)
        if rule.name in names:
            report((*path, "name"), f"another rule is named {rule.name!r} already")
        names.add(rule.name)
        condition = compiler.condition(rule.when, (*path, "when"))
        decision = compiler.decision(rule.name, rule, path)
        if condition:
            rules.append(CompiledRule(rule.name, condition, decision))
    governance = file.governance
    return Policy(
        digest=digest,
        destinations=dict(destinations),
        models=models,
        default_model=defaults,
        rules=tuple(rules),
        otherwise=compiler.decision("otherwise", file.otherwise, ("otherwise",)),
        regulated=compiler.condition(governance.regulated, ("governance", "regulated")) if governance else None,
        closed_by=governance.closed_by if governance else "",
        governance_tickets=compiler.targets(_names(governance.ticket), ("governance", "ticket"), tickets=True)
        if governance
        else (),
    )


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


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

    def __post_init__(self) -> None:
        self.model_fields: Mapping[str, frozenset[str]] = {}
        # Compiled once, so that a fault in a tier is told once and not by each rule that uses it.
        self._tiers = {tier: self._tier(tier) for tier in TIERS}

    def condition(self, source: str, path: tuple[str | int, ...]) -> Condition | None:
        try:
            return Condition(source, self.model_fields)
        except ConditionError as error:
            self.report(path, str(error))
            return None

    def targets(
        self, names: tuple[str, ...], path: tuple[str | int, ...], *, tickets: bool = False
    ) -> tuple[Target, ...]:
        found: list[Target] = []
        for name in names:
            config = self.destinations.get(name)
            if config is None:
                if name not in self.file.destinations:  # else its own problem has been told
                    known = ", ".join(sorted(self.file.destinations))
                    self.report(path, f"{name!r} is no destination; there are {known}")
            elif tickets and config.kind not in {"ticket", "console"}:
                self.report(path, f"{name!r} is of type {config.type}, which opens no tickets")
            elif not tickets and config.kind == "ticket":
                self.report(path, f"{name!r} is of type {config.type}: name it as ticket, not here")
            else:
                found.append(Target(name=name, type=config.type, kind=config.kind))
        return tuple(found)

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

    def check_tiers(self) -> None:
        for name, tier in self._tiers.items():
            if not tier.config.steps and not tier.config.digest:
                self.report(("tiers", name), "this tier tells nobody: give it steps or a digest")
        critical = [target for step in self._tiers["critical"].steps for target in step.notify]
        if not any(target.kind in {"page", "console"} for target in critical):
            self.report(("tiers", "critical", "steps"), "a critical incident would page nobody")
        if self.file.tiers.low.respond_within:
            self.report(("tiers", "low", "respond_within"), "a digest is not answered; use the tier high")

    def decision(self, name: str, outcome: OutcomeConfig, path: tuple[str | int, ...]) -> Decision:
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
        tickets = self.targets(_names(outcome.ticket), (*path, "ticket"), tickets=True)
        named = (outcome.notify, outcome.ticket, outcome.digest, tier.config.steps, tier.config.digest)
        if (
            not steps
            and not digest
            and not tickets
            and not (any(named[:3]) or (outcome.notify is None and any(named[3:])))
        ):
            self.report(path, "this tells nobody and opens nothing; nothing is ever dropped")
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
