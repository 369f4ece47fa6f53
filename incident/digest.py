"""The content of a digest."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from incident.message import TRIGGERED, MessageContent
from incident.text import Line, counted


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoisyMonitor(_Frozen):
    """A monitor that opened several incidents in the period."""

    monitor: Line
    model: Line = ""
    incidents: int


class ModelTrend(_Frozen):
    """A model's incidents of all tiers: by tier in this period, in total in the period before."""

    model: Line
    team: Line = ""
    tiers: dict[str, int]
    previous_total: int
    time_to_acknowledge: float | None = Field(default=None, description="Seconds, the median.")

    @property
    def total(self) -> int:
        return sum(self.tiers.values())


class Trend(_Frozen):
    """Every model's incidents, period by period."""

    models: tuple[ModelTrend, ...] = ()
    periods: tuple[str, ...] = Field(
        default=(), description="The day on which each period begins; the last is current."
    )
    tiers: dict[str, tuple[int, ...]] = Field(default={}, description="Incidents by tier, one number a period.")


class Digest(_Frozen):
    """One digest: the incidents gathered since the previous one, and how their number compares."""

    key: str
    destination: str
    contents: tuple[MessageContent, ...]
    since: datetime
    until: datetime | None = None
    timezone: str = Field(default="UTC", description="The destination's time zone, in which people read times.")
    periods: tuple[str, ...] = ()
    counts: tuple[int, ...] = Field(default=(), description="Incidents in each period; the last is this digest's.")
    noisy: tuple[NoisyMonitor, ...] = ()
    trend: Trend | None = None

    @property
    def title(self) -> str:
        """``3 incidents since 2026-11-24 09:00 Europe/Berlin``"""
        since = self.since.astimezone(ZoneInfo(self.timezone))
        return f"{counted(len(self.counted), 'incident')} since {since:%Y-%m-%d %H:%M} {self.timezone}"

    @property
    def lines(self) -> tuple[str, ...]:
        """A line an incident, for destinations that show no more."""
        return tuple(
            content.headline if content.state == TRIGGERED else f"{content.headline} · {content.state}"
            for content in self.contents
        )

    @property
    def counted(self) -> tuple[MessageContent, ...]:
        """The incidents without fire drills, which are listed and never counted."""
        return tuple(content for content in self.contents if not content.drill)


def more_text(hidden: int) -> str:
    """The last line of a digest that is longer than its destination can show; empty if nothing is hidden."""
    return f"… and {hidden:,} more" if hidden > 0 else ""
