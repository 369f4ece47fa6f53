"""The monitor mutations: their inputs are validated, and become the rows that REST shows."""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from tests.vendors.arize.graphql_views import Views
from tests.vendors.arize.ids import timestamp
from tests.vendors.arize.state import SPAN_CATEGORIES, MonitorExtras, Row, TenantState, now
from tests.vendors.arize.translate import (
    MONITOR_CATEGORIES,
    rest_category,
    rest_filter_category,
    rest_operator,
    screaming,
)

Input = dict[str, Any]
_NEEDS_NAME = {"FEATURE_LABEL", "TAG", *SPAN_CATEGORIES}
_TRACING_METRICS = {
    "COUNT",
    "PERCENT_EMPTY",
    "CARDINALITY",
    "AVG",
    "SUM",
    "STANDARD_DEVIATION",
    "P50",
    "P95",
    "P99",
    "P99_9",
}


class Mutations:
    def __init__(self, state: TenantState, views: Views, evaluate: Callable[[str], Any]) -> None:
        self.state = state
        self.views = views
        self.evaluate = evaluate
        """Evaluates a monitor now, by its id."""

    def fields(self) -> dict[str, Callable[..., Any]]:
        """The resolvers of ``Mutation``."""
        return {
            "createPerformanceMonitor": _resolver(self._create, self._performance),
            "createDriftMonitor": _resolver(self._create, self._drift),
            "createDataQualityMonitor": _resolver(self._create, self._data_quality),
            "patchPerformanceMonitor": _resolver(self._patch, "performance"),
            "patchDriftMonitor": _resolver(self._patch, "drift"),
            "patchDataQualityMonitor": _resolver(self._patch, "dataQuality"),
            "deleteMonitor": _resolver(self._delete),
            "triggerMonitor": _resolver(self._trigger),
        }

    def _payload(self, row: Row, given: Input) -> Row:
        return {"monitor": self.views.monitor(row), "clientMutationId": given.get("clientMutationId")}

    def _find(self, given: Input) -> Row:
        row = self.state.monitors.get(given["monitorId"])
        if row is None:
            raise GraphQLError(f"no monitor with the id {given['monitorId']}")
        return row

    def _delete(self, given: Input) -> Row:
        row = self._find(given)
        payload = self._payload(row, given)
        self.state.monitors.remove(row["id"])
        return payload

    def _trigger(self, given: Input) -> Row:
        row = self._find(given)
        self.evaluate(row["id"])
        return self._payload(self._find(given), given)

    # Creating

    def _create(self, given: Input, specific: Callable[[Input, Row], Row]) -> Row:
        project = self._project(given)
        created = now()
        row: Row = {
            "name": _name(given),
            "project_id": project["id"],
            "status": "NO_DATA",
            "notifications_enabled": True,
            "manual_evaluation_enabled": False,
            "created_by_user_id": self.state.owner["id"],
            "created_at": created,
            "updated_at": created,
            "evaluation_window_length_seconds": _seconds(given, "evaluationWindowLengthSeconds", 259200, least=1),
            "delay_seconds": _seconds(given, "delaySeconds", 0, least=0),
            "threshold": _threshold(given),
            **specific(given, project),
            **_schedule(given),
            **self._lists(given),
        }
        if given.get("notes"):
            row["notes"] = given["notes"]
        added = self.state.monitors.add(row)
        added["uri"] = self.state.uri_of(added["id"], self.state.space_of(added))
        only = {key: given[key] for key in ("topKPercentileValue",) if given.get(key) is not None}
        environment = given.get("modelEnvironmentName") or "production"
        self.state.extras[added["id"]] = MonitorExtras(environment=environment, graphql=only)
        return self._payload(added, given)

    def _project(self, given: Input) -> Row:
        if given.get("modelId"):
            found = self.state.projects.get(given["modelId"])
        elif given.get("spaceId") and given.get("modelName"):
            keys = (given["spaceId"], given["modelName"])
            rows = self.state.projects.newest()
            found = next((row for row in rows if (row["space_id"], row["name"]) == keys), None)
        else:
            raise GraphQLError("a model is needed: modelId, or spaceId and modelName")
        if found is None:
            raise GraphQLError("no such model")
        return found

    def _performance(self, given: Input, project: Row) -> Row:
        metric, custom = given.get("performanceMetric"), given.get("customMetricId")
        if custom:
            if metric not in (None, "udf"):
                raise GraphQLError("performanceMetric and customMetricId exclude each other")
            row = self.state.custom_metrics.get(custom)
            if row is None or row["project_id"] != project["id"]:
                raise GraphQLError(f"the model has no custom metric {custom}")
            found: Row = {"type": "CUSTOM_METRIC", "custom_metric_id": custom}
        elif metric in (None, "udf"):
            raise GraphQLError("performanceMetric or customMetricId is needed")
        else:
            found = {"type": "PERFORMANCE", "metric": screaming(metric)}
        if given.get("positiveClassValue") is not None:
            found["positive_class_value"] = given["positiveClassValue"]
        if given.get("metricAtRankingKValue") is not None and found["type"] == "PERFORMANCE":
            found["metric_at_ranking_k_value"] = given["metricAtRankingKValue"]
        return found

    def _drift(self, given: Input, project: Row) -> Row:
        if (given.get("baseline") or {}).get("useModelPrimaryBaseline") is False:
            raise GraphQLError("only the model's primary baseline can be chosen")
        return {
            "type": "DRIFT",
            "metric": screaming(given.get("driftMetric") or "psi"),
            "dimension": _dimension(given),
            "baseline_config": {"type": "MODEL_BASELINE", "filters": []},
            "model_versions": [],
        }

    def _data_quality(self, given: Input, project: Row) -> Row:
        if not given.get("dataQualityMetric"):
            raise GraphQLError("dataQualityMetric is needed")
        metric, dimension = screaming(given["dataQualityMetric"]), _dimension(given)
        if dimension["category"] not in SPAN_CATEGORIES:
            return {"type": "DATA_QUALITY", "metric": metric, "dimension": dimension, "model_versions": []}
        if metric not in _TRACING_METRICS:
            raise GraphQLError(f"{given['dataQualityMetric']} is no metric of spans")
        return {"type": "TRACING", "metric": metric, "dimension": dimension}

    # Changing

    def _patch(self, given: Input, category: str) -> Row:
        row = self._find(given)
        if MONITOR_CATEGORIES[row["type"]] != category:
            raise GraphQLError(f"{row['id']} is no {category} monitor")
        changes: Row = {"updated_at": now(), **self._lists(given)}
        if "name" in given:
            changes["name"] = _name(given)
        if "notes" in given:
            changes["notes"] = given["notes"]
        if given.get("evaluationWindowLengthSeconds") is not None:
            window = _seconds(given, "evaluationWindowLengthSeconds", 0, least=1)
            changes["evaluation_window_length_seconds"] = window
        if given.get("delaySeconds") is not None:
            changes["delay_seconds"] = _seconds(given, "delaySeconds", 0, least=0)
        if {"threshold", "threshold2", "thresholdMode", "operator", "operator2", "dynamicAutoThreshold"} & set(given):
            changes["threshold"] = _patched_threshold(row, given, self.views)
        changes |= self._patched_metric(row, given)
        merged = {key: value for key, value in {**row, **changes}.items() if value not in (None, [])}
        # Empty lists that say something stay.
        merged |= {key: row[key] for key in ("model_versions",) if key in row}
        return self._payload(self.state.monitors.add(merged), given)

    def _patched_metric(self, row: Row, given: Input) -> Row:
        if given.get("customMetricId") or given.get("performanceMetric"):
            found = self._performance(given, {"id": row["project_id"]})
            if found["type"] != row["type"]:
                raise GraphQLError("a monitor's type cannot be changed")
            return found
        for key in ("driftMetric", "dataQualityMetric"):
            if given.get(key):
                return {"metric": screaming(given[key])}
        return {}

    def _lists(self, given: Input) -> Row:
        """Filters and channels. A patch replaces each list that it gives."""
        found: Row = {}
        if given.get("filters") is not None:
            found["filters"] = [_filter(one) for one in given["filters"]]
        if given.get("contacts") is not None:
            found["notification_configs"] = [self._contact(one) for one in given["contacts"]]
        # REST omits what is empty; a patch still has to see that it was given.
        return found if "monitorId" in given else {key: value for key, value in found.items() if value}

    def _contact(self, given: Input) -> Row:
        if given["notificationChannelType"] == "email":
            if "@" not in (given.get("emailAddress") or ""):
                raise GraphQLError("an email contact needs an emailAddress")
            return {"type": "EMAIL", "email_address": given["emailAddress"]}
        if self.state.integration_keys.get(given.get("integrationKeyId")) is None:
            raise GraphQLError(f"no integration key {given.get('integrationKeyId')}")
        return {"type": "INTEGRATION", "integration_id": given["integrationKeyId"]}


