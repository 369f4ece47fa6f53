"""What keeps Tocsin quiet, compiled from the policy's section ``noise``."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from alerts import Alert, incident_id
from alerts.fingerprint import workflow_id
from policy.authoring.schedule_faults import cron_faults, rule_faults, timezone_faults
from policy.cel.conditions import Condition, ConditionError, Facts
from policy.cel.declarations import Declarations
from policy.cel.field_path import FieldPath, compile_field_path
from policy.decision import Budget, MaintenanceSpan, Seasonal, Target
from policy.durations import Seconds
from policy.maintenance import MAX_SPANS, MaintenanceWindow
from policy.noise_schema import MaintenanceConfig, NoiseConfig, PageBudgetConfig, SeasonalConfig
from policy.schema import ModelConfig
from policy.seasonal import MIN_PERIODS

_Path = tuple[str | int, ...]
Report = Callable[[_Path, str, int | None], None]
CompileCondition = Callable[[str, _Path], Condition | None]
_MAX_NAME = 80


@dataclass(frozen=True)
class PageBudget:
    """How many pages those who share a field's value get."""

    per: FieldPath
    pages: int
    within: Seconds


@dataclass(frozen=True)
class SeasonalEntry:
    """Which alerts are compared with what is usual, and how."""

    condition: Condition | None
    seasonal: Seasonal


@dataclass(frozen=True)
class Noise:
    """How alerts are grouped. ``config`` is the section as it was written."""

    config: NoiseConfig
    group_by: tuple[FieldPath, ...] = ()
    maintenance: tuple[MaintenanceWindow, ...] = ()
    budget: PageBudget | None = None
    seasonal: tuple[SeasonalEntry, ...] = ()

    @property
    def conditions(self) -> list[Condition | None]:
        return [*(one.condition for one in self.maintenance), *(one.condition for one in self.seasonal)]

    def seasonal_of(self, alert: Alert, facts: Facts, model: ModelConfig) -> Seasonal | None:
        """How an alert is compared with earlier values; None if it is not. In doubt it is not."""
        if alert.value is None or alert.status != "triggered" or alert.metric in model.slo:
            return None
        found = (one.seasonal for one in self.seasonal if one.condition is not None and one.condition.holds(facts))
        return next(found, None)

    def budget_of(self, alert: Alert, model: ModelConfig) -> Budget | None:
        """The page budget that an interpreted alert counts for; None if there is none, or no value to count by."""
        budget = self.budget
        value = budget.per.value(alert, model) if budget and not alert.drill and not alert.quarantined else ""
        if budget is None or not value:
            return None
        return Budget(scope=f"{budget.per.text} = {value}", pages=budget.pages, within=budget.within)

    def spans(self, facts: Facts, now: datetime) -> tuple[MaintenanceSpan, ...]:
        """The maintenance windows for an alert that have not ended. One whose condition cannot be evaluated is none."""
        found = [
            span
            for window in self.maintenance
            if window.condition is not None and window.condition.holds(facts)
            for span in window.spans(now)
        ]
        return tuple(sorted(found, key=lambda one: one.since)[:MAX_SPANS])

    def incident_of(self, alert: Alert, model: ModelConfig) -> str:
        """The id of the incident that an interpreted alert belongs to, unless its problem is in an open one already.

        Args:
            alert: the alert, in the policy's words. A drill, and a delivery that nothing can read, are never grouped.
            model: its entry in the catalogue.
        """
        if not self.group_by or alert.drill or alert.quarantined:
            return incident_id(alert)
        values = tuple([path.value(alert, model) for path in self.group_by])
        return _group_id(self.group_by, values) if all(values) else incident_id(alert)


@lru_cache(maxsize=4096)
def _group_id(paths: tuple[FieldPath, ...], values: tuple[str, ...]) -> str:
    named = [[path.text, value.casefold()] for path, value in zip(paths, values, strict=True)]
    digest = hashlib.sha256(json.dumps(["group", *named]).encode("utf-8", "surrogatepass")).hexdigest()
    return workflow_id("-".join(values), digest)


def compile_noise(
    config: NoiseConfig,
    declarations: Declarations,
    condition: CompileCondition,
    digest: tuple[Target, ...],
    report: Report,
) -> Noise:
    """Problems go to ``report`` with their path and offset. ``condition`` compiles a condition, and reports too.

    ``digest`` has the destinations that list what is expected.
    """
    paths: list[FieldPath] = []
    for index, source in enumerate(config.group_by):
        place: _Path = ("noise", "group_by", index)
        try:
            path = compile_field_path(source, declarations)
        except ConditionError as error:
            for issue in error.issues:
                report(place, issue.message, issue.offset)
            continue
        if any(path.text == one.text for one in paths):
            report(place, f"{path.text} is listed twice", None)
        paths.append(path)
    windows = [
        _window(one, ("noise", "maintenance", index), condition, report) for index, one in enumerate(config.maintenance)
    ]
    budget = config.page_budget and _budget(config.page_budget, declarations, report)
    seasonal = [
        _seasonal(one, ("noise", "seasonal", index), condition, digest, report)
        for index, one in enumerate(config.seasonal)
    ]
    return Noise(config, tuple(paths), tuple(windows), budget, tuple(seasonal))


def _budget(config: PageBudgetConfig, declarations: Declarations, report: Report) -> PageBudget | None:
    try:
        return PageBudget(compile_field_path(config.per, declarations), config.pages, config.within)
    except ConditionError as error:
        for issue in error.issues:
            report(("noise", "page_budget", "per"), issue.message, issue.offset)
        return None


def _seasonal(
    config: SeasonalConfig, place: _Path, condition: CompileCondition, digest: tuple[Target, ...], report: Report
) -> SeasonalEntry:
    if config.history < MIN_PERIODS * config.period:
        report((*place, "history"), f"must be {MIN_PERIODS} periods at least", None)
    seasonal = Seasonal(
        period=config.period, history=config.history, expected=Decimal(str(config.expected)), digest=digest
    )
    return SeasonalEntry(condition(config.when, (*place, "when")), seasonal)


def _window(config: MaintenanceConfig, place: _Path, condition: CompileCondition, report: Report) -> MaintenanceWindow:
    if bool(config.cron) == bool(config.rrule):
        report(place, "needs either cron or rrule", None)
    elif config.cron:
        for message in cron_faults(config.cron):
            report((*place, "cron"), message, None)
    else:
        for message in rule_faults(config.rrule):
            report((*place, "rrule"), message, None)
    for message in timezone_faults(config.timezone):
        report((*place, "timezone"), message, None)
    return MaintenanceWindow(
        condition(config.when, (*place, "when")),
        config.reason or config.when[:_MAX_NAME],
        config.duration,
        config.timezone,
        config.cron,
        config.rrule,
    )
