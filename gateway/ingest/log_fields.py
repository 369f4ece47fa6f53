"""Fields of the intake's log lines."""

_INCIDENT_PREFIX = "incident-"


def workflow_field(workflow_id: str) -> dict[str, str]:
    """The log field that names a workflow: ``incident`` if it is one, otherwise ``workflow``."""
    return {"incident" if workflow_id.startswith(_INCIDENT_PREFIX) else "workflow": workflow_id}
