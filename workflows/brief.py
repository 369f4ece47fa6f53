"""What a message says about an incident: the same for every vendor, from the incident's state alone."""

from datetime import timedelta

from activities.contracts import TRIGGERED, Brief, Fact, Link
from alerts import Alert
from workflows.state import IncidentState

LOCK_SCREEN = 60
"""So many characters of a page are read on a locked phone: tier, model, what is wrong and by how much."""
_SHARES = ("_rate", "_ratio", "_share", "accuracy", "relevance", "precision", "recall")


def brief(state: IncidentState) -> Brief:
    """The brief of the incident as it stands. Empty fields are left out."""
    alert, decision = state.alert, state.decision
    assert alert is not None
    facts = [
        Fact(label="Drill", value=f"of rule {alert.drill}: nothing is on fire" if alert.drill else ""),
        Fact(label="Environment", value=alert.environment),
        Fact(label="Segment", value=", ".join(f"{key}: {value}" for key, value in alert.segment.items())),
        Fact(label="Model version", value=alert.model_version),
        Fact(label="Prompt version", value=alert.prompt_version),
        Fact(label="Baseline", value=_baseline(alert)),
        Fact(label="Since", value=f"{alert.occurred_at or state.opened_at:%Y-%m-%d %H:%M:%S} UTC"),
        Fact(label="Alerts", value=str(state.alerts) if state.alerts > 1 else ""),
        Fact(label="Team", value=decision.team if decision else ""),
        Fact(label="Owner", value=decision.owner if decision else ""),
        Fact(
            label="Closed by",
            value=f"a person with the role {decision.closed_by}" if decision and decision.closed_by else "",
        ),
        Fact(label="Acknowledged by", value=state.acknowledged_by),
        Fact(label="Monitor", value=alert.monitor),
    ]
    links = [Link(text="Arize monitor", url=alert.url)]
    if decision:
        links.append(Link(text="Runbook", url=decision.runbook))
        links += [Link(text=name.capitalize(), url=url) for name, url in decision.links.items()]
    due = decision.respond_within if decision else None
    return Brief(
        headline=headline(state),
        state=_STATES.get(state.state, state.state),
        tier=state.tier or "low",
        priority=decision.priority if decision else "",
        incident=state.incident,
        model=alert.model,
        team=decision.team if decision else "",
        environment=alert.environment,
        component=alert.monitor,
        metric=alert.metric,
        since=alert.occurred_at or state.opened_at,
        respond_by=state.opened_at + timedelta(seconds=due) if due else None,
        facts=tuple(facts),
        why=f"Rule {decision.rule}: {decision.why}" if decision else "",
        links=tuple(links),
        tags=(*(("drill",) if alert.drill else ()), *(decision.tags if decision else ())),
        closed_by=decision.closed_by if decision else "",
        drill=bool(alert.drill),
    )


_STATES = {
    "received": TRIGGERED,
    "notified": TRIGGERED,
    "holding": "Holding",
    "acknowledged": "Acknowledged",
    "awaiting_human": "Waiting for a person to close it",
    "resolved": "Resolved",
    "closed": "Resolved",
}


def headline(state: IncidentState) -> str:
    """``CRITICAL support-chatbot error_rate 31 % (limit 5 %) · production · eu-west-1 · premium``

    Names are shortened where what follows them would else be off a locked phone's screen.
    """
    alert = state.alert
    assert alert is not None
    begin = " ".join(["DRILL"] * bool(alert.drill) + [(state.tier or "alert").upper()])
    who = alert.model or alert.monitor
    what = alert.metric or (alert.monitor if alert.model else "")
    much = amount(alert.metric, alert.value)
    room = LOCK_SCREEN - len(begin) - len(much) - 3
    if len(who) + len(what) > room:
        what = _shortened(what, max(room - len(who), room // 2))
        who = _shortened(who, room - len(what))
    text = " ".join(part for part in (begin, who, what, much) if part)
    if alert.threshold is not None:
        text += f" (limit {amount(alert.metric, alert.threshold)})"
    elif alert.baseline and alert.value is not None:
        text += f" (was {amount(alert.metric, alert.baseline)})"
    where = [alert.environment, alert.region, *_segment(alert)]
    return " · ".join([text, *(part for part in where if part)])


def _shortened(name: str, room: int) -> str:
    """Both ends of a name: what tells it from others stands at the one or at the other."""
    if len(name) <= room:
        return name
    head = (room - 1) // 2
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"


def _segment(alert: Alert) -> list[str]:
    known = {alert.environment, alert.region, alert.model}
    return [value for value in alert.segment.values() if value.casefold() not in known and value not in known][:3]


def _baseline(alert: Alert) -> str:
    if alert.baseline is None:
        return ""
    text = amount(alert.metric, alert.baseline)
    return text if alert.change is None else f"{text} ({alert.change * 100:+,.0f} %)"


def amount(metric: str, value: float | None) -> str:
    """``31 %`` for a share, ``6,200 ms`` for a latency, else the number as it is."""
    if value is None:
        return ""
    if metric.endswith("_ms"):
        return f"{value:,.0f} ms" if abs(value) < 1e15 else f"{value:g} ms"
    if metric.endswith(_SHARES) and -1 <= value <= 1:
        return f"{value * 100:.3g} %"
    if 1000 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4g}"
