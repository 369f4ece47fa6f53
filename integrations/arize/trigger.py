"""Lets Arize evaluate a monitor now, by GraphQL's ``triggerMonitor``.

Source: Arize's public GraphQL reference. The result is that of the evaluation: a monitor that is not past its
threshold does not become triggered.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from alerts.values import number, text
from integrations.arize.graphql import ArizeGraphQL

_MUTATION = """mutation triggerMonitor($input: TriggerMonitorMutationInput!) { triggerMonitor(input: $input) {
  monitor { id status latestComputedValue evaluatedAt } } }"""


class Evaluation(NamedTuple):
    """The monitor after the request: ``triggered``, ``cleared`` or ``noData``, as GraphQL says."""

    status: str
    value: float | None
    evaluated_at: str


async def trigger_monitor(graphql: ArizeGraphQL, monitor_id: str) -> Evaluation:
    """Ask for an evaluation. Raises PermanentError or TemporaryError; then it may have been carried out, or not."""
    data = await graphql.execute(_MUTATION, {"input": {"monitorId": monitor_id}})
    payload: Any = data.get("triggerMonitor")
    monitor: Any = cast("Mapping[str, Any]", payload).get("monitor") if isinstance(payload, Mapping) else None
    found: Mapping[str, Any] = cast("Mapping[str, Any]", monitor) if isinstance(monitor, Mapping) else {}
    return Evaluation(
        text(found.get("status")), number(found.get("latestComputedValue")), text(found.get("evaluatedAt"))
    )
