"""Small pictures for mails, drawn by matplotlib without a display."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"critical": "#b91c1c", "high": "#d97706", "low": "#60a5fa"}
_NOW, _BEFORE, _TEXT = "#1d4ed8", "#bfdbfe", "#475569"


def counts_chart(periods: Sequence[str], counts: Sequence[int]) -> bytes:
    """A bar a period; the last one is now's."""
    figure, axes = _blank("Incidents per period")
    colours = [_BEFORE] * (len(counts) - 1) + [_NOW]
    bars = axes.bar(range(len(counts)), counts, color=colours, width=0.7)
    axes.set_ylim(0, max(counts) * 1.2)
    axes.bar_label(bars, padding=2, fontsize=8, color=_TEXT)
    return _finished(figure, axes, periods)


def tiers_chart(periods: Sequence[str], tiers: Mapping[str, Sequence[int]]) -> bytes:
    """Bars a period, the tiers upon each other, the loudest at the bottom."""
    figure, axes = _blank("All incidents by tier")
    floor = [0] * len(periods)
    for tier, counts in tiers.items():
        axes.bar(range(len(counts)), counts, bottom=floor, color=COLOURS[tier], width=0.7, label=tier)
        floor = [below + count for below, count in zip(floor, counts, strict=True)]
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.02))
    axes.set_ylim(0, max(floor) * 1.3 or 1)
    return _finished(figure, axes, periods)


def _blank(title: str) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure  # 70 MiB, which a worker that sends no digest by mail need not carry

    figure = Figure(figsize=(6.4, 2.1), dpi=150, layout="constrained")
    axes: Any = figure.subplots()
    axes.set_title(title, fontsize=9, loc="left", color=_TEXT)
    return figure, axes


def _finished(figure: "Figure", axes: Any, periods: Sequence[str]) -> bytes:
    from matplotlib.ticker import MaxNLocator

    axes.set_xticks(range(len(periods)), periods, fontsize=8, color=_TEXT)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.tick_params(axis="y", labelsize=8, labelcolor=_TEXT, length=0)
    axes.tick_params(axis="x", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#cbd5e1")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")  # pyright: ignore[reportUnknownMemberType]
    return picture.getvalue()
