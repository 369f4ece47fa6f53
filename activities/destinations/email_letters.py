"""What stands in a mail: subject, text, HTML and its pictures. Jinja2 escapes whatever an alert wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from activities.contracts import Brief, Delivery, DigestIssue, Trend

_COLOUR = {"critical": "#b91c1c", "high": "#b45309", "low": "#1d4ed8"}
_NOBODY = "no team"


@dataclass(frozen=True)
class Letter:
    subject: str
    text: str
    html: str
    at: datetime
    incident: str = ""
    pictures: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """PNG files, by the name that the HTML calls them."""


@dataclass(frozen=True)
class _Group:
    """The incidents of one model."""

    model: str
    briefs: list[Brief]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("activities", "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known: Any = environment  # Jinja2's own annotations name its own filters alone
    known.filters.update(duration=_duration, moment=_moment, compared=_compared)
    known.globals.update(colour=_COLOUR)
    return environment


def incident_letter(delivery: Delivery) -> Letter:
    reminder = delivery.verb == "remind"
    shown = {"brief": delivery.brief, "note": delivery.note, "reminder": reminder}
    subject = f"{'REMINDER ' if reminder else ''}{delivery.brief.headline}"
    return _letter("incident", subject, delivery.brief.since, delivery.brief.incident, shown)


def note_letter(delivery: Delivery) -> Letter:
    shown = {"brief": delivery.brief, "note": delivery.note or delivery.brief.state}
    return _letter("note", f"Re: {delivery.brief.headline}", None, delivery.brief.incident, shown)


def digest_letter(issue: DigestIssue) -> Letter:
    from activities.destinations.email_charts import counts_chart, tiers_chart  # heavy to load

    count = len(issue.counted)
    drills = len(issue.briefs) - count
    before = issue.counts[-2] if len(issue.counts) > 1 else None
    pictures: dict[str, bytes] = {}
    if sum(issue.counts):
        pictures["counts"] = counts_chart(issue.periods, issue.counts)
    if issue.trend is not None and any(map(sum, issue.trend.tiers.values())):
        pictures["tiers"] = tiers_chart(issue.trend.periods, issue.trend.tiers)
    shown = {
        "issue": issue,
        "count": count,
        "drills": drills,
        "before": before,
        "total": _total(issue.trend) if issue.trend else "",
        "teams": _by_team(issue.briefs),
        "pictures": pictures,
        "until": issue.until or datetime.now(UTC),
    }
    if issue.trend:
        subject = f"Tocsin trend report: {_total(issue.trend)}, {count} in your digest"
    else:
        subject = f"Tocsin: {_incidents(count)}{f' ({_compared(count, before)})' if before is not None else ''}"
    return _letter("digest", f"{subject} · {issue.destination}", issue.until, "", shown, pictures)


def _letter(
    name: str,
    subject: str,
    at: datetime | None,
    incident: str,
    shown: dict[str, Any],
    pictures: Mapping[str, bytes] | None = None,
) -> Letter:
    html = _templates().get_template(f"{name}.html").render(subject=subject, **shown)
    text = _templates().get_template(f"{name}.txt").render(subject=subject, **shown)
    return Letter(subject, text.strip() + "\n", html, at or datetime.now(UTC), incident, pictures or {})


def _by_team(briefs: tuple[Brief, ...]) -> dict[str, list[_Group]]:
    """Teams by name, whose is nobody's last; of each the model first that had most."""
    groups: dict[tuple[str, str], list[Brief]] = {}
    for brief in briefs:
        groups.setdefault((brief.team or _NOBODY, brief.model or brief.component), []).append(brief)
    order = sorted(groups, key=lambda key: (key[0] == _NOBODY, key[0].casefold(), -len(groups[key]), key[1].casefold()))
    teams: dict[str, list[_Group]] = {}
    for team, model in order:
        teams.setdefault(team, []).append(_Group(model, groups[team, model]))
    return teams


def _total(trend: Trend) -> str:
    total = sum(one.total for one in trend.models)
    return f"{_incidents(total)} ({_compared(total, sum(one.before for one in trend.models))})"


def _incidents(count: int) -> str:
    return f"{count} incident{'' if count == 1 else 's'}"


def _compared(now: int, before: int) -> str:
    """``3 more than before``"""
    if now == before:
        return "as many as before"
    return f"{abs(now - before)} {'more' if now > before else 'fewer'} than before"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %d %b %Y %H:%M} UTC"