def _resolver(action: Callable[..., Row], *more: Any) -> Callable[..., Row]:
    return lambda info, **given: action(given["input"], *more)


def _name(given: Input) -> str:
    name = (given.get("name") or "").strip()
    if not 1 <= len(name) <= 255:
        raise GraphQLError("name must have 1 to 255 characters")
    return name


def _seconds(given: Input, key: str, default: int, *, least: int) -> int:
    value = given.get(key)
    seconds = default if value is None else value
    if seconds < least or seconds != int(seconds):
        raise GraphQLError(f"{key} must be whole seconds, at least {least}")
    return int(seconds)


def _dimension(given: Input) -> Row:
    if not given.get("dimensionCategory"):
        raise GraphQLError("dimensionCategory is needed")
    category, name = rest_category(given["dimensionCategory"]), given.get("dimensionName")
    if category in _NEEDS_NAME and not name:
        raise GraphQLError(f"a dimension of the category {given['dimensionCategory']} needs a dimensionName")
    return {"category": category, **({"name": name} if name else {})}


def _filter(given: Input) -> Row:
    category, name = rest_filter_category(given["dimensionType"]), given.get("name")
    if category in _NEEDS_NAME and not name:
        raise GraphQLError(f"a filter of the type {given['dimensionType']} needs a name")
    return {
        "dimension": {"category": category, **({"name": name} if name else {})},
        "operator": rest_operator(given.get("operator") or "equals"),
        "values": list(given.get("values") or []),
    }


