"""What the policy would decide about every monitor of a tenant, and which monitors have a gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alerts import Alert, Description
from monitors.hypothetical import Side, hypothetical_alerts
from policy import Decision, Policy, Tier, format_duration
from policy.authoring.near_misses import NearMiss, near_misses
from policy.decision import TIERS
from policy.meaning.gaps import gap

DEFAULT_CADENCE = 3600
"""Seconds between two evaluations of a monitor that states no schedule, by Arize's documentation."""


class Gap(StrEnum):
    """What keeps a monitor's alert from being handled as its authors want."""

    UNMAPPED = "unmapped"
    """No rule names its metric."""
    UNDESCRIBED = "undescribed"
    """Arize does not say all that the decision needs."""
    UNNOTIFIED = "unnotified"
    """It does not notify a webhook of Tocsin."""
    NEVER_EVALUATED = "never-evaluated"
    """Arize has not evaluated it yet."""
    DISABLED = "disabled"
    """Its notifications are switched off in Arize."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """One monitor, as the policy understands it."""

    description: Description
    side: Side
    alert: Alert
    """As if the monitor triggered now, in the policy's words."""
    decision: Decision
    notified: tuple[str, ...]
    """The names of all destinations that the decision would use, in the order of time."""
    gaps: tuple[Gap, ...]
    hints: tuple[str, ...]
    louder: NearMiss | None = None
    """A louder rule that only a further value would match."""

    @property
    def tier(self) -> Tier:
        return self.decision.tier

    @property
    def name(self) -> str:
        return str(self.description.monitor.get("name") or self.description.monitor_id)

    @property
    def url(self) -> str:
        return self.alert.url


def cover(policy: Policy, description: Description, now: datetime, *, attached: bool) -> Coverage:
    """What the policy decides if the monitor triggers now, see ``monitors.hypothetical``; of a range, the louder side.

    Args:
        policy: The policy.
        description: Of the monitor.
        now: The time of the decision.
        attached: Whether the monitor notifies a webhook of Tocsin.
    """
    tried: list[tuple[Side, Alert, Decision]] = [
        (side, meant, policy.decide(meant, now))
        for side, alert in hypothetical_alerts(description)
        for meant in [policy.interpret(alert)]
    ]
    side, alert, decision = max(tried, key=lambda one: TIERS.index(one[2].tier))
    louder = _louder(policy, alert, decision, now)
    return Coverage(
        description=description,
        side=side,
        alert=alert,
        decision=decision,
        notified=notified_by(decision),
        gaps=tuple(_gaps(policy, description, decision, attached=attached)),
        hints=tuple(_hints(policy, description, alert, decision, louder)),
        louder=louder,
    )


def cadence(alert: Alert) -> tuple[int, str]:
    """Seconds between two evaluations of an alert's monitor, and words if that is only Arize's default."""
    return (alert.cadence_seconds, "") if alert.cadence_seconds else (DEFAULT_CADENCE, " (Arize's default)")


def _gaps(policy: Policy, description: Description, decision: Decision, *, attached: bool) -> list[Gap]:
    monitor = description.monitor
    found = {
        Gap.UNMAPPED: decision.rule == policy.unmapped.name,
        Gap.UNDESCRIBED: bool(description.missing),
        Gap.UNNOTIFIED: not attached,
        Gap.NEVER_EVALUATED: not monitor.get("evaluated_at"),
        Gap.DISABLED: monitor.get("notifications_enabled") is False,
    }
    return [one for one, is_so in found.items() if is_so]


def _hints(
    policy: Policy, description: Description, alert: Alert, decision: Decision, louder: NearMiss | None
) -> list[str]:
    hints: list[str] = []
    if decision.rule == policy.unmapped.name and not description.missing:
        hints.append(f"no rule names its metric: {gap(alert)}")
    hints += [f"Arize did not answer {one}" for one in description.missing]
    if alert.value is None and not description.missing:
        hints.append("its dynamic threshold has no number yet, so the decision is made in doubt")
    every, default = cadence(alert)
    if decision.hold and decision.hold < every:
        hints.append(
            f"the hold of {format_duration(decision.hold)} of the rule {decision.rule} is shorter than the monitor's "
            f"cadence of {format_duration(every)}{default}: no clear can arrive meanwhile, so it only delays the "
            "notification"
        )
    if alert.cadence_seconds and alert.window_seconds and alert.window_seconds < alert.cadence_seconds:
        hints.append(
            f"evaluated every {format_duration(every)} over {format_duration(alert.window_seconds)}: what happens in "
            "between is not seen"
        )
    if louder:
        hints.append(f"{louder.tier} by {louder}")
    return hints


def _louder(policy: Policy, alert: Alert, decision: Decision, now: datetime) -> NearMiss | None:
    """The nearest louder rule that a further value would match: the monitor triggers long before it."""
    if alert.value is None:
        return None
    for miss in near_misses(policy, alert, now):
        if TIERS.index(miss.tier) > TIERS.index(decision.tier) and (
            "alert.value" in miss.needs or "alert.change" in miss.needs
        ):
            return miss
    return None


def notified_by(decision: Decision) -> tuple[str, ...]:
    targets = [target for step in decision.steps for target in step.notify]
    return tuple(dict.fromkeys(one.name for one in (*targets, *decision.tickets, *decision.digest)))


def summarize(rows: Sequence[Coverage]) -> str:
    """All monitors in one line: how many, by tier, and how many have each gap."""
    counted = [f"{count} {tier}" for tier in reversed(TIERS) if (count := sum(one.tier == tier for one in rows))]
    gaps = [f"{count} {one}" for one in Gap if (count := sum(one in row.gaps for row in rows))]
    text = f"{len(rows)} monitor{'' if len(rows) == 1 else 's'}: {', '.join(counted) or 'none'}"
    return f"{text}; gaps: {', '.join(gaps)}" if gaps else f"{text}; no gaps" if rows else text
