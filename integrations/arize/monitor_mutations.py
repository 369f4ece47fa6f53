"""Creates, changes and deletes monitors through Arize's GraphQL API, and attaches their tags through REST.

A monitor is given as an object of the REST API v2, which has more words than GraphQL; this module translates. Three
fields that REST does not have stand beside them: ``model_environment``, ``prediction_class``, ``top_k_percentile``.
Sources: Arize's public GraphQL reference, and the clients ``arize-toolkit`` 1.0.20 and ``arize`` 8.61.0.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

from integrations.arize.graphql import ArizeGraphQL
from integrations.base.errors import PermanentError

_CATEGORIES = {
    "FEATURE_LABEL": "featureLabel",
    "TAG": "tag",
    "MODEL_VERSION": "modelVersion",
    "BATCH_ID": "batchId",
    "SPAN_ATTRIBUTE": "spanProperty",
    "LLM_EVAL": "llmEval",
    "USER_ANNOTATION": "userAnnotation",
    "ACTUALS": "actuals",
    "ACTUALS_SCORE": "actualScore",
    "ACTUALS_CLASS": "actualClass",
    "PREDICTIONS": "prediction",
    "PREDICTIONS_SCORE": "predictionScore",
    "PREDICTIONS_CLASS": "predictionClass",
}
"""``DimensionCategory``."""
_FILTERS = {**_CATEGORIES, "TAG": "tagLabel", "PREDICTIONS": "predictionValue", "ACTUALS_CLASS": "actualLabel"}
"""``FilterRowType``."""
_TYPES = {
    "PERFORMANCE": "Performance",
    "CUSTOM_METRIC": "Performance",
    "DRIFT": "Drift",
    "DATA_QUALITY": "DataQuality",
    "TRACING": "DataQuality",
}
_METRIC_FIELDS = {"Performance": "performanceMetric", "Drift": "driftMetric", "DataQuality": "dataQualityMetric"}
Monitor = Mapping[str, Any]


class MonitorMutations:
    """Each method sends one mutation, once. After an error it may have been carried out, or not: find out first.

    Every method raises PermanentError or TemporaryError, without the API key.
    """

    def __init__(self, graphql: ArizeGraphQL) -> None:
        self._graphql = graphql

    async def create(self, monitor: Monitor, mutation_id: str) -> str:
        """Create a monitor, and return its id.

        Args:
            monitor: the object of the REST API.
            mutation_id: recorded by Arize's audit log with the mutation.
        """
        kind = _TYPES[monitor["type"]]
        fields = {"modelId": monitor["project_id"], **_patchable(monitor, kind), **_create_only(monitor, kind)}
        created = await self._send(f"create{kind}Monitor", f"Create{kind}MonitorMutationInput", fields, mutation_id)
        if "id" not in created:
            raise PermanentError(f"Arize created the monitor {monitor['name']}, and did not return its id; apply again")
        return str(created["id"])

    async def patch(self, monitor_id: str, monitor: Monitor, fields: Collection[str], mutation_id: str) -> None:
        """Change some fields of a monitor.

        Args:
            monitor_id: the monitor.
            monitor: the object of the REST API as it should be.
            fields: the names, in that object, of what differs. The type, the dimension, the project, the schedule, the
                downtime and the baseline cannot be changed.
            mutation_id: as for ``create``.
        """
        kind = _TYPES[monitor["type"]]
        wanted = {name for field in fields for name in _INPUT_FIELDS.get(field, ())}
        wanted |= {_METRIC_FIELDS[kind]} if "metric" in fields else set()
        changed = {name: value for name, value in _patchable(monitor, kind).items() if name in wanted}
        changed.pop("stdDevMultiplier2", None)
        await self._send(
            f"patch{kind}Monitor",
            f"Patch{kind}MonitorMutationInput",
            {"monitorId": monitor_id, **changed},
            mutation_id,
        )

    async def delete(self, monitor_id: str, mutation_id: str) -> None:
        await self._send("deleteMonitor", "DeleteMonitorMutationInput", {"monitorId": monitor_id}, mutation_id)

    async def _send(
        self, mutation: str, input_type: str, fields: Mapping[str, Any], mutation_id: str
    ) -> Mapping[str, Any]:
        """Send a mutation, and return the monitor of the answer, as far as it has one."""
        query = f"mutation {mutation}($input: {input_type}!) {{ {mutation}(input: $input) {{ monitor {{ id }} }} }}"
        data = await self._graphql.execute(query, {"input": {**fields, "clientMutationId": mutation_id}})
        payload = cast("Mapping[str, Any]", data.get(mutation) or {})
        return cast("Mapping[str, Any]", payload.get("monitor") or {})


_THRESHOLD = ("threshold", "threshold2", "thresholdMode", "operator", "operator2", "dynamicAutoThreshold")
_INPUT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "notes": ("notes",),
    "custom_metric_id": ("customMetricId",),
    "threshold": (*_THRESHOLD, "stdDevMultiplier2"),
    "evaluation_window_length_seconds": ("evaluationWindowLengthSeconds",),
    "delay_seconds": ("delaySeconds",),
    "filters": ("filters",),
    "notification_configs": ("contacts",),
}
"""The fields of the patch inputs for each field of the REST API."""


def _patchable(monitor: Monitor, kind: str) -> dict[str, Any]:
    """What the inputs of creating and of patching have in common."""
    fields: dict[str, Any] = {
        "name": monitor["name"],
        "notes": monitor["notes"],
        "contacts": [_contact(one) for one in monitor["notification_configs"]],
        "evaluationWindowLengthSeconds": monitor["evaluation_window_length_seconds"],
        "delaySeconds": monitor["delay_seconds"],
        "filters": [_filter(one) for one in monitor["filters"]],
        **_threshold(monitor["threshold"]),
    }
    if monitor["type"] == "CUSTOM_METRIC":
        return fields | {"customMetricId": monitor["custom_metric_id"]}
    return fields | {_METRIC_FIELDS[kind]: _camel(monitor["metric"])}


def _create_only(monitor: Monitor, kind: str) -> dict[str, Any]:
    """What only the inputs of creating have. Nothing is sent for what is not set."""
    schedule, downtime = monitor["scheduled_runtime"], monitor["downtime"]
    dimension = monitor["dimension"]
    environment = "tracing" if monitor["type"] == "TRACING" else monitor["model_environment"]
    fields: dict[str, Any] = {
        "scheduledRuntimeEnabled": bool(schedule),
        "scheduledRuntimeCadenceSeconds": schedule and schedule["cadence_seconds"],
        "scheduledRuntimeDaysOfWeek": schedule and schedule["days_of_week"],
        "downtimeStart": downtime and downtime["start"],
        "downtimeDurationHrs": downtime and downtime["duration_seconds"] // 3600,
        "downtimeFrequencyDays": downtime and downtime["frequency_days"],
        "dimensionCategory": dimension and _CATEGORIES[dimension["category"]],
        "dimensionName": dimension and dimension.get("name"),
        "modelEnvironmentName": environment if kind != "Drift" else None,
        "baseline": {"useModelPrimaryBaseline": True} if monitor["baseline_config"] else None,
        "positiveClassValue": monitor["positive_class_value"] or None,
        "predictionClassValue": monitor["prediction_class"] or None,
        "metricAtRankingKValue": monitor["metric_at_ranking_k_value"],
        "topKPercentileValue": monitor["top_k_percentile"],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _threshold(threshold: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a threshold; what does not apply is null, so that a patch removes it."""
    dynamic, size = str(threshold["type"]).split("_")
    first, second = (threshold["lower"], threshold["upper"]) if size == "RANGE" else (threshold, None)
    is_dynamic = dynamic == "DYNAMIC"
    fields = {
        "thresholdMode": size.lower(),
        "operator": _camel(first["operator"]),
        "operator2": second and _camel(second["operator"]),
        "threshold": None if is_dynamic else first["value"],
        "threshold2": second["value"] if second and not is_dynamic else None,
        "dynamicAutoThreshold": {"stdDevMultiplier": first["multiplier"]} if is_dynamic else None,
    }
    return fields | ({"stdDevMultiplier2": second["multiplier"]} if second and is_dynamic else {})


def _contact(config: Mapping[str, Any]) -> dict[str, Any]:
    if config["type"] == "EMAIL":
        return {"notificationChannelType": "email", "emailAddress": config["email_address"]}
    return {"notificationChannelType": "integration", "integrationKeyId": config["integration_id"]}


def _filter(one: Mapping[str, Any]) -> dict[str, Any]:
    dimension = one["dimension"]
    return {
        "dimensionType": _FILTERS[dimension["category"]],
        "operator": _camel(one["operator"]),
        "name": dimension.get("name"),
        "values": one["values"],
    }


def _camel(word: str) -> str:
    """``STANDARD_DEVIATION`` as GraphQL spells it, ``standardDeviation``; ``P99_9`` is ``p99_9``."""
    first, *rest = word.lower().split("_")
    return first + "".join(f"_{part}" if part.isdigit() else part.capitalize() for part in rest)
