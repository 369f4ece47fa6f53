"""The memo of an incident's execution, in which its monitor is named."""

import structlog
from temporalio.client import WorkflowExecution

from workflows.contracts import MONITOR_MEMO, MonitorMemo

_log = structlog.get_logger()


async def monitor_memo(execution: WorkflowExecution) -> MonitorMemo | None:
    """The memo; None if there is none, or if it cannot be read: one incident must not stop those of other monitors.

    A memo cannot be read if its encryption key was removed early, or is that of another installation.
    """
    try:
        return await execution.memo_value(MONITOR_MEMO, None, type_hint=MonitorMemo)
    except Exception as error:  # noqa: BLE001  # whatever the payload codec and the converter raise
        _log.warning("memo_unreadable", incident=execution.id, error=f"{type(error).__name__}: {error}"[:200])
        return None
