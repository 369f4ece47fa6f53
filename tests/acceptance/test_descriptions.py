"""A tenant of Arize delivers no more than a monitor's id, and the right people are paged: real processes."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import AcceptanceHarness
from tests.vendors import ArizeTenant, Jira, PagerDuty, Slack
from tests.waiting import wait_for

VIEWER = {"Authorization": "Bearer v-token"}
pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-descriptions"), pytest.mark.timeout(400)]
TOKEN = "a-long-token-of-arize"


class DescriptionHarness(AcceptanceHarness):
    """``tocsin up`` beside a tenant of Arize whose monitors notify it."""

    def __init__(self, folder: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, tenant: ArizeTenant) -> None:
        super().__init__(folder, pagerduty, slack, jira)
        self.tenant = tenant
        text = self.policy.read_text()
        self.policy.write_text(text.replace("version: 1", "version: 1\nintake: {describe: {wait: 10s}}"))
        # The schedule would read monitors while a test counts requests.
        self.tocsin.environment |= {
            **tenant.environment,
            "ARIZE_WEBHOOK_TOKEN": TOKEN,
            "TOCSIN_RECONCILE_INTERVAL": "off",
        }

    def add_monitor(self, project: str = "chatbot") -> Any:
        """A custom metric's monitor, cleared, which notifies Tocsin."""
        home = self.tenant.project(project)
        metric = self.tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=home["id"])
        monitor = self.tenant.add_monitor(
            project=project,
            name="failures",
            type="CUSTOM_METRIC",
            threshold={"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.05},
            custom_metric_id=metric["id"],
        )
        webhook = self.tenant.add_webhook(f"{self.tocsin.url}/webhooks/arize", token=TOKEN)
        self.tenant.attach_webhook(monitor["id"], webhook["id"])
        return monitor

    def trigger(self, monitor: Any, body: str = "poke") -> str:
        """The monitor's value passes its threshold; the id of the incident that Tocsin answered."""
        (delivery,) = self.tenant.evaluate(monitor["id"], 0.31, body=body)
        attempt = delivery.wait()
        assert attempt["status_code"] == 202, attempt
        return json.loads(delivery.answers[-1])["incident"]

    def ready(self) -> dict[str, Any]:
        return self.tocsin.http.get(f"{self.tocsin.url}/readyz", headers=VIEWER).json()

    def reads(self, monitor: Any) -> int:
        return sum(monitor["id"] in one.path or monitor["id"] in str(one.body) for one in self.tenant.requests)


@pytest.fixture
def harness(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, arize_tenant: ArizeTenant
) -> Generator[DescriptionHarness]:
    harness = DescriptionHarness(tmp_path, pagerduty, slack, jira, arize_tenant)
    harness.tocsin.start()
    yield harness
    harness.stop()


def test_tenant_poke_pages_and_restart_remembers(harness: DescriptionHarness) -> None:
    tocsin, monitor = harness.tocsin, harness.add_monitor()
    incident = harness.trigger(monitor)
    page = harness.wait_for_page(incident)
    assert page.body["payload"]["summary"].startswith("CRITICAL chatbot error_rate 31 % (limit 5 %) · production")
    assert monitor["uri"] in str(page.body)
    tocsin.callback("incident.resolved", page.body["dedup_key"])
    tocsin.until(incident, lambda one: one["state"] == "closed")
    tocsin.stop()
    tocsin.start()
    harness.tenant.evaluate(monitor["id"], 0.01)
    before = harness.reads(monitor)
    assert harness.trigger(monitor, "full") == incident
    wait_for(lambda: len(harness.pages(incident, "primary")) == 2, describe=tocsin.last_output)
    assert harness.reads(monitor) == before, "the gateway decides from the cache, also after a restart"


def test_worker_killed_while_arize_is_asked(harness: DescriptionHarness) -> None:
    tocsin, monitor = harness.tocsin, harness.add_monitor()
    harness.tenant.rest.slow(600)
    harness.tenant.graphql.slow(600)
    incident = harness.trigger(monitor)
    wait_for(lambda: harness.reads(monitor), describe=tocsin.last_output)
    tocsin.child("worker").kill()
    one = tocsin.until(incident, lambda one: one["receipts"])
    assert one["tier"] == "high", "decided in doubt by another worker, which does not ask again first"
    harness.tenant.rest.recover()
    harness.tenant.graphql.recover()
    tocsin.until(incident, lambda one: one["tier"] == "critical")
    assert len(wait_for(lambda: harness.pages(incident, "primary"), describe=tocsin.last_output)) == 1


def test_problem_of_arize_is_shown(harness: DescriptionHarness) -> None:
    tocsin, monitor = harness.tocsin, harness.add_monitor()
    assert harness.ready()["arize"] == "ok"
    harness.tenant.rest.broken(503)
    harness.tenant.graphql.broken(503)
    incident = harness.trigger(monitor)
    assert tocsin.until(incident, lambda one: one["receipts"])["tier"] == "high"
    wait_for(lambda: "Arize answered 503" in harness.ready()["arize"], describe=tocsin.last_output)
    assert harness.ready()["ready"], "alerts are accepted all the same"
    assert "tocsin_arize_up 0.0" in _metrics(tocsin.http, tocsin.url)
    assert 'tocsin_health_problems{check="activities"} 0.0' in _metrics(tocsin.http, tocsin.url)
    harness.tenant.rest.recover()
    harness.tenant.graphql.recover()
    tocsin.until(incident, lambda one: one["tier"] == "critical")
    wait_for(lambda: harness.ready()["arize"] == "ok", describe=tocsin.last_output)


def _metrics(http: httpx.Client, url: str) -> str:
    return http.get(f"{url}/metrics", headers=VIEWER).text
