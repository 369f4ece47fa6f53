"""The content of an e-mail: subject, text, HTML and its images. Jinja2 escapes every text of an alert."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from incident.digest import Digest, Trend, more_text
from incident.message import MessageContent
from incident.notification import Notification
from incident.text import counted
from integrations.email.limits import MAX_LINES, MAX_MODELS

_COLOURS = {"critical": "#b91c1c", "high": "#b45309", "low": "#1d4ed8"}
_NO_TEAM = "no team"


@dataclass(frozen=True)
class EmailContent:
    """An e-mail before it has sender and recipients. ``at`` is its date, ``incident`` the incident's id."""

    subject: str
    text: str
    html: str
    at: datetime
    incident: str = ""
    images: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """PNG files, by the Content-ID that the HTML refers to."""


@dataclass(frozen=True)
class _Group:
    """The incidents of one model."""

    model: str
    contents: list[MessageContent]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("integrations.email", "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    untyped: Any = environment  # Jinja2's annotations allow its own filters only
    untyped.filters.update(counted=counted, duration=_duration, timestamp=_timestamp, compared=_compared)
    untyped.globals.update(colour=_COLOURS)
    return environment


def incident_email(notification: Notification) -> EmailContent:
    """The full message about an incident."""
    content = notification.content
    is_reminder = notification.verb == "remind"
    values = {"content": content, "status": notification.status, "reminder": is_reminder}
    subject = f"{'REMINDER ' if is_reminder else ''}{content.headline}"
    return _render("incident", subject, values, at=content.since, incident=content.incident)


def note_email(notification: Notification) -> EmailContent:
    """A reply to the message about an incident."""
    content = notification.content
    values = {"content": content, "note": notification.note or content.state}
    return _render("note", f"Re: {content.headline}", values, incident=content.incident)


def digest_email(digest: Digest) -> EmailContent:
    """A digest, or a trend report if the digest has a trend."""
    from integrations.email.charts import counts_chart, tiers_chart  # matplotlib takes long to import

    count = len(digest.counted)
    previous = digest.counts[-2] if len(digest.counts) > 1 else None
    images: dict[str, bytes] = {}
    if sum(digest.counts):
        images["counts"] = counts_chart(digest.periods, digest.counts)
    if digest.trend is not None and any(map(sum, digest.trend.tiers.values())):
        images["tiers"] = tiers_chart(digest.trend.periods, digest.trend.tiers)
    values = {
        "digest": digest,
        "count": count,
        "drills": len(digest.contents) - count,
        "previous": previous,
        "total": _total(digest.trend) if digest.trend else "",
        "teams": _by_team(digest.contents[:MAX_LINES]),
        "more": more_text(len(digest.contents) - MAX_LINES),
        "models": digest.trend.models[:MAX_MODELS] if digest.trend else (),
        "more_models": more_text(len(digest.trend.models) - MAX_MODELS) if digest.trend else "",
        "images": images,
        "until": digest.until or datetime.now(UTC),
    }
    if digest.trend:
        subject = f"Tocsin trend report: {_total(digest.trend)}, {count} in your digest"
    else:
        compared = "" if previous is None else f" ({_compared(count, previous)})"
        subject = f"Tocsin: {counted(count, 'incident')}{compared}"
    return _render("digest", f"{subject} · {digest.destination}", values, at=digest.until, images=images)


def _render(
    template: str,
    subject: str,
    values: Mapping[str, Any],
    *,
    at: datetime | None = None,
    incident: str = "",
    images: Mapping[str, bytes] | None = None,
) -> EmailContent:
    html = _templates().get_template(f"{template}.html").render(subject=subject, **values)
    text = _templates().get_template(f"{template}.txt").render(subject=subject, **values)
    return EmailContent(subject, text.strip() + "\n", html, at or datetime.now(UTC), incident, images or {})


def _by_team(contents: tuple[MessageContent, ...]) -> dict[str, list[_Group]]:
    """Incidents by team and model. Teams are sorted by name, those without a team last; models by their number."""
    groups: dict[tuple[str, str], list[MessageContent]] = {}
    for content in contents:
        groups.setdefault((content.team or _NO_TEAM, content.model or content.component), []).append(content)
    order = sorted(
        groups, key=lambda key: (key[0] == _NO_TEAM, key[0].casefold(), -len(groups[key]), key[1].casefold())
    )
    teams: dict[str, list[_Group]] = {}
    for team, model in order:
        teams.setdefault(team, []).append(_Group(model, groups[team, model]))
    return teams


def _total(trend: Trend) -> str:
    total = sum(one.total for one in trend.models)
    return f"{counted(total, 'incident')} ({_compared(total, sum(one.previous_total for one in trend.models))})"


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


def _timestamp(at: datetime, timezone: str = "UTC") -> str:
    return f"{at.astimezone(ZoneInfo(timezone)):%a %d %b %Y %H:%M} {timezone}"
