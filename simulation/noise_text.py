"""What keeps an alert quiet by the policy, in lines for people."""

from collections.abc import Iterator
from datetime import datetime

from alerts import Alert
from incident.text import counted
from policy import Decision, Policy, format_duration


def noise_lines(policy: Policy, alert: Alert, decision: Decision, now: datetime) -> Iterator[tuple[str, str]]:
    """A name and a text for each part of ``noise`` and ``rollout`` that concerns an interpreted alert."""
    noise = policy.noise
    if noise.group_by and not alert.drill:
        model = policy.model(alert.model)
        values = [f"{path.text} = {path.value(alert, model) or 'missing'}" for path in noise.group_by]
        lacks = any(not path.value(alert, model) for path in noise.group_by)
        alone = "; one is missing, so it has an incident of its own" if lacks else ""
        yield "incident", f"{policy.incident_of(alert)}, by {', '.join(values)}{alone}"
        yield "same fire", f"within {format_duration(decision.group_window)} after the incident's last page"
    if decision.reopen_within:
        yield "reopens", f"its incident, if that closed less than {format_duration(decision.reopen_within)} ago"
    for span in decision.maintenance[:3]:
        is_open = "open now" if span.since <= now else "next"
        yield "maintenance", f"{is_open}: {span.since:%Y-%m-%d %H:%M} to {span.until:%Y-%m-%d %H:%M} UTC, {span.reason}"
    if (flapping := decision.flapping) is not None:
        until = f"until it is stable for {format_duration(flapping.until_stable)}"
        within = f"{flapping.changes} changes within {format_duration(flapping.within)}"
        yield "flapping", f"after {within} one notification says so, and the rest is folded into it {until}"
    if (seasonal := decision.seasonal) is not None:
        every, back = format_duration(seasonal.period), format_duration(seasonal.history)
        known = f"{seasonal.expected} of what it was at this hour, every {every}, in the last {back}"
        yield "expected", f"nobody is notified if the value is within {known}"
    for one in decision.inhibits:
        same = " and ".join(f"{path} = {value}" for path, value in one.values.items())
        yield "inhibits", f"while it is open, incidents of {same} that are {' or '.join(one.tiers)} notify nobody"
    if (budget := decision.budget) is not None:
        pages = counted(budget.pages, "page")
        yield "page budget", f"{budget.scope}: {pages} within {format_duration(budget.within)}; more is listed in one"
    if decision.phase != "page":
        names = ", ".join(target.name for target in decision.withheld)
        yield "rollout", f"phase {decision.phase}" + (f": {names} would be notified in phase page" if names else "")
