"""REST v2: organizations, spaces, projects, users, prompts, evaluators, tasks and the audit log, to read."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.vendors.arize.ids import moment
from tests.vendors.arize.rest import Answer, Call, Handler, ProblemError, contains, found, in_space
from tests.vendors.arize.state import Row, Table, TenantState


class CatalogRoutes:
    def __init__(self, state: TenantState) -> None:
        self.state = state
        self.audit_logs_readable = True
        """False if the key's owner is not an administrator of the account, or auditing is off."""

    def routes(self) -> dict[tuple[str, str], Handler]:
        state = self.state
        return {
            ("GET", "/v2/organizations"): self.list_organizations,
            ("GET", "/v2/organizations/{}"): _get(state.organizations),
            ("GET", "/v2/spaces"): self.list_spaces,
            ("GET", "/v2/spaces/{}"): _get(state.spaces),
            ("GET", "/v2/projects"): self.list_projects,
            ("GET", "/v2/projects/{}"): _get(state.projects),
            ("GET", "/v2/users"): self.list_users,
            ("GET", "/v2/users/{}"): _get(state.users),
            ("GET", "/v2/prompts"): lambda call: self._in_space(call, state.prompts, "prompts"),
            ("GET", "/v2/prompts/{}"): self.get_prompt,
            ("GET", "/v2/prompts/{}/versions"): self.list_prompt_versions,
            ("GET", "/v2/prompts/{}/labels/{}"): lambda call, id_, label: (200, self._version(id_, label=label)),
            ("GET", "/v2/prompt-versions/{}"): _get(state.prompt_versions),
            ("GET", "/v2/evaluators"): lambda call: self._in_space(call, state.evaluators, "evaluators"),
            ("GET", "/v2/evaluators/{}"): self.get_evaluator,
            ("GET", "/v2/evaluators/{}/versions"): self.list_evaluator_versions,
            ("GET", "/v2/evaluator-versions/{}"): _get(state.evaluator_versions),
            ("GET", "/v2/tasks"): self.list_tasks,
            ("GET", "/v2/tasks/{}"): _get(state.tasks),
            ("GET", "/v2/tasks/{}/runs"): self.list_task_runs,
            ("GET", "/v2/task-runs/{}"): _get(state.task_runs),
            ("GET", "/v2/audit-logs"): self.list_audit_logs,
        }

    def list_organizations(self, call: Call) -> Answer:
        table = self.state.organizations
        rows = [row for row in table.newest() if contains(row, "name", call.query.get("name"))]
        return call.page(table, rows, "organizations")

    def list_spaces(self, call: Call) -> Answer:
        if "org_id" in call.query:
            found(self.state.organizations, call.query["org_id"])
        rows = [
            row
            for row in self.state.spaces.newest()
            if contains(row, "name", call.query.get("name"))
            and call.query.get("org_id", row["organization_id"]) == row["organization_id"]
        ]
        return call.page(self.state.spaces, rows, "spaces")

    def list_projects(self, call: Call) -> Answer:
        kind = call.query.get("project_type")
        return self._in_space(call, self.state.projects, "projects", lambda row: kind in (None, row["project_type"]))

    def list_users(self, call: Call) -> Answer:
        # Every user of the tenant is active.
        shown = "ACTIVE" in (call.all_of("status") or ["ACTIVE"])
        rows = [row for row in self.state.users.newest() if shown and contains(row, "email", call.query.get("email"))]
        return call.page(self.state.users, rows, "users")

    def _in_space(self, call: Call, table: Table, key: str, also: Any = lambda row: True) -> Answer:
        """The lists with the filters ``space_id``, ``space_name`` and ``name``."""
        if "space_id" in call.query:
            found(self.state.spaces, call.query["space_id"])
        rows = [
            row
            for row in table.newest()
            if in_space(self.state, row, call.query) and contains(row, "name", call.query.get("name")) and also(row)
        ]
        return call.page(table, rows, key)

    # Prompts and evaluators

    def get_prompt(self, call: Call, prompt_id: str) -> Answer:
        prompt = found(self.state.prompts, prompt_id)
        version = self._version(prompt_id, call.query.get("version_id"), call.query.get("label"))
        return 200, {**prompt, "version": version}

    def _version(self, prompt_id: str, version_id: str | None = None, label: str | None = None) -> Row:
        """A prompt's version: of that id, of that label, or the latest."""
        found(self.state.prompts, prompt_id)
        for row in self.state.prompt_versions.newest():
            wanted = version_id in (None, row["id"]) and (label is None or label in row["labels"])
            if row["prompt_id"] == prompt_id and wanted:
                return row
        raise ProblemError(404, "no such version")

    def list_prompt_versions(self, call: Call, prompt_id: str) -> Answer:
        found(self.state.prompts, prompt_id)
        table = self.state.prompt_versions
        return call.page(table, [row for row in table.newest() if row["prompt_id"] == prompt_id], "prompt_versions")

    def get_evaluator(self, call: Call, evaluator_id: str) -> Answer:
        evaluator = found(self.state.evaluators, evaluator_id)
        wanted = call.query.get("version_id")
        for row in self.state.evaluator_versions.newest():
            if row["evaluator_id"] == evaluator_id and wanted in (None, row["id"]):
                return 200, {**evaluator, "version": row}
        raise ProblemError(404, "no such version")

    def list_evaluator_versions(self, call: Call, evaluator_id: str) -> Answer:
        found(self.state.evaluators, evaluator_id)
        table = self.state.evaluator_versions
        rows = [row for row in table.newest() if row["evaluator_id"] == evaluator_id]
        return call.page(table, rows, "evaluator_versions")

    # Tasks

    def list_tasks(self, call: Call) -> Answer:
        if "project_id" in call.query:
            found(self.state.projects, call.query["project_id"])

        def wanted(task: Row) -> bool:
            project = found(self.state.projects, task["project_id"])
            return (
                in_space(self.state, project, call.query)
                and contains(task, "name", call.query.get("name"))
                and call.query.get("project_id", task["project_id"]) == task["project_id"]
                and call.query.get("type", task["type"]) == task["type"]
                and call.query.get("dataset_id", task.get("dataset_id")) == task.get("dataset_id")
            )

        return call.page(self.state.tasks, [row for row in self.state.tasks.newest() if wanted(row)], "tasks")

    def list_task_runs(self, call: Call, task_id: str) -> Answer:
        found(self.state.tasks, task_id)
        rows = [
            row
            for row in self.state.task_runs.newest()
            if row["task_id"] == task_id and call.query.get("status", row["status"]) == row["status"]
        ]
        return call.page(self.state.task_runs, rows, "task_runs")

    # Audit

    def list_audit_logs(self, call: Call) -> Answer:
        if not self.audit_logs_readable:
            raise ProblemError(403, "audit logs need an account administrator and an account with audit logging")
        query, operations = call.query, call.all_of("operation_name")
        end = moment(query["end_time"]) if "end_time" in query else datetime.now(UTC)
        begin = moment(query["start_time"]) if "start_time" in query else end - timedelta(days=30)
        rows = [
            row
            for row in self.state.audit_logs.newest()
            if begin <= moment(row["created_at"]) <= end
            and (not operations or row["operation_name"] in operations)
            and all(query.get(name, row[name]) == row[name] for name in ("user_id", "operation_type"))
        ]
        return call.page(self.state.audit_logs, rows, "logs")


def _get(table: Table) -> Handler:
    return lambda call, identifier: (200, found(table, identifier))
