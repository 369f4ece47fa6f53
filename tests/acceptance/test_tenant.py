"""Every monitor of the sample tenant, through real processes and the shipped policy, in several shapes of bodies."""

import json
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests import SHARED
from tests.processes import Tocsin
from tests.vendors.arize import ArizeTenant
from worker.locations import SHIPPED_POLICY

SAMPLES = SHARED / "samples" / "arize-tenant.json"
TOKEN = "a-long-token-of-arize"
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("acceptance-tenant"),
    pytest.mark.timeout(400),
    pytest.mark.skipif(not SAMPLES.exists(), reason="the samples are not beside this checkout"),
]


@pytest.fixture
def tocsin(tmp_path: Path, arize_tenant: ArizeTenant) -> Generator[Tocsin]:
    """``tocsin up`` with the shipped policy, whose destinations print, beside the sample tenant."""
    arize_tenant.seed()
    settings = {**arize_tenant.environment, "ARIZE_WEBHOOK_TOKEN": TOKEN, "TOCSIN_RECONCILE_INTERVAL": "off"}
    tocsin = Tocsin(tmp_path, SHIPPED_POLICY, 1.0, **settings)
    tocsin.start()
    yield tocsin
    assert tocsin.stop() == 0


@pytest.mark.parametrize("body", ["full", "flat", "poke"])
def test_every_monitor_has_the_tier_it_deserves(tocsin: Tocsin, arize_tenant: ArizeTenant, body: str) -> None:
    webhook = arize_tenant.add_webhook(f"{tocsin.url}/webhooks/arize", token=TOKEN)
    tiers: dict[str, Any] = {}
    for case in json.loads(SAMPLES.read_text())["cases"]:
        monitor = case["monitor"]
        arize_tenant.attach_webhook(monitor["id"], webhook["id"])
        at, value = datetime.fromisoformat(monitor["evaluated_at"]), monitor["latest_computed_value"]
        arize_tenant.evaluate(monitor["id"], value, status="CLEARED", at=at, lost=True)
        (delivery,) = arize_tenant.evaluate(monitor["id"], value, status="TRIGGERED", at=at, body=body)
        assert delivery.wait()["status_code"] == 202
        incident = json.loads(delivery.answers[-1])["incident"]
        view = tocsin.until(incident, lambda one: one["tier"])
        tiers[case["id"]] = (view["tier"], bool(view["regulated"]))
    expected = {case["id"]: case["tier"] for case in json.loads(SAMPLES.read_text())["cases"]}
    assert {name: tier for name, (tier, _) in tiers.items()} == expected
    assert [name for name, (_, regulated) in tiers.items() if regulated] == ["feature-drift"]
