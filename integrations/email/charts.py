"""The charts of digests: PNG files, drawn by matplotlib without a display."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"critical": "#b91c1c", "high": "#d97706", "low": "#60a5fa"}
_CURRENT_COLOUR, _EARLIER_COLOUR, _TEXT_COLOUR = "#1d4ed8", "#bfdbfe", "#475569"


def counts_chart(periods: Sequence[str], counts: Sequence[int]) -> bytes:
    """One bar for each period; the last one is current."""
    figure, axes = _new_chart("Incidents per period")
    colours = [_EARLIER_COLOUR] * (len(counts) - 1) + [_CURRENT_COLOUR]
    bars = axes.bar(range(len(counts)), counts, color=colours, width=0.7)
    axes.set_ylim(0, max(counts) * 1.2)
    axes.bar_label(bars, padding=2, fontsize=8, color=_TEXT_COLOUR)
    return _to_png(figure, axes, periods)


def tiers_chart(periods: Sequence[str], tiers: Mapping[str, Sequence[int]]) -> bytes:
    """One stacked bar for each period, with the loudest tier at the bottom."""
    figure, axes = _new_chart("All incidents by tier")
    base = [0] * len(periods)
    for tier, counts in tiers.items():
        axes.bar(range(len(counts)), counts, bottom=base, color=COLOURS[tier], width=0.7, label=tier)
        base = [below + count for below, count in zip(base, counts, strict=True)]
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.02))
    axes.set_ylim(0, max(base) * 1.3 or 1)
    return _to_png(figure, axes, periods)


def _new_chart(title: str) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure  # 70 MiB of memory, which only a worker that sends digests by e-mail needs

    figure = Figure(figsize=(6.4, 2.1), dpi=150, layout="constrained")
    axes: Any = figure.subplots()
    axes.set_title(title, fontsize=9, loc="left", color=_TEXT_COLOUR)
    return figure, axes


def _to_png(figure: "Figure", axes: Any, periods: Sequence[str]) -> bytes:
    from matplotlib.ticker import MaxNLocator

    axes.set_xticks(range(len(periods)), periods, fontsize=8, color=_TEXT_COLOUR)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.tick_params(axis="y", labelsize=8, labelcolor=_TEXT_COLOUR, length=0)
    axes.tick_params(axis="x", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#cbd5e1")
    png = io.BytesIO()
    figure.savefig(png, format="png")  # pyright: ignore[reportUnknownMemberType]
    return png.getvalue()
