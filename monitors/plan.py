"""A plan: what must change in a tenant so that it has the declared monitors. It can be saved, and applied later.

Arize's GraphQL API can change only some fields of a monitor (its patch inputs). Any other difference is a replacement:
the new monitor is created before the old one is deleted, so that the model is never unwatched; the old one's history
is lost. What the API cannot do at all is a step by hand.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from alerts import TocsinError
from monitors.describe import Difference, describe, differences
from monitors.load import Declarations
from monitors.ownership import Mark
from monitors.resolve import Desired
from monitors.state import REST_FIELDS, MonitorState
from monitors.tenant import Observed, Tenant
from monitors.vocabulary import SETTABLE_OPERATORS

Action = Literal["create", "update", "replace", "delete"]
_KEYS = {"schedule": "cadence"}
"""Fields that a declaration calls otherwise."""
_ORDER: dict[Action, int] = {"create": 0, "update": 1, "replace": 2, "delete": 3}
"""What adds or corrects alarms comes before what removes them: an interrupted apply leaves too many, never too few."""


class PlanError(TocsinError):
    """A plan cannot be read, or no longer fits the tenant."""

    code: ClassVar[str] = "invalid_plan"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(_Frozen):
    """One change. ``mark`` is the one that the monitor has afterwards; of a deletion, the one that it has now."""

    action: Action
    key: str
    name: str
    mark: Mark
    monitor_id: str = ""
    """The monitor that is changed, replaced or deleted."""
    space_id: str = ""
    """The space in which missing tags are created."""
    before: MonitorState | None = None
    after: MonitorState | None = None
    tags_before: tuple[str, ...] = ()
    tags_after: tuple[str, ...] | None = None
    """None if tags are not managed."""
    differences: tuple[Difference, ...] = ()
    replaced_because: tuple[str, ...] = ()
    """The keys that cannot be changed in place."""
    webhooks: tuple[str, ...] = ()
    """URLs that should be attached afterwards: those that are declared, and those that were attached before."""


class Conflict(_Frozen):
    """Why a declaration cannot be planned: a person must decide. Nothing is changed for it."""

    key: str
    text: str


class ManualStep(_Frozen):
    """What Arize's API cannot do. It does not count as a change."""

    key: str
    text: str
    url: str = ""


class Plan(_Frozen):
    """All changes, and the state of the tenant that they were planned for."""

    version: Literal[1] = 1
    tenant: str
    """The root of Arize's API and the space."""
    namespace: str
    declarations: str
    """The digest of the files."""
    base: dict[str, str]
    """The digest of every managed monitor's state, by its id."""
    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    conflicts: tuple[Conflict, ...] = ()
    manual: tuple[ManualStep, ...] = ()
    adopted: tuple[str, ...] = ()
    """Keys of monitors that are taken over by id, and do not have the mark yet; their first change writes it."""
    checksum: str = ""

    def saved(self) -> str:
        """The content of a plan file."""
        return self.model_copy(update={"checksum": self._checksum()}).model_dump_json(indent=2) + "\n"

    def _checksum(self) -> str:
        text = self.model_copy(update={"checksum": ""}).model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def read(cls, text: str) -> "Plan":
        """A saved plan. Raises PlanError if it was not saved by ``saved``, or was edited."""
        try:
            plan = cls.model_validate_json(text)
        except ValidationError:
            raise PlanError("not a plan of this version: write it with tocsin arize plan --out") from None
        if plan.checksum != plan._checksum():
            raise PlanError("the plan was edited after it was saved; change the declarations, and plan again")
        return plan


_COPIES = "apply an interrupted plan again, or delete the copies that somebody made, or the mark in their notes"


def make_plan(declarations: Declarations, desired: Iterable[Desired], tenant: Tenant, *, root: str) -> Plan:
    """The changes from the tenant's state to the desired states."""
    desired = tuple(desired)
    planner = _Planner(declarations.namespace, tenant, bound=frozenset(one.takes_over for one in desired))
    for one in desired:
        planner.add(one)
    planner.delete_others({one.key for one in desired})
    return Plan(
        tenant=root,
        namespace=declarations.namespace,
        declarations=declarations.digest,
        base=base_of(tenant, declarations.namespace, [one.takes_over for one in desired]),
        changes=tuple(sorted(planner.changes, key=lambda change: (_ORDER[change.action], change.key))),
        unchanged=planner.unchanged,
        conflicts=tuple(planner.conflicts),
        manual=tuple(planner.manual),
        adopted=tuple(planner.adopted),
    )


