"""Compiles a policy file: resolves names, compiles conditions, finds contradictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from policy.authoring.objectives import missing_objectives
from policy.authoring.suggestions import did_you_mean
from policy.authoring.unreachable import unreachable
from policy.cel.conditions import Condition, ConditionError
from policy.cel.declarations import Declarations
from policy.decide import CompiledRule, Policy
from policy.decision import TIERS, Decision, Flapping, OnAckTimeout, Step, Target, Tier
from policy.destinations import DestinationConfig
from policy.inhibition import compile_inhibitions
from policy.intake import compile_mappings
from policy.meaning.compile import compile_catalogue, compile_metrics
from policy.meaning.interpret import Interpreter
from policy.meaning.naming import NamedTopics
from policy.noise import compile_noise
from policy.noise_schema import NoiseConfig
from policy.rollout import compile_rollout
from policy.schema import ModelConfig, OutcomeConfig, PolicyFile, TierConfig
from policy.source import PolicySource
from policy.watchdog import Drill, Heartbeat, Watchdog

_LOUDER: dict[Tier, Tier] = dict(pairwise(TIERS))
_Path = tuple[str | int, ...]


class Report(Protocol):
    def __call__(self, path: _Path, message: str, offset: int | None = None, *, warning: bool = False) -> None: ...


def compile_policy(
    file: PolicyFile, destinations: Mapping[str, DestinationConfig], source: PolicySource, report: Report
) -> Policy:
    """Build the Policy. Problems go to ``report`` with their path; the result is usable if none is an error."""
    defaults = file.models.get("defaults", ModelConfig())
    models = {name: entry.over(defaults) for name, entry in file.models.items() if name != "defaults"}
    compiler = _Compiler(file, destinations, report, Declarations.of(models, defaults, file.metrics))
    compiler.check_tiers()
    compiler.check_objectives()
    folded: dict[str, str] = {}
    for name in models:
        if name.casefold() in folded:
            report(
                ("models", name),
                f"is {folded[name.casefold()]!r} in another case; models' names are compared without regard to case",
            )
        folded[name.casefold()] = name

    rules: list[CompiledRule] = []
    conditions: list[tuple[str, Condition]] = []
    places: list[int] = []
    names: set[str] = {"unmapped", "otherwise", "unreadable"}
    for index, rule in enumerate(file.rules):
        path = ("rules", index)
        if rule.name in names:
            report((*path, "name"), f"another rule has the name {rule.name!r}")
        names.add(rule.name)
        condition = compiler.condition(rule.when, (*path, "when"))
        decision = compiler.decision(rule.name, rule, path)
        if condition:
            inhibits = compile_inhibitions(rule, compiler.declarations, path, report)
            rules.append(CompiledRule(rule.name, condition, decision, rule.notify_owner, inhibits))
            conditions.append((rule.name, condition))
            places.append(index)
    for index, reason in unreachable(conditions):
        report(("rules", places[index], "when"), reason)
    for index, reason in missing_objectives([condition for _, condition in conditions], models, defaults):
        report(("rules", places[index], "when"), reason, warning=True)
    noise = compile_noise(
        file.noise or NoiseConfig(), compiler.declarations, compiler.condition, compiler.digest("low"), report
    )
    first = compiler.first_step("high")
    rollout = compile_rollout(file.rollout, first, compiler.condition, report)
    governance, ruled = file.governance, [condition for _, condition in conditions]
    return Policy(
        source=source,
        file=file,
        digest=source.digest,
        destinations=dict(destinations),
        models=models,
        default_model=defaults,
        rules=tuple(rules),
        unmapped=compiler.unconditional("unmapped", file.unmapped, ("unmapped",)),
        otherwise=compiler.unconditional("otherwise", file.otherwise, ("otherwise",)),
        unreadable=compiler.unconditional("unreadable", file.intake.unreadable, ("intake", "unreadable")),
        mappings=compile_mappings(file.intake, report),
        undecided=compiler.unconditional("undecided", OutcomeConfig(tier="critical"), ("tiers", "critical")),
        owners=compiler.owners({"defaults": defaults, **models}),
        regulated=compiler.condition(governance.regulated, ("governance", "regulated")) if governance else None,
        closed_by=governance.closed_by if governance else "",
        governance_tickets=compiler.targets(governance.ticket, ("governance", "ticket"), tickets=True)
        if governance
        else (),
        declarations=compiler.declarations,
        interpreter=Interpreter(
            compile_metrics(file.metrics, compiler.condition, report),
            compile_catalogue(file.models, models, ruled, report),
        ),
        named=NamedTopics(ruled),
        noise=noise,
        rollout=rollout,
        watchdog=compiler.watchdog(),
        describe_wait=file.intake.describe.wait,
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
    report: Report
    declarations: Declarations

    def __post_init__(self) -> None:
        # Compiled once, so that a problem in a tier is reported once and not by each rule that uses the tier.
        self._tiers = {tier: self._tier(tier) for tier in TIERS}

    def condition(self, source: str, path: _Path) -> Condition | None:
        try:
            condition = Condition(source, self.declarations)
        except ConditionError as error:
            for issue in error.issues:
                self.report(path, issue.message, issue.offset, warning=issue.warning)
            return None
        for issue in condition.warnings:
            self.report(path, issue.message, issue.offset, warning=True)
        return condition

    def targets(self, names: tuple[str, ...], path: _Path, *, tickets: bool = False) -> tuple[Target, ...]:
        found: list[Target] = []
        for name in names:
            config = self.destinations.get(name)
            if config is None:
                if name not in self.file.destinations:  # otherwise its own problem is reported
                    self.report(path, f"there is no destination {name!r}{did_you_mean(name, self.file.destinations)}")
            elif tickets and config.kind not in {"ticket", "console"}:
                self.report(path, f"{name!r} is of type {config.type}, which cannot open tickets")
            elif not tickets and config.kind == "ticket":
                self.report(path, f"{name!r} is of type {config.type}: name it under ticket, not here")
            elif "digest" in path and config.kind == "page":
                self.report(path, f"{name!r} is of type {config.type}, which pages and cannot receive digests")
            elif any(target.name == name for target in found):
                self.report(path, f"{name!r} is listed twice", warning=True)
            else:
                found.append(Target(name=name, type=config.type, kind=config.kind))
        return tuple(found)

    def owners(self, models: Mapping[str, ModelConfig]) -> Mapping[str, Target]:
        """The destinations that can be owners, by name: a monitor's tag may name any of them.

        Warns of other owners in the catalogue if a rule notifies the owner.
        """
        asking = [rule.name for rule in self.file.rules if rule.notify_owner]
        asking += [name for name in ("unmapped", "otherwise") if getattr(self.file, name).notify_owner]
        if self.file.intake.unreadable.notify_owner:
            asking.append("unreadable")
        found = {
            name: Target(name=name, type=config.type, kind=config.kind)
            for name, config in self.destinations.items()
            if config.kind != "ticket"
        }
        for model, entry in models.items():
            if asking and entry.owner and entry.owner not in found and "owner" in self._stated(model):
                self.report(
                    ("models", model, "owner"),
                    f"{entry.owner!r} is not a destination: {', '.join(asking)} notifies no owner, only names "
                    "them in messages",
                    warning=True,
                )
        return found

    def _stated(self, model: str) -> set[str]:
        entry = self.file.models.get(model)
        return entry.model_fields_set if entry else set()

    def _tier(self, tier: Tier) -> "_Tier":
        config = self.file.tiers[tier]
        steps, fallback = self._steps(tier), self.targets(config.fallback, ("tiers", tier, "fallback"))
        first = {target.name for step in steps[:1] for target in step.notify}
        if first and first == {target.name for target in fallback}:
            text = f"{fallback[0].name!r} is its own fallback: if it fails, nobody else is notified"
            self.report(("tiers", tier, "fallback"), text, warning=True)
        return _Tier(
            steps=steps,
            fallback=fallback,
            digest=self.targets(config.digest, ("tiers", tier, "digest")),
            config=config,
        )

    def _steps(self, tier: Tier) -> tuple[Step, ...]:
        """The tier's steps, with repeated steps listed once for each repetition."""
        steps: list[Step] = []
        before = 0.0
        for index, step in enumerate(self.file.tiers[tier].steps):
            path = ("tiers", tier, "steps", index)
            after = step.after or 0.0
            if index == 0 and step.after:
                self.report((*path, "after"), "the first step is immediate; use a rule's hold to wait")
            if index > 0 and after <= before:
                self.report(
                    (*path, "after"), "counts from the first step, so it must be longer than that of the previous step"
                )
            gap = after - before
            notify = self.targets(step.notify, (*path, "notify"))
            if index == 0 and step.repeat:
                self.report((*path, "repeat"), "the first step cannot be repeated: add a later step instead")
            steps.extend(Step(after=after + gap * turn, notify=notify) for turn in range(step.repeat + 1))
            before = after
        return tuple(steps)

    def first_step(self, tier: Tier) -> tuple[Target, ...]:
        """The destinations that a tier notifies first."""
        steps = self._tiers[tier].steps
        return steps[0].notify if steps else ()

    def digest(self, tier: Tier) -> tuple[Target, ...]:
        """The destinations in whose digest a tier is listed."""
        return self._tiers[tier].digest

    def watchdog(self) -> Watchdog | None:
        config = self.file.watchdog
        if config is None:
            return None
        drill, heartbeat = config.drill, config.heartbeat
        rules = [rule.name for rule in self.file.rules]
        if drill and drill.rule not in rules:
            self.report(
                ("watchdog", "drill", "rule"), f"there is no rule {drill.rule!r}{did_you_mean(drill.rule, rules)}"
            )
        return Watchdog(
            notify=self.targets(config.notify, ("watchdog", "notify")),
            after=config.after,
            heartbeat=Heartbeat(heartbeat.url, heartbeat.every) if heartbeat else None,
            drill=Drill(drill.rule, drill.every, drill.within) if drill else None,
        )

    def check_objectives(self) -> None:
        """An objective that a metric cannot reach makes a rule that never decides."""
        for model, entry in self.file.models.items():
            for name, number in entry.slo.items():
                unit, path = self.declarations.units.get(name, ""), ("models", model, "slo", name)
                if unit == "ratio" and not 0 <= number <= 1:
                    meant = f": write {number / 100:g} for {number:g} %" if 1 < number <= 100 else ""
                    self.report(path, f"found {number:g}; {name} is a ratio from 0 to 1{meant}")
                elif unit and unit != "score" and number < 0:
                    self.report(path, f"found {number:g}; {name} is never negative")

    def check_tiers(self) -> None:
        for name, tier in self._tiers.items():
            if not tier.config.steps and not tier.config.digest:
                self.report(("tiers", name), "this tier notifies nobody: give it steps or a digest")
        critical = [target for step in self._tiers["critical"].steps for target in step.notify]
        named = [name for step in self.file.tiers.critical.steps for name in step.notify]
        broken = any(name not in self.destinations for name in named)  # its own problem is reported
        if not broken and not any(target.kind in {"page", "console"} for target in critical):
            self.report(("tiers", "critical", "steps"), "a critical incident would page nobody")
        if self.file.tiers.low.respond_within:
            self.report(("tiers", "low", "respond_within"), "nobody acknowledges a digest; use the tier high")

    def unconditional(self, name: str, outcome: OutcomeConfig, path: _Path) -> CompiledRule:
        """The rule that applies without a condition."""
        return CompiledRule(name, None, self.decision(name, outcome, path), outcome.notify_owner)

    def decision(self, name: str, outcome: OutcomeConfig, path: _Path) -> Decision:
        """The decision of a rule, without the fields that depend on the alert."""
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
        names_any = any(named[:3]) or (outcome.notify is None and any(named[3:]))
        if not steps and not digest and not tickets and not names_any:
            self.report(path, "this notifies nobody and opens no ticket: every alert must reach someone")
        if outcome.tier == "critical" and not outcome.notify_owner and outcome.notify is not None:
            notified = [target for step in steps for target in step.notify]
            broken = any(name not in self.destinations for name in outcome.notify)
            if not broken and not any(target.kind in {"page", "console"} for target in notified):
                self.report((*path, "notify"), "a critical incident would page nobody")
        return Decision(
            rule=name,
            reason="",
            tier=outcome.tier,
            priority=outcome.priority,
            tags=outcome.tags,
            steps=steps,
            fallback=tier.fallback,
            digest=digest,
            tickets=tickets,
            hold=outcome.hold,
            respond_within=respond_within if steps else None,
            on_ack_timeout=self._on_ack_timeout(outcome.tier) if respond_within and steps else None,
            remind=tier.config.remind,
            **self._grouping(),
        )

    def _grouping(self) -> dict[str, Any]:
        noise = self.file.noise
        if noise is None:
            return {}
        within, flapping = noise.reopen_within, noise.flapping
        return {
            "group_window": noise.group_window,
            "refire_after": within,
            "reopen_within": within,
            "flapping": Flapping(**flapping.model_dump()) if flapping else None,
        }

    def _on_ack_timeout(self, tier: Tier) -> OnAckTimeout:
        louder = _LOUDER.get(tier)
        if louder is None:
            fallback = self._tiers[tier].fallback
            return OnAckTimeout(tier=tier, steps=(Step(notify=fallback),) if fallback else ())
        above = self._tiers[louder]
        return OnAckTimeout(tier=louder, steps=above.steps, fallback=above.fallback, remind=above.config.remind)
