"""Builds the content of a message from an incident's state."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from alerts import Alert
from incident.amounts import format_amount
from incident.message import TRIGGERED, Fact, Link, MessageContent
from incident.state import IncidentState
from incident.text import counted
from policy.decision import TIERS

MAX_LISTED = 10
"""Monitors that a message names, of each status."""
LOCK_SCREEN_CHARS = 60
"""What a locked phone shows of a page: tier, model, metric and value must fit."""
_STATE_TEXTS = {
    "received": TRIGGERED,
    "notified": TRIGGERED,
    "holding": "Holding",
    "suppressed": "Suppressed",
    "acknowledged": "Acknowledged",
    "awaiting_human": "Waiting for a person to close it",
    "resolved": "Resolved",
    "closed": "Resolved",
}


def build_message(state: IncidentState) -> MessageContent:
    """The message about an incident in its current state."""
    alert, decision = state.alert, state.decision
    assert alert is not None
    respond_within = decision.respond_within if decision else None
    return MessageContent(
        headline=headline(state),
        state=_STATE_TEXTS[state.state],
        tier=state.tier or "low",
        priority=decision.priority if decision else "",
        incident=state.incident,
        model=alert.model,
        team=decision.team if decision else "",
        environment=alert.environment,
        component=alert.monitor,
        metric=alert.metric,
        since=_since(state, alert),
        respond_by=state.opened_at + timedelta(seconds=respond_within) if respond_within else None,
        facts=_facts(state, alert),
        reason=f"Rule {decision.rule}: {decision.reason}" if decision else "",
        links=_links(state, alert),
        tags=(*(("drill",) if alert.drill else ()), *(decision.tags if decision else ())),
        closed_by=decision.closed_by if decision else "",
        drill=bool(alert.drill),
    )


def _facts(state: IncidentState, alert: Alert) -> tuple[Fact, ...]:
    decision = state.decision
    closed_by = decision.closed_by if decision else ""
    values = {
        "Drill": f"of rule {alert.drill}: no real alert" if alert.drill else "",
        "Unreadable": alert.notes if alert.quarantined else "",
        "Show it": f"tocsin intake show {alert.quarantined}" if alert.quarantined else "",
        **_problems(state),
        **_listed_incidents(state),
        "Environment": alert.environment,
        "Measured": _measured(alert),
        "Segment": _pairs(alert.segment),
        "Excluded": _pairs(alert.excluded),
        "Model version": alert.model_version,
        "Prompt version": alert.prompt_version,
        "Baseline": _baseline(alert),
        "Window": _window(alert),
        "No number": ", ".join(f"{name} {text!r}" for name, text in alert.unread.items()),
        "Since": f"{_since(state, alert):%Y-%m-%d %H:%M:%S} UTC",
        "Deliveries": str(state.alert_count) if alert.quarantined else "",
        "Fired again": counted(state.refire_count, "time") if state.refire_count else "",
        "Alerts": str(state.alert_count) if state.alert_count > 1 and not alert.quarantined else "",
        "Team": decision.team if decision else "",
        "Owner": decision.owner if decision else "",
        "Must be closed by": f"a person with the role {closed_by}" if closed_by else "",
        "Acknowledged by": state.acknowledged_by,
        "Monitor": alert.monitor,
        "Project": alert.project if alert.project != alert.model else "",
        "Not described": alert.undescribed,
    }
    return tuple(Fact(label=label, value=value) for label, value in values.items())


def _problems(state: IncidentState) -> dict[str, str]:
    """The incident's monitors, if it has several: the triggered ones, the loudest first, and those that cleared."""
    known = {key: one for key, one in state.problems.items() if one.alert_count}
    if len(known) < 2:
        return {}
    triggered = [f"{one.monitor} ({_problem_text(state, key)})" for key, one in state.open_problems.items()]
    cleared = [one.monitor for one in known.values() if not one.is_open]
    return {"Triggered": _listed(triggered), "Cleared": _listed(cleared)}