def base_of(tenant: Tenant, namespace: str, others: Iterable[str] = ()) -> dict[str, str]:
    """The digest of each managed monitor, and of others by id."""
    found = [one for same_key in tenant.managed(namespace).values() for one in same_key]
    found += [tenant.by_id[one] for one in others if one in tenant.by_id]
    return {one.id: observed_digest(one) for one in found}


def observed_digest(monitor: Observed) -> str:
    return monitor.state.digest(monitor.tags)


class _Planner:
    def __init__(self, namespace: str, tenant: Tenant, *, bound: frozenset[str]) -> None:
        self.changes: list[Change] = []
        self.conflicts: list[Conflict] = []
        self.manual: list[ManualStep] = []
        self.adopted: list[str] = []
        self.unchanged = 0
        self._namespace, self._tenant, self._bound = namespace, tenant, bound
        self._managed = tenant.managed(namespace)

    def add(self, desired: Desired) -> None:
        """Plan what one declaration asks for."""
        found = {one.id: one for one in self._managed.get(desired.key, [])}
        if desired.takes_over:
            found[desired.takes_over] = self._tenant.by_id[desired.takes_over]
        if len(found) > 1:
            ids = ", ".join(sorted(found))
            self._conflict(desired.key, f"several monitors have its mark ({ids}): {_COPIES}")
            return
        unreadable = [
            f"{one}: {found.reason}"
            for one, found in self._tenant.unreadable.items()
            if found.mark and (found.mark.namespace, found.mark.key) == (self._namespace, desired.key)
        ]
        if unreadable:
            self._conflict(desired.key, f"its monitor cannot be read: {'; '.join(unreadable)}")
            return
        current = next(iter(found.values()), None)
        desired = _with_baseline(desired, current)
        if current is None:
            self._create(desired)
            return
        if current.mark is None:
            self.adopted.append(desired.key)
        change = self._change(desired, current)
        if change is None:
            self.unchanged += 1
        elif reason := unsettable(desired.state, current.state if change.action == "update" else None):
            self._conflict(desired.key, reason)
        else:
            self.changes.append(change)
        replaced = change is not None and change.action == "replace"
        webhooks = change.webhooks if change else desired.webhooks
        self.manual += manual_steps(desired.key, desired.state, webhooks, None if replaced else current)

    def _create(self, desired: Desired) -> None:
        namesake = namesake_of(desired, self._tenant, self._bound)
        if namesake:
            text = (
                f"{namesake.id} has its name and project, but not its mark, so that it may belong to somebody else: "
                f"to take it over, add `id: {namesake.id}` to the declaration; else rename one of the two"
            )
            self._conflict(desired.key, text)
            return
        if reason := unsettable(desired.state, None):
            self._conflict(desired.key, reason)
            return
        after = describe(desired.state, desired.tags, self._tenant)
        self.changes.append(
            Change(
                action="create",
                key=desired.key,
                name=desired.state.name,
                mark=desired.mark(self._namespace),
                space_id=self._space(desired.state),
                after=desired.state,
                tags_after=desired.tags,
                webhooks=desired.webhooks,
                differences=differences({}, after),
            )
        )
        self.manual += manual_steps(desired.key, desired.state, desired.webhooks, None)

    def _change(self, desired: Desired, current: Observed) -> Change | None:
        """The update or the replacement; None if nothing differs."""
        tags = desired.tags
        same_tags = tags is None or same_names(tags, current.tags)
        if desired.state == current.state and same_tags:
            return None
        before = describe(current.state, None if tags is None else current.tags, self._tenant)
        after = describe(desired.state, tags, self._tenant)
        reasons = tuple(_not_patchable(current.state, desired.state))
        return Change(
            action="replace" if reasons else "update",
            key=desired.key,
            name=desired.state.name,
            mark=desired.mark(self._namespace),
            monitor_id=current.id,
            space_id=self._space(desired.state),
            before=current.state,
            after=desired.state,
            tags_before=current.tags,
            tags_after=tags if tags is not None or not reasons else current.tags or None,
            differences=differences(before, after),
            replaced_because=reasons,
            webhooks=() if desired.state.phase == "observe" else tuple(sorted({*desired.webhooks, *current.webhooks})),
        )

    def delete_others(self, declared: set[str]) -> None:
        """Plan to delete the managed monitors that are not declared."""
        for key, found in self._managed.items():
            if key not in declared and len(found) > 1:
                ids = ", ".join(sorted(one.id for one in found))
                self._conflict(key, f"it is not declared, and several monitors have its mark ({ids}): {_COPIES}")
                continue
            for one in found if key not in declared else ():
                assert one.mark is not None
                self.changes.append(
                    Change(
                        action="delete",
                        key=key,
                        name=one.state.name,
                        mark=one.mark,
                        monitor_id=one.id,
                        before=one.state,
                        tags_before=one.tags,
                        differences=differences(describe(one.state, one.tags, self._tenant), {}),
                    )
                )

    def _conflict(self, key: str, text: str) -> None:
        self.conflicts.append(Conflict(key=key, text=text))

    def _space(self, state: MonitorState) -> str:
        return next((one.space_id for one in self._tenant.projects if one.id == state.project), "")


