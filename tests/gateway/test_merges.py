"""An incident that its pager merges into another one, closes by itself, or deletes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.gateway.callback_senders import OPSGENIE, PAGERDUTY, SPLUNK, CallbackSender, opsgenie, pagerduty
from tests.gateway.conftest import GatewayHarness
from tests.gateway.test_pagerduty import key_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_merge_leaves_incident_open(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    await PAGERDUTY.post(gateway, merged(await key_of(gateway, incident), "PELSE"))
    one = await gateway.until(incident, lambda one: "merged_elsewhere" in [e["event"] for e in one["timeline"]])
    assert one["state"] == "notified"
    assert "into PELSE" in str(one["timeline"])


def merged(key: str, into: str) -> Any:
    """``incident.resolved`` of an incident that a person merged into another one."""
    payload = pagerduty("resolved", key)
    reason = {"type": "merge_resolve_reason", "incident": {"id": into, "type": "incident_reference"}}
    payload["event"]["data"]["resolve_reason"] = reason
    return payload


@pytest.mark.parametrize("acts", [["resolved"], ["acknowledged", "resolved"]], ids=lambda acts: "-".join(acts))
async def test_merged_incident_follows_the_kept_one(gateway: GatewayHarness, acts: list[str]) -> None:
    """Also through two merges."""
    first, second, kept = [await gateway.open() for _ in range(3)]
    keys = {one: await key_of(gateway, one) for one in (first, second, kept)}
    ids = {one: pagerduty("triggered", keys[one])["event"]["data"]["id"] for one in keys}
    await PAGERDUTY.post(gateway, merged(keys[first], ids[second]))
    await gateway.until(first, lambda one: "merged_elsewhere" in [e["event"] for e in one["timeline"]])
    await PAGERDUTY.post(gateway, merged(keys[second], ids[kept]))
    for one in (first, second):
        await gateway.until(one, lambda view: ids[kept] in str(view["timeline"]))
    for act in acts:
        await PAGERDUTY.post(gateway, pagerduty(act, keys[kept]))
        for one in keys:
            state = {"acknowledged": "acknowledged", "resolved": "closed"}[act]
            await gateway.until(one, lambda view, state=state: view["state"] == state)
            view = await gateway.until(one, lambda view: view)
            assert view["acknowledged_by" if act == "acknowledged" else "resolved_by"] == "Alice Example"


async def merge(gateway: GatewayHarness, incident: str, kept: str) -> str:
    """A person merges it into the other one in PagerDuty; returns the other one's key."""
    kept_key = await key_of(gateway, kept)
    kept_id = pagerduty("triggered", kept_key)["event"]["data"]["id"]
    await PAGERDUTY.post(gateway, happened_now(merged(await key_of(gateway, incident), kept_id)))
    await gateway.until(incident, lambda one: "merged_elsewhere" in [e["event"] for e in one["timeline"]])
    return kept_key


def happened_now(payload: Any) -> Any:
    payload["event"]["occurred_at"] = datetime.now(UTC).isoformat()
    return payload


async def after_earlier_signals(gateway: GatewayHarness, incident: str) -> dict[str, Any]:
    """The incident after everything that was sent to it before."""
    answer = await gateway.call("POST", f"/api/incidents/{incident}/annotate", "r-token", json={"note": "read"})
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("act", ["acknowledged", "resolved"])
async def test_merge_of_a_closed_incident_touches_no_newer_one(gateway: GatewayHarness, act: str) -> None:
    """It was merged, closed, and fires again: what a person does in the kept one is not about that."""
    kept, body = await gateway.open(), gateway.alert()
    incident = (await gateway.send(body)).json()["incident"]
    await gateway.until(incident, lambda one: one["state"] == "notified")
    kept_key = await merge(gateway, incident, kept)
    await gateway.send({**body, "status": "CLEARED"})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    assert (await gateway.send({**body, "metric_value": 0.4})).json()["incident"] == incident
    await gateway.until(incident, lambda one: one["state"] == "notified")
    await PAGERDUTY.post(gateway, happened_now(pagerduty(act, kept_key)))
    state = {"acknowledged": "acknowledged", "resolved": "closed"}[act]
    await gateway.until(kept, lambda one: one["state"] == state)
    one = await after_earlier_signals(gateway, incident)
    assert (one["state"], one["acknowledged_by"]) == ("notified", "")


