"""A plan as text: what ``terraform plan`` users expect, and nothing that a line of a monitor could forge."""

from collections.abc import Iterator
from typing import NamedTuple

from monitors.plan import Action, Change, ManualStep, Plan

_SIGNS: dict[Action, str] = {"create": "+", "update": "~", "replace": "-/+", "delete": "-"}
_COLOURS: dict[Action, str] = {"create": "green", "update": "yellow", "replace": "red", "delete": "red"}
_VERBS: dict[Action, str] = {
    "create": "will be created",
    "update": "will be changed",
    "replace": "will be replaced: the new monitor is created before the old one is deleted; its history is lost",
    "delete": "will be deleted, with its history",
}
_COUNTED: tuple[tuple[Action, str], ...] = (
    ("create", "to create"),
    ("update", "to change"),
    ("replace", "to replace"),
    ("delete", "to delete"),
)


class Line(NamedTuple):
    text: str
    colour: str = ""


def plan_lines(plan: Plan) -> Iterator[Line]:
    """The whole plan: changes, conflicts, steps by hand, and a summary as the last line."""
    for change in plan.changes:
        yield from change_lines(change)
        yield Line("")
    for conflict in plan.conflicts:
        yield Line(f"! {conflict.key}: {plain(conflict.text)}", "red")
    if plan.manual:
        yield Line("By hand, since Arize's API cannot do it:")
        for step in plan.manual:
            yield from step_lines(step)
    for key in plan.adopted:
        if key not in {change.key for change in plan.changes}:
            yield Line(f"{key} is taken over by its id; its first change writes Tocsin's mark into its notes.")
    yield Line(summary(plan))


def change_lines(change: Change) -> Iterator[Line]:
    """One change: its sign, and a line for each key that differs."""
    where = f" ({change.monitor_id})" if change.monitor_id else ""
    sign, colour = _SIGNS[change.action], _COLOURS[change.action]
    yield Line(f"{sign} {change.key}{where} {_VERBS[change.action]}", colour)
    width = max((len(one.key) for one in change.differences), default=0)
    for one in change.differences:
        forced = "  # cannot be changed in place" if one.key in change.replaced_because else ""
        before, after = plain(one.before) or "-", plain(one.after) or "-"
        text = {"create": after, "delete": before}.get(change.action, f"{before} -> {after}")
        yield Line(f"    {one.key:<{width}}  {text}{forced}")


def step_lines(step: ManualStep) -> Iterator[Line]:
    """A step by hand, and the address to open for it."""
    yield Line(f"  {step.key}: {plain(step.text)}")
    if step.url:
        yield Line(f"    {plain(step.url)}")


def summary(plan: Plan) -> str:
    """The plan in one line."""
    counts = [(sum(change.action == action for change in plan.changes), text) for action, text in _COUNTED]
    if not plan.changes and not plan.conflicts:
        return f"No changes: {plan.unchanged} of {plan.unchanged} monitors are as declared."
    parts = [f"{count} {text}" for count, text in counts if count or text != "to replace"]
    conflicts = f", {len(plan.conflicts)} in conflict" if plan.conflicts else ""
    return f"Plan: {', '.join(parts)}, {plan.unchanged} unchanged{conflicts}."


def plain(text: str) -> str:
    """A text on one line, without control characters: a name in Arize must not write to a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
