"""The tenant as GraphQL shows it: what each type's fields resolve to, made of the rows that REST has."""

from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError

from tests.vendors.arize.ids import moment
from tests.vendors.arize.series import Point, buckets, with_thresholds
from tests.vendors.arize.state import BadCursorError, Row, Table, TenantState
from tests.vendors.arize.translate import (
    CATEGORIES,
    FILTER_ROWS,
    MONITOR_CATEGORIES,
    OPERATORS,
    STATUSES,
    camel,
)

View = dict[str, Any]


class Views:
    def __init__(self, state: TenantState) -> None:
        self.state = state
        self.largest_page = 100
        self.integrations_as_list = False
        """arize-toolkit 1.0.20 selects ``integrations`` as a list, the public schema has a connection."""
        self.denied: set[str] = set()
        """Fields of a monitor that the key may not read: they are null, beside an error."""
        self._nodes = {
            "AccountOrganization": (state.organizations, self.organization),
            "Space": (state.spaces, self.space),
            "Model": (state.projects, self.model),
            "Monitor": (state.monitors, self.monitor),
            "CustomMetric": (state.custom_metrics, self.custom_metric),
            "IntegrationKey": (state.integration_keys, self.integration_key),
        }

    def node(self, identifier: str) -> View | None:
        for table, view in self._nodes.values():
            row = table.get(identifier)
            if row is not None:
                return view(row)
        return None

    def account(self) -> View:
        def organizations(info: Any, search: str | None = None, **page: Any) -> View:
            table = self.state.organizations
            return self._connection(table, _search(table.newest(), search), self.organization, page)

        return {"organizations": organizations}

    def _connection(self, table: Table, rows: Iterable[Row], view: Any, page: View) -> View:
        first = page.get("first")
        limit = self.largest_page if first is None else min(first, self.largest_page)
        if limit < 1:
            raise GraphQLError("first must be positive")
        try:
            found, cursor = table.page(rows, limit, page.get("after"))
        except BadCursorError:
            raise GraphQLError("after is not a cursor") from None
        return {
            "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor},
            "edges": [{"node": view(row)} for row in found],
        }

    def organization(self, row: Row) -> View:
        def spaces(info: Any, search: str | None = None, **page: Any) -> View:
            own = [one for one in self.state.spaces.newest() if one["organization_id"] == row["id"]]
            return self._connection(self.state.spaces, _search(own, search), self.space, page)

        def integrations(info: Any, **given: Any) -> Any:
            table = self.state.integration_keys
            own = [
                one
                for one in _search(table.newest(), given.get("search"))
                if one["organization_id"] == row["id"] and given.get("providerName") in (None, one["providerName"])
            ]
            if self.integrations_as_list:
                return [self.integration_key(one) for one in own]
            return self._connection(table, own, self.integration_key, given)

        return {**_named("AccountOrganization", row), "spaces": spaces, "integrations": integrations}

    def integration_key(self, row: Row) -> View:
        return {"__typename": "IntegrationKey", **row}

    def space(self, row: Row) -> View:
        def models(info: Any, **given: Any) -> View:
            search = given.get("search")
            own = [one for one in self.state.projects.newest() if one["space_id"] == row["id"]]
            exact = [one for one in own if search in (None, one["name"])]
            rows = exact if given.get("useExactSearchMatch") else _search(own, search)
            return self._connection(self.state.projects, rows, self.model, given)

        def monitors(info: Any, **given: Any) -> View:
            projects = {
                one["id"]
                for one in self.state.projects.newest()
                if one["space_id"] == row["id"] and given.get("modelName") in (None, one["name"])
            }
            return self._monitors(projects, given)

        return {**_named("Space", row), "models": models, "monitors": monitors}

    def _monitors(self, projects: set[str], given: View) -> View:
        rows = [
            one
            for one in _search(self.state.monitors.newest(), given.get("search"))
            if one["project_id"] in projects
            and given.get("monitorCategory") in (None, MONITOR_CATEGORIES[one["type"]])
            and given.get("status") in (None, STATUSES.get(one.get("status", "")))
        ]
        return self._connection(self.state.monitors, rows, self.monitor, given)

    def model(self, row: Row) -> View:
        def custom_metrics(info: Any, **given: Any) -> View:
            table = self.state.custom_metrics
            own = [one for one in table.newest() if one["project_id"] == row["id"]]
            return self._connection(table, _search(own, given.get("searchTerm")), self.custom_metric, given)

        return {
            **_named("Model", row),
            "modelType": self.state.model_types.get(row["id"], "generative_llm"),
            "createdAt": row["created_at"],
            "isDemoModel": False,
            "monitors": lambda info, **given: self._monitors({row["id"]}, given),
            "customMetrics": custom_metrics,
            "performanceMetricOverTime": lambda info, **given: self._over_time(row, given),
        }

    def _over_time(self, project: Row, given: View) -> View | None:
        points = self.state.model_series.get((project["id"], given["performanceMetric"]))
        if points is None:
            return None
        granularity = given.get("timeSeriesDataGranularity") or "day"
        data, _ = with_thresholds(buckets(points, given["startTime"], given["endTime"], granularity), None)
        return {"dataWindows": [{"metricDisplayDate": one["x"], "metricValue": one["y"]} for one in data]}

    def custom_metric(self, row: Row) -> View:
        return {
            **_named("CustomMetric", row),
            "description": row["description"],
            "metric": row["metric"],
            "requiresPositiveClass": row["requires_positive_class"],
            "createdAt": row["created_at"],
        }

    def monitor(self, row: Row) -> View:
        extras = self.state.extras[row["id"]]
        creator = self.state.users.get(row.get("created_by_user_id"))
        custom = self.state.custom_metrics.get(row.get("custom_metric_id"))
        return {
            **_named("Monitor", row),
            "uri": row.get("uri"),
            "monitorCategory": MONITOR_CATEGORIES[row["type"]],
            "createdDate": row.get("created_at"),
            "updatedAt": row.get("updated_at"),
            "notes": row.get("notes"),
            "creator": creator and {key: creator[key] for key in ("id", "name", "email")},
            "evaluationIntervalSeconds": row.get("evaluation_window_length_seconds"),
            "evaluatedAt": row.get("evaluated_at"),
            "contacts": self._contacts(row),
            "status": STATUSES.get(row.get("status", "")),
            "isTriggered": row.get("status") == "TRIGGERED",
            "isManaged": extras.managed,
            "notificationsEnabled": row.get("notifications_enabled"),
            "latestComputedValue": row.get("latest_computed_value"),
            "customMetric": custom and self.custom_metric(custom),
            "positiveClassValue": row.get("positive_class_value"),
            "metricAtRankingKValue": row.get("metric_at_ranking_k_value"),
            "metricHistory": lambda info, **given: self._history(row, given),
            **extras.graphql,
            **_metric(row),
            **_threshold(row.get("threshold") or {}),
            **_schedule(row),
            **self._windows(row),
            **dict.fromkeys(self.denied, _deny),
        }

    def _contacts(self, row: Row) -> list[View]:
        """The channels of a monitor. A webhook is none that GraphQL has a word for."""
        found: list[View] = []
        for place, config in enumerate(row.get("notification_configs") or []):
            contact = {"id": f"{row['id']}-{place}"}
            if config["type"] == "EMAIL":
                found.append({**contact, "notificationChannelType": "email", "emailAddress": config["email_address"]})
            elif config["type"] == "INTEGRATION":
                key = self.state.integration_keys.get(config["integration_id"])
                integration = key and self.integration_key(key)
                found.append({**contact, "notificationChannelType": "integration", "integration": integration})
        return found

    def _windows(self, row: Row) -> View:
        category, dimension = None, None
        if row.get("dimension"):
            category = CATEGORIES[row["dimension"]["category"]]
            dimension = {
                "id": f"{row['id']}-dimension",
                "name": row["dimension"].get("name"),
                "category": category,
                "dataType": self.state.extras[row["id"]].data_type,
            }
        window = {
            "id": f"{row['id']}-window",
            "type": "moving",
            "windowLengthMs": (row.get("evaluation_window_length_seconds") or 86400) * 1000,
            "dimensionCategory": category,
            "dimension": dimension,
            "filters": [_filter(row, place, one) for place, one in enumerate(row.get("filters") or [])],
        }
        baseline = row.get("baseline_config")
        comparison = None
        if baseline is not None:
            length = (baseline.get("window") or {}).get("moving_window_seconds")
            comparison = {
                **window,
                "id": f"{row['id']}-baseline",
                "type": "fixed" if (baseline.get("window") or {}).get("type") == "FIXED" else "moving",
                "windowLengthMs": length and length * 1000,
                "filters": [_filter(row, place, one) for place, one in enumerate(baseline.get("filters") or [])],
            }
        return {
            "dimensionCategory": category,
            "primaryMetricWindow": window,
            "comparisonMetricWindow": comparison,
        }

    def _history(self, row: Row, given: View) -> View:
        points: list[Point] = list(self.state.extras[row["id"]].history)
        if row.get("evaluated_at") and row.get("latest_computed_value") is not None:
            # The failing window's own value, at the window's end; a client that takes it for the baseline is wrong.
            points.append((self.state.failing_window(row)[1], row["latest_computed_value"]))
        granularity = given["timeSeriesDataGranularity"]
        found = buckets(points, given["startTime"], given["endTime"], granularity)
        data, thresholds = with_thresholds(found, row.get("threshold"))
        return {
            "__typename": "TimeSeriesWithThresholdDataType",
            "key": row.get("metric") or "custom metric",
            "dataPoints": data,
            "thresholdDataPoints": thresholds,
        }


