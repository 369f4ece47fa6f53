"""Inhibition: which incidents notify nobody while another one is open, by the rules' ``inhibits``."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from alerts import Alert
from policy.cel.conditions import ConditionError
from policy.cel.declarations import Declarations
from policy.cel.field_path import FieldPath, compile_field_path
from policy.decision import TIERS, Inhibits, Tier
from policy.schema import ModelConfig, RuleConfig

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class CompiledInhibition:
    """Whose values must be the same, and the tiers that are inhibited."""

    same: tuple[FieldPath, ...]
    tiers: tuple[Tier, ...]

    def of(self, alert: Alert, model: ModelConfig) -> Inhibits | None:
        """What an incident of this alert inhibits; None if it lacks a value, which is equal to nothing."""
        values = {path.text: path.value(alert, model) for path in self.same}
        return Inhibits(values=values, tiers=self.tiers) if all(values.values()) else None


def compile_inhibitions(
    rule: RuleConfig,
    declarations: Declarations,
    place: _Path,
    report: Callable[[_Path, str, int | None], None],
) -> tuple[CompiledInhibition, ...]:
    """Problems go to ``report`` with their path and offset.

    Only lesser tiers can be inhibited, so that no incident inhibits itself, and no two inhibit each other.
    """
    found: list[CompiledInhibition] = []
    for index, one in enumerate(rule.inhibits):
        here: _Path = (*place, "inhibits", index)
        for tier in one.tiers:
            if TIERS.index(tier) >= TIERS.index(rule.tier):
                text = f"a rule of the tier {rule.tier} inhibits lesser tiers only: incidents of the tier {tier} could"
                report((*here, "tiers"), f"{text} be itself, or what inhibits it", None)
        paths: list[FieldPath] = []
        for position, source in enumerate(one.same):
            try:
                paths.append(compile_field_path(source, declarations))
            except ConditionError as error:
                for issue in error.issues:
                    report((*here, "same", position), issue.message, issue.offset)
        found.append(CompiledInhibition(tuple(paths), one.tiers))
    return tuple(found)


def label_paths(inhibitions: Iterable[CompiledInhibition]) -> tuple[FieldPath, ...]:
    """The fields by which some rule inhibits others."""
    return tuple({path.text: path for one in inhibitions for path in one.same}.values())


def is_inhibited_by(labels: dict[str, str], tier: Tier, inhibits: Sequence[Inhibits]) -> bool:
    """Whether an incident of this tier, with these values, is inhibited by one that inhibits so."""
    return any(
        tier in one.tiers and all(value and labels.get(path) == value for path, value in one.values.items())
        for one in inhibits
    )
