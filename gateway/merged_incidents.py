"""Incidents that a vendor merged into another one: what is done there holds for them, too, if that one is Tocsin's.

A merge holds for one escalation. The gateway may know of it for longer: each incident checks it (``merged_into``).
"""

import contextlib
from collections.abc import Iterable

import structlog

from gateway.callback_incidents import CallbackIncidents
from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.ingester import UnavailableError
from gateway.problems import Problem
from gateway.services import Services
from incident.events import ResponderAction

TEMPORAL_TIMEOUT = 1.8  # seconds for each incident
_FOLLOWED = frozenset({"acknowledge", "unacknowledge", "resolve", "reopen", "escalate", "reassign", "merge"})

_log = structlog.get_logger()


async def follow_merges(
    vendor: str,
    vendor_id: str,
    done: tuple[str, ResponderAction],
    incidents: CallbackIncidents,
    services: Services,
) -> None:
    """Do in merged incidents what was done in the one that the vendor keeps.

    Args:
        vendor: the callback's name.
        vendor_id: the vendor's own id of its incident.
        done: the incident here that has this id, and the action.
        incidents: finds the others.
        services: of the gateway.
    """
    incident, action = done
    if action.type in _FOLLOWED:
        followers = [one for one in await incidents.merged_into(vendor, vendor_id) if one != incident]
        own_id = action.vendor_id if action.type == "merge" else ""
        copied = action.model_copy(update={"first_run_id": "", "vendor_id": own_id, "merged_into": vendor_id})
        await _send(vendor, followers, copied, services)
        if own_id:
            incidents.note_merge(vendor, own_id, (incident, *followers))
    if action.type == "merge":
        await _adopt_acknowledgement(vendor, incident, action, incidents, services)


async def _adopt_acknowledgement(
    vendor: str, merged: str, merge: ResponderAction, incidents: CallbackIncidents, services: Services
) -> None:
    """A person may have acknowledged the incident that it is part of now. Unknown counts as not acknowledged."""
    owner, run = await incidents.owner(vendor, merge.vendor_id)
    if not owner or owner == merged:
        return
    view = None
    with contextlib.suppress(Problem):
        view = await services.actions.read(owner)
    if view is None or not view.is_run(run) or view.state == "closed" or not view.acknowledged_by:
        return
    action = ResponderAction(
        type="acknowledge",
        by=view.acknowledged_by,
        source=vendor,
        note=f"merged into {owner}, which {view.acknowledged_by} acknowledged",
        first_run_id=merge.first_run_id,
        id=f"{merge.id}-acknowledged" if merge.id else "",
        occurred_at=merge.occurred_at,
    )
    await _send(vendor, [merged], action, services)


async def _send(vendor: str, incidents: Iterable[str], action: ResponderAction, services: Services) -> None:
    for incident in incidents:
        log = _log.bind(incident=incident, action=action.type, by=action.by, source=vendor)
        try:
            in_temporal = await services.ingester.accept_action(incident, action, TEMPORAL_TIMEOUT)
        except IncidentClosedError as error:
            log.info("action_ignored", reason=error.code)
        except UnavailableError as error:
            log.warning("merged_incident_not_updated", error=str(error))
        else:
            log.info("action_accepted", state="accepted" if in_temporal else "spooled")