def _deny(info: Any, **given: Any) -> Any:
    raise GraphQLError("permission denied")


def _named(kind: str, row: Row) -> View:
    return {"__typename": kind, "id": row["id"], "name": row["name"]}


def _search(rows: Iterable[Row], text: str | None) -> list[Row]:
    return [row for row in rows if not text or text.casefold() in row["name"].casefold()]


def _metric(row: Row) -> View:
    """The field of the metric's family. A custom metric is the performance metric ``udf``."""
    metric = camel(row["metric"]) if row.get("metric") else None
    if row["type"] == "CUSTOM_METRIC":
        return {"performanceMetric": "udf"}
    family = {"DRIFT": "driftMetric", "PERFORMANCE": "performanceMetric"}.get(row["type"], "dataQualityMetric")
    return {family: metric}


def _threshold(threshold: Row) -> View:
    """The fields of a threshold. A dynamic one has no number: only the metric's history shows it."""
    kind = threshold.get("type", "")
    first, second = threshold.get("lower", threshold), threshold.get("upper") or {}
    return {
        "thresholdMode": "range" if kind.endswith("RANGE") else "single",
        "threshold": first.get("value"),
        "threshold2": second.get("value"),
        "operator": OPERATORS.get(first.get("operator", "")),
        "operator2": OPERATORS.get(second.get("operator", "")),
        "dynamicAutoThresholdEnabled": kind.startswith("DYNAMIC"),
        "stdDevMultiplier": first.get("multiplier"),
        "stdDevMultiplier2": second.get("multiplier"),
    }


