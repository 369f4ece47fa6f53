"""What a test puts into the tenant before it begins, and what people do by hand in Arize."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.vendors.arize.rest_webhooks import WebhookRoutes
from tests.vendors.arize.state import MonitorExtras, Row, TenantState, now
from tests.vendors.arize.translate import camel
from tests.vendors.specs import SPECS

SAMPLES = SPECS.parent / "samples" / "arize-tenant.json"
_EMBEDDING_METRICS = {"EUCLIDEAN_DISTANCE", "COSINE_SIMILARITY"}


class Seeding:
    """The part of the tenant that fills it."""

    state: TenantState
    webhook_routes: WebhookRoutes

    @property
    def organization_id(self) -> str:
        return self.state.organization["id"]

    @property
    def space_id(self) -> str:
        return self.state.space["id"]

    def seed(self, samples: Mapping[str, Any] | Path = SAMPLES) -> list[Row]:
        """Load projects, custom metrics, monitors, their tags and histories from samples, each as it is there.

        Args:
            samples: JSON in the shape of ``shared/samples/arize-tenant.json``, or its file.

        Returns:
            The cases, each with its ``monitor`` and the ``tier`` that it deserves.

        Raises:
            FileNotFoundError: The samples are not beside the project.
        """
        given = json.loads(samples.read_text()) if isinstance(samples, Path) else samples
        if self.state.organizations.get(given["org"]) is None:
            self.state.organizations.add({"id": given["org"], "name": "Seeded", "created_at": now()})
        if self.state.spaces.get(given["space"]) is None:
            self.state.add_space("Seeded", given["org"], id=given["space"])
        for identifier, name in given["projects"].items():
            self.add_project(name, id=identifier, space_id=given["space"])
        homes = {case["monitor"].get("custom_metric_id"): case["monitor"]["project_id"] for case in given["cases"]}
        for identifier, metric in given["custom_metrics"].items():
            home = homes.get(identifier) or next(iter(given["projects"]))
            self.add_custom_metric(metric["name"], metric["metric"], project_id=home, id=identifier)
        for case in given["cases"]:
            self.put_monitor(
                case["monitor"],
                tags=case.get("tags", ()),
                history=case.get("history", ()),
                data_type=case.get("data_type"),
            )
        return list(given["cases"])

    def add_project(self, name: str, *, model_type: str = "generative_llm", **fields: Any) -> Row:
        """A project, which GraphQL calls a model. In the first space unless ``space_id`` is given."""
        defaults = {"space_id": self.space_id, "created_at": now(), "project_type": "APPLICATION"}
        with self.state.lock:
            project = self.state.projects.add({**defaults, **fields, "name": name})
            self.state.model_types[project["id"]] = model_type
        return project

    def project(self, name: str) -> Row:
        """The project of a name, added if there is none."""
        with self.state.lock:
            found = next((row for row in self.state.projects.oldest() if row["name"] == name), None)
            return found or self.add_project(name)

    def add_custom_metric(self, name: str, metric: str, *, project_id: str, **fields: Any) -> Row:
        """A custom metric of a project, with its formula."""
        defaults = {"description": None, "requires_positive_class": False, "created_at": now()}
        given = {**defaults, **fields, "name": name, "metric": metric, "project_id": project_id}
        with self.state.lock:
            return self.state.custom_metrics.add(given)

    def add_monitor(
        self,
        *,
        project: str = "chatbot",
        tags: Iterable[str] = (),
        history: Sequence[float | tuple[datetime, float | None] | None] = (),
        data_type: str | None = None,
        **fields: Any,
    ) -> Row:
        """A monitor, cleared and never delivered yet: the p95 of ``latency_ms`` of a project, by default.

        Args:
            project: The project's name, unless ``project_id`` is among the fields.
            tags: Names of tags; those that the space does not have are added.
            history: As ``metricHistory`` gives it, before the failing window.
            data_type: Of its dimension, as GraphQL spells it.
            fields: Of REST v2's monitor. ``None`` leaves out a default.
        """
        created = now()
        span = {"metric": "P95", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"}}
        defaults: Row = {
            "name": "p95 latency",
            "type": "TRACING",
            "project_id": fields.get("project_id") or self.project(project)["id"],
            "status": "CLEARED",
            "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 5000},
            "notifications_enabled": True,
            "manual_evaluation_enabled": False,
            "created_by_user_id": self.state.owner["id"],
            "created_at": created,
            "updated_at": created,
            "evaluation_window_length_seconds": 300,
            "delay_seconds": 0,
            **(span if fields.get("type", "TRACING") == "TRACING" else {}),
        }
        given = {key: value for key, value in {**defaults, **fields}.items() if value is not None}
        return self.put_monitor(given, tags=tags, history=history, data_type=data_type)

    def put_monitor(
        self,
        monitor: Mapping[str, Any],
        *,
        tags: Iterable[str] = (),
        history: Sequence[float | tuple[datetime, float | None] | None] = (),
        data_type: str | None = None,
    ) -> Row:
        """Add or replace a monitor, exactly as it is given; only a missing id and ``uri`` are added."""
        with self.state.lock:
            row = self.state.monitors.add(dict(monitor))
            space = self.state.space_of(row)
            row.setdefault("uri", self.state.uri_of(row["id"], space))
            embedding = "EMBEDDING" if row.get("metric") in _EMBEDDING_METRICS else None
            self.state.extras[row["id"]] = MonitorExtras(
                tags=[self.state.tag(name, space["id"])["id"] for name in tags], data_type=data_type or embedding
            )
            self.state.set_history(row, history)
        return row

    def add_integration_key(self, name: str, provider: str, **fields: Any) -> Row:
        """A key of Slack, PagerDuty or OpsGenie, as GraphQL shows it."""
        defaults = {"organization_id": self.organization_id, "createdAt": now()}
        return self.state.integration_keys.add({**defaults, **fields, "name": name, "providerName": provider})

    def add_user(self, name: str, email: str) -> Row:
        return self.state.users.add({"name": name, "email": email, "created_at": now()})

    def add_webhook(
        self, url: str, *, auth_type: str = "BEARER", token: str | None = None, name: str = "tocsin", **fields: Any
    ) -> Row:
        """A webhook as the REST API creates it; with its ``signing_secret`` if it signs."""
        body = {"organization_id": self.organization_id, "name": name, "url": url, "auth_type": auth_type, **fields}
        with self.state.lock:
            return self.webhook_routes.create({**body, **({"auth_token": token} if token is not None else {})})

    def attach_webhook(self, monitor_id: str, webhook_id: str) -> None:
        """Let a monitor notify a webhook, which no API does: it is a click in Arize."""
        with self.state.lock:
            monitor, webhook = self.state.monitors.get(monitor_id), self.state.webhooks.get(webhook_id)
            assert monitor is not None
            assert webhook is not None
            config = {"type": "WEBHOOK", "id": webhook_id, "url": webhook["url"]}
            monitor["notification_configs"] = [*(monitor.get("notification_configs") or []), config]

    def edit_by_hand(self, monitor_id: str, user: Row | str, **changes: Any) -> Row:
        """Change a monitor as a person does in Arize: fields of REST, and an entry of the audit log.

        Args:
            monitor_id: The monitor.
            user: Who: a row of ``add_user``, or a name to add.
            changes: Fields of REST v2's monitor.
        """
        with self.state.lock:
            person = self.add_user(user, f"{user.lower()}@example.com") if isinstance(user, str) else user
            monitor = self.state.monitors.get(monitor_id)
            assert monitor is not None
            monitor |= {**changes, "updated_at": now()}
            family = {"DRIFT": "Drift", "PERFORMANCE": "Performance", "CUSTOM_METRIC": "Performance"}
            operation = f"patch{family.get(monitor['type'], 'DataQuality')}Monitor"
            text = f"mutation {operation}($input: Patch…) {{ {operation}(input: $input) {{ monitor {{ id }} }} }}"
            variables = {"input": {"monitorId": monitor_id, **{camel(key): value for key, value in changes.items()}}}
            return self.state.log(operation, text, json.dumps(variables), person)

    def add_metric_series(self, project_id: str, metric: str, points: Sequence[tuple[datetime, float | None]]) -> None:
        """What ``performanceMetricOverTime`` gives for a metric, as GraphQL spells it."""
        self.state.model_series[project_id, metric] = list(points)