async def test_merge_of_an_earlier_page_touches_no_later_one(gateway: GatewayHarness) -> None:
    """It fires again while it is open. Until then, what a person does in the kept one holds for it, too."""
    kept, body = await gateway.open(), gateway.alert(model="regulated-model")
    incident = (await gateway.send(body)).json()["incident"]
    await gateway.until(incident, lambda one: one["state"] == "notified")
    merged_at = datetime.now(UTC)
    kept_key = await merge(gateway, incident, kept)
    await gateway.send({**body, "status": "CLEARED"})
    await gateway.until(incident, lambda one: one["cleared"])
    await gateway.send({**body, "metric_value": 0.4})
    await gateway.until(incident, lambda one: one["refire_count"] == 1 and one["state"] == "notified")
    late = merged(await key_of(gateway, incident), pagerduty("triggered", kept_key)["event"]["data"]["id"])
    late["event"]["occurred_at"] = merged_at.isoformat()  # the vendor delivers it a second time
    await PAGERDUTY.post(gateway, late)
    await PAGERDUTY.post(gateway, happened_now(pagerduty("acknowledged", kept_key)))
    await gateway.until(kept, lambda one: one["state"] == "acknowledged")
    assert not (await after_earlier_signals(gateway, incident))["acknowledged_by"]
    await merge(gateway, incident, kept)  # into one that is acknowledged
    await gateway.until(incident, lambda one: one["acknowledged_by"] == "Alice Example")


async def test_merge_into_acknowledged_incident_acknowledges(gateway: GatewayHarness) -> None:
    incident, kept = await gateway.open(), await gateway.open()
    kept_key = await key_of(gateway, kept)
    acknowledged = pagerduty("acknowledged", kept_key)
    await PAGERDUTY.post(gateway, acknowledged)
    await gateway.until(kept, lambda one: one["state"] == "acknowledged")
    await PAGERDUTY.post(gateway, merged(await key_of(gateway, incident), acknowledged["event"]["data"]["id"]))
    one = await gateway.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Alice Example"


async def test_merged_regulated_incident_stays_open(gateway: GatewayHarness) -> None:
    incident, kept = await gateway.open(model="regulated-model"), await gateway.open()
    kept_key = await key_of(gateway, kept)
    await PAGERDUTY.post(
        gateway, merged(await key_of(gateway, incident), pagerduty("triggered", kept_key)["event"]["data"]["id"])
    )
    await gateway.until(incident, lambda one: "merged_elsewhere" in [e["event"] for e in one["timeline"]])
    await PAGERDUTY.post(gateway, pagerduty("resolved", kept_key))
    await gateway.until(incident, lambda one: one["state"] == "awaiting_human")


def by_no_person(vendor: CallbackSender, key: str) -> Any:
    """The vendor closes its incident after a time, or by a rule."""
    payload = vendor.payload("resolved", key)
    if vendor is PAGERDUTY:
        payload["event"]["agent"] = None
    elif vendor is OPSGENIE:
        payload["source"] = {"name": "auto-close", "type": "policy"}
    else:
        payload["user"] = "SYSTEM"
    return payload


@pytest.mark.parametrize("vendor", [PAGERDUTY, OPSGENIE, SPLUNK], ids=lambda one: one.name)
async def test_close_by_no_person_is_noted(gateway: GatewayHarness, vendor: CallbackSender) -> None:
    incident = await gateway.open()
    await vendor.post(gateway, by_no_person(vendor, await key_of(gateway, incident)))
    one = await gateway.until(incident, lambda one: "closed_elsewhere" in [e["event"] for e in one["timeline"]])
    assert one["state"] == "notified"


async def test_deleted_alert_is_noted(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    payload = opsgenie("resolved", await key_of(gateway, incident)) | {"action": "Delete"}
    await OPSGENIE.post(gateway, payload)
    one = await gateway.until(incident, lambda one: "annotated" in [e["event"] for e in one["timeline"]])
    assert (one["state"], "deleted in Opsgenie" in str(one["timeline"])) == ("notified", True)