def _schedule(row: Row) -> View:
    downtime, runtime = row.get("downtime") or {}, row.get("scheduled_runtime") or {}
    return {
        "downtimeStart": downtime.get("start"),
        "downtimeDurationHrs": downtime.get("duration_seconds") and downtime["duration_seconds"] // 3600,
        "downtimeFrequencyDays": downtime.get("frequency_days"),
        "scheduledRuntimeEnabled": runtime.get("enabled", False),
        "scheduledRuntimeCadenceSeconds": runtime.get("cadence_seconds"),
        "scheduledRuntimeDaysOfWeek": runtime.get("days_of_week"),
    }


def _filter(row: Row, place: int, one: Row) -> View:
    category, name = one["dimension"]["category"], one["dimension"].get("name")
    identifier = f"{row['id']}-filter-{place}"
    return {
        "id": identifier,
        "filterType": FILTER_ROWS[category],
        "operator": OPERATORS.get(one.get("operator", "")),
        "dimension": {"id": f"{identifier}-dimension", "name": name, "category": CATEGORIES[category]},
        "dimensionValues": [
            {"id": f"{identifier}-{number}", "value": value} for number, value in enumerate(one.get("values") or [])
        ],
    }


def parse_moment(value: Any) -> Any:
    """A ``DateTime`` that a client sends.

    Raises:
        GraphQLError: It is not a moment in ISO 8601.
    """
    try:
        return moment(value)
    except (TypeError, ValueError):
        raise GraphQLError(f"DateTime cannot represent {value!r}") from None
