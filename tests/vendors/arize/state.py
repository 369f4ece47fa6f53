"""What the tenant holds: rows in the shape of REST v2, and beside each monitor what only GraphQL says."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.vendors.arize.ids import cursor_of, global_id, moment, serial_of, timestamp

Row = dict[str, Any]
SPAN_CATEGORIES = {"SPAN_ATTRIBUTE", "LLM_EVAL", "USER_ANNOTATION"}
"""The dimensions of a TRACING monitor."""


def now() -> str:
    return timestamp(datetime.now(UTC))


class BadCursorError(ValueError):
    """A cursor that no list of the tenant gave."""


class Table:
    """Rows by id, in the order in which they were added."""

    def __init__(self, kind: str, first: int) -> None:
        self.kind = kind
        """The type that the ids name."""
        self._next = first
        self._rows: dict[str, Row] = {}
        self._serials: dict[str, int] = {}

    def add(self, row: Row) -> Row:
        """Keep a row, with a new id if it has none. The row that was there under its id is replaced."""
        identifier = row.get("id") or global_id(self.kind, self._next)
        self._next += 1
        self._rows[identifier] = {"id": identifier, **row}
        self._serials.setdefault(identifier, self._next)
        return self._rows[identifier]

    def get(self, identifier: str | None) -> Row | None:
        return self._rows.get(identifier or "")

    def remove(self, identifier: str) -> None:
        del self._rows[identifier]
        del self._serials[identifier]

    def newest(self) -> list[Row]:
        """All rows, the newest first, as every list of REST v2."""
        return sorted(self._rows.values(), key=lambda row: self._serials[row["id"]], reverse=True)

    def oldest(self) -> list[Row]:
        return self.newest()[::-1]

    def page(self, rows: Iterable[Row], limit: int, cursor: str | None) -> tuple[list[Row], str | None]:
        """The rows of a page and the cursor of the next one. A row that is added later does not shift a page.

        Raises:
            BadCursorError: The cursor is not one that an earlier page gave.
        """
        begin = serial_of(cursor) if cursor else None
        if cursor and begin is None:
            raise BadCursorError(cursor)
        left = [row for row in rows if begin is None or self._serials[row["id"]] < begin]
        found = left[:limit]
        return found, cursor_of(self._serials[found[-1]["id"]]) if len(left) > limit else None


@dataclass
class MonitorExtras:
    """What REST does not say of a monitor."""

    tags: list[str] = field(default_factory=list[str])
    history: list[tuple[datetime, float | None]] = field(default_factory=list[tuple[datetime, float | None]])
    data_type: str | None = None
    """The data type of its dimension, as GraphQL spells it: ``EMBEDDING``, ``FLOAT`` …"""
    environment: str = "production"
    managed: bool = False
    next_value: float | None = None
    """What the next evaluation that a client triggers computes. Without one: the latest value."""
    graphql: Row = field(default_factory=Row)
    """Fields that only GraphQL has: ``topKPercentileValue`` …"""


class TenantState:
    """Everything that the tenant holds. Hold ``lock`` while reading or changing it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.organizations = Table("AccountOrganization", 12)
        self.spaces = Table("Space", 34)
        self.projects = Table("Model", 5000)
        self.monitors = Table("Monitor", 61000)
        self.extras: dict[str, MonitorExtras] = {}
        self.tags = Table("Tag", 300)
        self.project_tags: dict[str, list[str]] = {}
        self.model_types: dict[str, str] = {}
        """The ``modelType`` of a project, if it is not ``generative_llm``."""
        self.model_series: dict[tuple[str, str], list[tuple[datetime, float | None]]] = {}
        """A performance metric over time, by the project and the metric's name in GraphQL."""
        self.custom_metrics = Table("CustomMetric", 700)
        self.integration_keys = Table("IntegrationKey", 900)
        self.users = Table("User", 9)
        self.webhooks = Table("Webhook", 7)
        self.webhook_secrets: dict[str, str] = {}
        self.webhook_headers: dict[str, dict[str, str]] = {}
        self.attempts: dict[str, Table] = {}
        """The delivery attempts of each webhook."""
        self.subscriptions = Table("WebhookSubscription", 40)
        self.prompts = Table("Prompt", 80)
        self.prompt_versions = Table("PromptVersion", 8000)
        self.evaluators = Table("Evaluator", 60)
        self.evaluator_versions = Table("EvaluatorVersion", 6000)
        self.tasks = Table("OnlineTask", 50)
        self.task_runs = Table("OnlineTaskRun", 5500)
        self.audit_logs = Table("AuditLog", 1)
        self.owner = self.users.add({"name": "Ada Key", "email": "ada@example.com", "created_at": now()})
        """The user whose API key the tenant accepts."""
        self.organization = self.organizations.add({"name": "Acme", "description": "", "created_at": now()})
        self.space = self.add_space("Models")

    def add_space(self, name: str, organization: str | None = None, **fields: Any) -> Row:
        """A space; in the first organization unless another id is given."""
        return self.spaces.add(
            {
                "organization_id": organization or self.organization["id"],
                "name": name,
                "description": "",
                "created_at": now(),
                "is_private": False,
                **fields,
            }
        )

    def tag(self, name: str, space: str) -> Row:
        """The tag of that name in a space, added if there is none. Names are compared without case."""
        for row in self.tags.oldest():
            if row["space_id"] == space and row["name"].casefold() == name.casefold():
                return row
        added = now()
        fields: Row = {"description": None, "color": None, "created_at": added, "updated_at": added}
        return self.tags.add({"name": name, "space_id": space, **fields})

    def space_of(self, monitor: Row) -> Row:
        project = self.projects.get(monitor["project_id"])
        space = self.spaces.get(project["space_id"]) if project else None
        return space or self.space

    def uri_of(self, monitor_id: str, space: Row) -> str:
        """The deep link as REST gives it."""
        place = f"organizations/{space['organization_id']}/spaces/{space['id']}"
        return f"https://app.arize.com/{place}/monitors/{monitor_id}"

    def failing_window(self, monitor: Row) -> tuple[datetime, datetime]:
        """The window over which the monitor was last evaluated."""
        evaluated = moment(monitor["evaluated_at"]) if monitor.get("evaluated_at") else datetime.now(UTC)
        end = evaluated - timedelta(seconds=monitor.get("delay_seconds") or 0)
        return end - timedelta(seconds=monitor.get("evaluation_window_length_seconds") or 86400), end

    def set_history(self, monitor: Row, values: Iterable[float | tuple[datetime, float | None] | None]) -> None:
        """The metric's history: pairs, or values an hour apart of which the last is an hour before the failing
        window."""
        begin, _ = self.failing_window(monitor)
        given = list(values)
        self.extras[monitor["id"]].history = [
            one if isinstance(one, tuple) else (begin - timedelta(hours=len(given) - place), one)
            for place, one in enumerate(given)
        ]

    def log(self, operation: str, text: str, variables: str, user: Row | None = None) -> Row:
        """Add an entry of the audit log."""
        return self.audit_logs.add(
            {
                "user_id": (user or self.owner)["id"],
                "ip": "203.0.113.7",
                "operation_type": "MUTATION",
                "operation_name": operation,
                "operation_text": text,
                "variables": variables,
                "created_at": now(),
            }
        )
