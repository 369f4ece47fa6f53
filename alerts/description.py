"""What Arize's API says about a monitor, and an alert completed with it.

A webhook's body may name little more than the monitor's id. The description holds the rest: the monitor object, its
project, its tags, its custom metric, and the numbers of a dynamic threshold.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from alerts.model import Alert
from alerts.normalise import normalise, relative_change

_LIVE = ("value", "occurred_at")
"""Fields of the monitor object that change with every evaluation."""
_OWN = frozenset(
    {
        "event_id",
        "status",
        "stated_status",
        "identity",
        "drill",
        "interpreted",
        "stated",
        "undescribed",
        "raw",
        "mapped",
        "unit",
    }
)
"""Fields that an alert never takes from a description as they are."""
_MERGED = ("tags", "excluded")


class Description(BaseModel):
    """A monitor, as Arize's REST and GraphQL APIs describe it.

    ``monitor`` is the object of ``GET /v2/monitors/{id}``. ``baseline`` is the median before the failing window, and
    ``threshold`` the limit of a dynamic threshold at the last evaluation, in the metric's own unit.
    ``missing`` says what Arize did not answer, a sentence for each; then the description is fetched again soon.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    monitor_id: str
    monitor: dict[str, Any]
    project: str = ""
    tags: tuple[str, ...] = ()
    project_tags: tuple[str, ...] = ()
    custom_metric: str = ""
    formula: str = ""
    dimension_type: str = ""
    threshold: float | None = None
    baseline: float | None = None
    described_at: datetime
    missing: tuple[str, ...] = ()

    def as_alert(self, value: float | None = None) -> Alert:
        """The monitor object as an alert, by the reader of webhooks.

        Args:
            value: what the monitor computed, if it is not the description's value; a range has the limit it passed.
        """
        extra: Mapping[str, Any] = {
            "project_name": self.project,
            "tags": [*self.project_tags, *self.tags],  # of equal keys, the monitor's own counts
            "custom_metric_name": self.custom_metric,
            "formula": self.formula,
            "dimension_type": self.dimension_type,
            "metric_value": value,
        }
        alert = normalise(
            {**self.monitor, **{key: value for key, value in extra.items() if value not in ("", None, [])}}
        )
        numbers = {name: getattr(self, name) for name in ("baseline", "threshold") if getattr(alert, name) is None}
        if not alert.dynamic_threshold and not _is_further(alert, self.baseline):
            numbers.pop("baseline", None)
        alert = alert.model_copy(update=numbers)  # a baseline in the monitor's notes wins over that of its history
        return alert.model_copy(update={"change": relative_change(alert)})


def _is_further(alert: Alert, baseline: float | None) -> bool:
    """Whether the value is further from its history than from its stated threshold, in the same direction.

    A person sets a threshold where a value is bad, often far from the usual one: 0.6 for a relevance of 0.85. Only the
    history shows the drop. If the value is nearer to its history, it was bad before: then the threshold counts.
    """
    own, found = relative_change(alert), relative_change(alert.model_copy(update={"baseline": baseline}))
    return baseline is not None and found is not None and (own is None or (own * found >= 0 and abs(found) > abs(own)))


def described(alert: Alert, description: Description, *, live: bool = False) -> Alert:
    """The alert with the description's values for what its body does not state.

    Args:
        alert: an alert. The result is not interpreted: it is the alert as it was read, with more values.
        description: of the alert's monitor.
        live: the description was fetched after the alert arrived. Then the monitor's value and status are the
            alert's own; those of an older description belong to an earlier evaluation.
    """
    alert = alert.as_read()
    known = description.as_alert(alert.value)
    changed: dict[str, Any] = {}
    for name in Alert.model_fields:
        if name in _OWN or name in _MERGED or (name in _LIVE and not live):
            continue
        stated, found = getattr(alert, name), getattr(known, name)
        if _is_blank(stated) and not _is_blank(found):
            changed[name] = found
    if alert.monitor in ("", alert.monitor_id) and known.monitor:
        changed["monitor"] = known.monitor
    for name in _MERGED:
        changed[name] = {**getattr(known, name), **getattr(alert, name)}
    if known.tags.get("kind") and not alert.tags.get("kind"):
        changed["kind"] = known.kind  # as in a body, a tag wins over Arize's own type
    if live and not alert.stated_status and known.stated_status:
        changed |= {"status": known.status, "stated_status": True}
    changed["undescribed"] = ""
    merged = alert.model_copy(update=changed)
    computed = alert.change is None or alert.change == relative_change(alert)
    return merged.model_copy(update={"change": relative_change(merged)}) if computed else merged


def _is_blank(value: object) -> bool:
    return value is None or value is False or value in ("", {})


def needs_description(alert: Alert) -> str:
    """What only Arize's description can say about the alert, as words for a message; empty if nothing is missing."""
    if not alert.monitor_id or alert.drill:
        return ""
    lacks = {
        "its value": alert.value is None,
        "its metric's name": not (alert.metric or alert.aggregation or alert.custom_metric or alert.formula),
        "its project's name": not (alert.model or alert.project),
        "its baseline": alert.dynamic_threshold and alert.baseline is None and alert.change is None,
    }
    return ", ".join(name for name, missing in lacks.items() if missing)