def namesake_of(desired: Desired, tenant: Tenant, bound: Collection[str] = ()) -> Observed | None:
    """A monitor without any mark that has a declaration's name and project, and is not bound by its id."""
    wanted = (desired.state.project, desired.state.name.casefold())
    return next(
        (
            one
            for one in tenant.monitors
            if not one.mark and one.id not in bound and (one.state.project, one.state.name.casefold()) == wanted
        ),
        None,
    )


def unsettable(state: MonitorState, current: MonitorState | None) -> str:
    """Why Arize's API cannot set this state; empty if it can. What an update keeps need not be set."""
    if state.threshold.calculation == "mad" and (current is None or current.threshold != state.threshold):
        return "Arize's API cannot set the calculation mad: set it in Arize, or use stdev"
    operators = {one.operator for one in state.filters} - SETTABLE_OPERATORS
    if operators and (current is None or current.filters != state.filters):
        return f"Arize's API cannot set the filter operator {min(operators)}: set the filters in Arize"
    return ""


def manual_steps(
    key: str, state: MonitorState, webhooks: Iterable[str], current: Observed | None
) -> Iterator[ManualStep]:
    """The steps by hand that a monitor needs; ``current`` is None for one that does not exist yet."""
    attached = set(current.webhooks) if current else set[str]()
    url = current.url if current else ""
    for webhook in webhooks:
        if webhook not in attached:
            text = f"in Arize, open the monitor, and add the webhook {webhook} to its notifications"
            yield ManualStep(key=key, text=text, url=url)
    if state.phase == "observe":
        for webhook in sorted(attached):
            text = f"in Arize, open the monitor, and remove the webhook {webhook}: its phase is observe"
            yield ManualStep(key=key, text=text, url=url)
    elif current and not current.notifications_enabled and (state.contacts or attached):
        yield ManualStep(key=key, text="in Arize, open the monitor, and enable its notifications", url=url)


def same_names(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two sets of tags are the same: Arize compares names without regard to case."""
    return {name.casefold() for name in one} == {name.casefold() for name in other}


def _with_baseline(desired: Desired, current: Observed | None) -> Desired:
    """With the baseline that the monitor has, if it is not managed; a new monitor begins with the model's."""
    if desired.state.baseline != "unmanaged":
        return desired
    baseline = current.state.baseline if current else "model"
    return replace(desired, state=desired.state.model_copy(update={"baseline": baseline}))


def _not_patchable(before: MonitorState, after: MonitorState) -> Iterator[str]:
    """The fields that differ, and that no patch input has."""
    for name in MonitorState.model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        dynamic_range = after.threshold.is_range and bool(after.threshold.calculation)
        if name not in REST_FIELDS or (name == "threshold" and dynamic_range):  # no patch input has stdDevMultiplier2
            yield _KEYS.get(name, name)