def _threshold(given: Input) -> Row:
    """The threshold of an input, manual or dynamic, single or range."""
    dynamic, value = given.get("dynamicAutoThreshold"), given.get("threshold")
    if (dynamic is None) == (value is None):
        raise GraphQLError("exactly one of threshold and dynamicAutoThreshold is needed")
    first = rest_operator(given.get("operator") or "greaterThan")
    key = "value" if dynamic is None else "multiplier"
    one = value if dynamic is None else dynamic.get("stdDevMultiplier") or 2.0
    kind = {"type": "MANUAL"} if dynamic is None else {"type": "DYNAMIC", "calculation": "STDEV"}
    if (given.get("thresholdMode") or "single") == "single":
        return {**kind, "type": f"{kind['type']}_SINGLE", "operator": first, key: one}
    second = rest_operator(given.get("operator2") or "lessThan")
    other = given.get("threshold2") if dynamic is None else given.get("stdDevMultiplier2")
    if other is None:
        raise GraphQLError("a range needs threshold2, or stdDevMultiplier2 if it is dynamic")
    if not first.startswith("GREATER") or not second.startswith("LESS"):
        raise GraphQLError("a range's operator must be greaterThan…, its operator2 lessThan…")
    if dynamic is None and one > other:
        raise GraphQLError("a range's threshold must not be above its threshold2")
    bounds = {"lower": {"operator": first, key: one}, "upper": {"operator": second, key: other}}
    return {**kind, "type": f"{kind['type']}_RANGE", **bounds}


def _patched_threshold(row: Row, given: Input, views: Views) -> Row:
    """The threshold that a patch leaves: what it does not give stays."""
    shown = views.monitor(row)
    kept: Input = {
        key: shown[key]
        for key in ("threshold", "threshold2", "thresholdMode", "operator", "operator2", "stdDevMultiplier2")
        if shown.get(key) is not None
    }
    if shown["dynamicAutoThresholdEnabled"]:
        kept["dynamicAutoThreshold"] = {"stdDevMultiplier": shown["stdDevMultiplier"]}
    # A number replaces a dynamic threshold, and the other way round.
    if given.get("threshold") is not None:
        kept.pop("dynamicAutoThreshold", None)
    elif given.get("dynamicAutoThreshold") is not None:
        kept.pop("threshold", None)
    return _threshold({**kept, **{key: value for key, value in given.items() if value is not None}})


def _schedule(given: Input) -> Row:
    found: Row = {}
    start, hours, days = (given.get(f"downtime{key}") for key in ("Start", "DurationHrs", "FrequencyDays"))
    if (start, hours, days) != (None, None, None):
        if start is None or hours is None or days is None:
            raise GraphQLError("a downtime needs its start, duration and frequency")
        found["downtime"] = {"start": timestamp(start), "duration_seconds": hours * 3600, "frequency_days": days}
    days_of_week = given.get("scheduledRuntimeDaysOfWeek")
    if any(not 0 <= day <= 6 for day in days_of_week or []):
        raise GraphQLError("scheduledRuntimeDaysOfWeek are 0 (Sunday) to 6")
    if given.get("scheduledRuntimeEnabled") is not None or given.get("scheduledRuntimeCadenceSeconds"):
        runtime: Row = {"enabled": bool(given.get("scheduledRuntimeEnabled"))}
        if given.get("scheduledRuntimeCadenceSeconds") is not None:
            runtime["cadence_seconds"] = given["scheduledRuntimeCadenceSeconds"]
        if days_of_week is not None:
            runtime["days_of_week"] = days_of_week
        found["scheduled_runtime"] = runtime
    return found