def _listed_incidents(state: IncidentState) -> dict[str, str]:
    """The incidents that notify nobody because of this one, by what suppresses them; the loudest first."""
    labels = {"inhibition": "Inhibited", "budget": "Beyond the page budget"}
    found: dict[str, str] = {}
    listed = sorted(state.listed.values(), key=lambda one: -TIERS.index(one.tier))
    for kind, label in labels.items():
        mine = [one for one in listed if one.kind == kind]
        names = [f"{one.tier.upper()} {one.model} {one.monitor} ({one.incident})" for one in mine]
        if mine:
            found[label] = f"{counted(len(mine), 'incident')}: {_listed(names)}"
    if state.listed_beyond:
        found["Listed no more"] = counted(state.listed_beyond, "further incident")
    return found


def _problem_text(state: IncidentState, key: str) -> str:
    problem = state.problems[key]
    alert = problem.alert
    value = format_amount(alert, alert.value) if alert else ""
    is_quiet = "held" if problem.tier is None else "flapping" if problem.flapping_since else ""
    words = (state.tier_of(key), is_quiet, "no data" if problem.status == "no_data" else value)
    return ", ".join(word for word in words if word)


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_LISTED
    return "; ".join([*names[:MAX_LISTED], *([f"and {more} more"] if more > 0 else [])])


def _since(state: IncidentState, alert: Alert) -> datetime:
    """When it happened. A time of an unknown time zone does not say that, nor one that is missing."""
    first = state.times.first_arrived_at or state.opened_at
    return alert.occurred_at if alert.occurred_at and not alert.local_time else min(first, state.opened_at)


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in labels.items())


def _window(alert: Alert) -> str:
    """The time to look at in Arize."""
    window = alert.failing_window()
    if window is None:
        return ""
    begin, end = window
    last = f"{end:%H:%M:%S}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{begin:%Y-%m-%d %H:%M:%S} to {last} UTC"


def _measured(alert: Alert) -> str:
    """What the monitor measures in Arize's words, for a person who looks for it there."""
    if alert.custom_metric or alert.custom_metric_id:
        return f"custom metric {alert.custom_metric or alert.custom_metric_id}"
    if alert.aggregation and alert.dimension:
        return f"{alert.aggregation} of {alert.dimension}"
    return ""


def _links(state: IncidentState, alert: Alert) -> tuple[Link, ...]:
    links = [Link(text="Arize monitor", url=alert.url)]
    if decision := state.decision:
        links.append(Link(text="Runbook", url=decision.runbook))
        links += [Link(text=name.capitalize(), url=url) for name, url in decision.links.items()]
    return tuple(links)


def headline(state: IncidentState) -> str:
    """``CRITICAL support-chatbot error_rate 31 % (limit 5 %) · production · eu-west-1 · premium``

    Names are shortened when the value would otherwise not fit on a locked phone's screen.
    """
    alert = state.alert
    assert alert is not None
    prefix = " ".join(["DRILL"] * bool(alert.drill) + [(state.tier or "alert").upper()])
    model = alert.model or alert.monitor
    metric = alert.metric or (alert.monitor if alert.model else "")
    value = format_amount(alert, alert.value)
    room = LOCK_SCREEN_CHARS - len(prefix) - len(value) - 3
    if len(model) + len(metric) > room:
        metric = _shortened(metric, max(room - len(model), room // 2))
        model = _shortened(model, room - len(metric))
    text = " ".join(part for part in (prefix, model, metric, value) if part)
    if alert.threshold is not None:
        text += f" (limit {format_amount(alert, alert.threshold)})"
    elif alert.baseline and alert.value is not None:
        text += f" (was {format_amount(alert, alert.baseline)})"
    others = sum(key != state.lead for key in state.open_problems)
    more = f"+{counted(others, 'more problem')}" if others and not state.is_over else ""
    places = [more, alert.environment, alert.region, *_segment_values(alert)]
    return " · ".join([text, *(place for place in places if place)])


def _shortened(name: str, room: int) -> str:
    """Both ends of a name: either may be what distinguishes it."""
    if len(name) <= room:
        return name
    head = (room - 1) // 2
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"


def _segment_values(alert: Alert) -> list[str]:
    shown = {alert.environment, alert.region, alert.model}
    return [value for value in alert.segment.values() if value.casefold() not in shown and value not in shown][:3]


def _baseline(alert: Alert) -> str:
    if alert.baseline is None:
        return ""
    text = format_amount(alert, alert.baseline)
    return text if alert.change is None else f"{text} ({alert.change * 100:+,.0f} %)"
