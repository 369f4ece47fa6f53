"""The metrics of notifications."""

from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.runtime import BufferedMetricUpdate, MetricBuffer, Runtime, TelemetryConfig

from policy import Target
from tests.integrations.notifications import make_notification, make_notifier, run
from tests.vendors import Fault, PagerDuty

Labels = dict[str, object]
LABELS = ("destination", "type", "verb", "reason")


class Meter:
    """A metric meter, and the updates that it received."""

    def __init__(self) -> None:
        self.buffer = MetricBuffer(10_000)
        self.runtime = Runtime(telemetry=TelemetryConfig(metrics=self.buffer))

    def updates(self, name: str) -> list[tuple[float, Labels]]:
        """The values of a metric, with Tocsin's own labels."""
        found: list[BufferedMetricUpdate] = [one for one in self.buffer.retrieve_updates() if one.metric.name == name]
        return [(one.value, {key: one.attributes[key] for key in LABELS if key in one.attributes}) for one in found]


@pytest.fixture(scope="module")
def shared_meter() -> Meter:
    return Meter()


@pytest.fixture
def meter(shared_meter: Meter) -> Meter:
    shared_meter.buffer.retrieve_updates()
    return shared_meter


@pytest.fixture
def pager(tmp_path: Path, pagerduty: PagerDuty) -> str:
    return f"{{type: pagerduty, base_url: '{pagerduty.base_url}', routing_key: {{env: KEY}}}}"


async def test_sent_notification_is_counted(tmp_path: Path, pager: str, meter: Meter) -> None:
    notifier = make_notifier(tmp_path, pager)
    await run(notifier.page, make_notification("page", "pagerduty", "resolve"), 1, meter.runtime.metric_meter)
    assert meter.updates("tocsin_notifications_total") == [
        (1, {"destination": "here", "type": "pagerduty", "verb": "resolve"})
    ]


async def test_duration_is_recorded_in_seconds(tmp_path: Path, pager: str, pagerduty: PagerDuty, meter: Meter) -> None:
    pagerduty.script(Fault(delay=0.2))
    notifier = make_notifier(tmp_path, pager)
    await run(notifier.page, make_notification("page", "pagerduty"), 1, meter.runtime.metric_meter)
    ((seconds, labels),) = meter.updates("tocsin_notification_duration_seconds")
    assert 0.2 <= seconds < 60
    assert labels == {"type": "pagerduty"}


@pytest.mark.parametrize(
    ("fault", "reason"), [(Fault(status=401), "permanent"), (Fault(status=503), "temporary")], ids=["401", "503"]
)
async def test_failure_is_counted_by_reason(
    tmp_path: Path, pager: str, pagerduty: PagerDuty, meter: Meter, fault: Fault, reason: str
) -> None:
    pagerduty.script(fault)
    notifier = make_notifier(tmp_path, pager)
    with pytest.raises(ApplicationError):
        await run(notifier.page, make_notification("page", "pagerduty"), 1, meter.runtime.metric_meter)
    assert meter.updates("tocsin_notifications_failed_total") == [
        (1, {"destination": "here", "type": "pagerduty", "reason": reason})
    ]


async def test_unknown_destination_has_its_own_reason(tmp_path: Path, pager: str, meter: Meter) -> None:
    notifier = make_notifier(tmp_path, pager)
    missing = make_notification("page", "pagerduty", target=Target(name="gone", type="pagerduty", kind="page"))
    with pytest.raises(ApplicationError):
        await run(notifier.page, missing, 1, meter.runtime.metric_meter)
    assert meter.updates("tocsin_notifications_failed_total") == [
        (1, {"destination": "gone", "type": "pagerduty", "reason": "unknown_destination"})
    ]
