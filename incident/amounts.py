"""Amounts of a metric in the words of messages."""

from alerts import Alert

_RATIO_SUFFIXES = ("_rate", "_ratio", "_share", "accuracy", "relevance", "precision", "recall")
_SUFFIXES = {"ms": " ms", "s": " s", "percent": " %", "tokens": " tokens", "usd": " USD", "eur": " EUR"}


def format_amount(alert: Alert, value: float | None) -> str:
    """``31 %`` for a ratio, ``6,200 ms`` for a latency, ``1,250 USD`` for a cost, otherwise the number.

    Args:
        alert: whose metric it is; its unit decides, or the metric's name if no policy has interpreted it.
        value: in the alert's unit.
    """
    if value is None:
        return ""
    unit = alert.unit or _unit_of(alert.metric)
    if unit == "ratio":
        return f"{value * 100:.3g} %" if -1 <= value <= 1 else _number(value)
    whole = unit == "ms" and abs(value) < 1e15
    return (f"{value:,.0f}" if whole else _number(value)) + _SUFFIXES.get(unit, "")


def amount_of(alert: Alert, first: Alert | None) -> str:
    """The value of a later alert, which may not be interpreted, in the words of the incident's first alert."""
    if alert.interpreted or first is None or not first.interpreted:
        return format_amount(alert, alert.value)
    if "value" in first.stated:  # the first alert's value was converted: this one is in the sender's unit
        return format_amount(alert.model_copy(update={"unit": "", "metric": ""}), alert.value)
    return format_amount(first, alert.value)


def _unit_of(metric: str) -> str:
    if metric.endswith("_ms"):
        return "ms"
    return "ratio" if metric.endswith(_RATIO_SUFFIXES) else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
