"""What a message says about an incident: the same for every vendor, from the incident's state alone."""

from activities.contracts import Brief, Fact, Link
from alerts import Alert
from workflows.state import IncidentState

_SHARES = ("_rate", "_ratio", "_share", "accuracy", "relevance", "precision", "recall")


def brief(state: IncidentState) -> Brief:
    """The brief of the incident as it stands. Empty fields are left out."""
    alert, decision = state.alert, state.decision
    assert alert is not None
    facts = [
        Fact(label="Environment", value=alert.environment),
        Fact(label="Segment", value=", ".join(f"{key}: {value}" for key, value in alert.segment.items())),
        Fact(label="Model version", value=alert.model_version),
        Fact(label="Prompt version", value=alert.prompt_version),
        Fact(label="Baseline", value=amount(alert.metric, alert.baseline)),
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
        facts=tuple(fact for fact in facts if fact.value),
        why=f"Rule {decision.rule}: {decision.why}" if decision else "",
        links=tuple(link for link in links if link.url),
        tags=decision.tags if decision else (),
    )


_STATES = {
    "received": "Triggered",
    "notified": "Triggered",
    "holding": "Holding",
    "acknowledged": "Acknowledged",
    "awaiting_human": "Waiting for a person to close it",
    "resolved": "Resolved",
    "closed": "Resolved",
}


def headline(state: IncidentState) -> str:
    """``CRITICAL support-chatbot error_rate 31 % (limit 5 %) · production · eu-west-1 · premium``"""
    alert = state.alert
    assert alert is not None
    what = alert.metric or (alert.monitor if alert.model else "")
    parts = [
        (state.tier or "alert").upper(),
        alert.model or alert.monitor,
        what,
        amount(alert.metric, alert.value),
    ]
    text = " ".join(part for part in parts if part)
    if alert.threshold is not None:
        text += f" (limit {amount(alert.metric, alert.threshold)})"
    where = [alert.environment, alert.region, *_segment(alert)]
    return " · ".join([text, *(part for part in where if part)])


def _segment(alert: Alert) -> list[str]:
    known = {alert.environment, alert.region, alert.model}
    return [value for value in alert.segment.values() if value.casefold() not in known and value not in known][:3]


def amount(metric: str, value: float | None) -> str:
    """``31 %`` for a share, ``6,200 ms`` for a latency, else the number as it is."""
    if value is None:
        return ""
    if metric.endswith("_ms"):
        return f"{value:,.0f} ms"
    if metric.endswith(_SHARES) and -1 <= value <= 1:
        return f"{value * 100:.3g} %"
    return f"{value:,.4g}" if abs(value) < 1e15 else f"{value:g}"
