"""Prompts, evaluators and evaluation tasks: what changes beside the monitors, and is delivered to subscribers."""

import uuid
from collections.abc import Sequence

from tests.vendors.arize.delivery import Deliverer, Delivery
from tests.vendors.arize.rest_webhooks import EVENTS
from tests.vendors.arize.state import Row, TenantState, now


class Changes:
    """The part of the tenant in which people release prompts and evaluators, and tasks run."""

    state: TenantState
    webhooks: Deliverer

    def publish(self, event: str, source_type: str, source_id: str, fields: Row) -> list[Delivery]:
        """Deliver an event of a prompt, an evaluator or a task to the webhooks that subscribe to it.

        Args:
            event: As REST spells it: ``PROMPT_VERSION_CREATED``.
            source_type: ``PROMPT``, ``EVALUATOR`` or ``ONLINE_TASK``, whose space is a source, too.
            source_id: The source.
            fields: The rest of the body, whose exact keys Arize does not publish.
        """
        name = EVENTS[event][0]
        sources = {(source_type, source_id)}
        with self.state.lock:
            if source_type == "ONLINE_TASK":
                task = self.state.tasks.get(source_id)
                project = self.state.projects.get(task["project_id"]) if task else None
                sources |= {("SPACE", project["space_id"])} if project else set()
            webhooks = dict.fromkeys(
                row["webhook_id"]
                for row in self.state.subscriptions.oldest()
                if row["event"] == event and (row["source_type"], row["source_id"]) in sources
            )
        payload = {"event": name, "occurred_at": now(), **fields}
        return [self.webhooks.send(webhook, name, payload) for webhook in webhooks]

    def add_prompt(self, name: str) -> Row:
        return self.state.prompts.add({"name": name, "description": "", **self._owned(), "updated_at": now()})

    def add_prompt_version(
        self, prompt_id: str, content: str, message: str = "", labels: Sequence[str] = ()
    ) -> tuple[Row, list[Delivery]]:
        """Release a version of a prompt, with labels that move from the version that had them.

        Returns:
            The version, and the deliveries that begin.
        """
        prompt = self.state.prompts.get(prompt_id)
        assert prompt is not None
        with self.state.lock:
            version = self.state.prompt_versions.add(
                {
                    "prompt_id": prompt_id,
                    "commit_hash": uuid.uuid4().hex,
                    "commit_message": message,
                    "messages": [{"role": "SYSTEM", "content": content}],
                    "input_variable_format": "F_STRING",
                    "provider": "OPEN_AI",
                    "model": "gpt-4o",
                    "created_at": now(),
                    "created_by_user_id": self.state.owner["id"],
                    "labels": [],
                }
            )
        deliveries = self.publish("PROMPT_VERSION_CREATED", "PROMPT", prompt_id, _released("prompt", prompt, version))
        for label in labels:
            deliveries += self.label_prompt_version(version["id"], label)
        return version, deliveries

    def label_prompt_version(self, version_id: str, label: str) -> list[Delivery]:
        """Let a label point to a version; it leaves the version that had it."""
        with self.state.lock:
            version = self.state.prompt_versions.get(version_id)
            assert version is not None
            prompt = self.state.prompts.get(version["prompt_id"])
            assert prompt is not None
            before = [
                row
                for row in self.state.prompt_versions.newest()
                if row["prompt_id"] == prompt["id"] and label in row["labels"]
            ]
            for row in before:
                row["labels"] = [one for one in row["labels"] if one != label]
            version["labels"] = [*version["labels"], label]
        deliveries: list[Delivery] = []
        for event, rows in (("PROMPT_VERSION_UNLABELED", before), ("PROMPT_VERSION_LABELED", [version])):
            for row in rows:
                fields = {**_released("prompt", prompt, row), "label": label}
                deliveries += self.publish(event, "PROMPT", prompt["id"], fields)
        return deliveries

    def add_evaluator(self, name: str) -> Row:
        fields = {"name": name, "description": "", "type": "TEMPLATE", **self._owned(), "updated_at": now()}
        return self.state.evaluators.add(fields)

    def add_evaluator_version(self, evaluator_id: str, template: str, message: str = "") -> tuple[Row, list[Delivery]]:
        """Release a version of an evaluator's template."""
        evaluator = self.state.evaluators.get(evaluator_id)
        assert evaluator is not None
        with self.state.lock:
            version = self.state.evaluator_versions.add(
                {
                    "evaluator_id": evaluator_id,
                    "commit_hash": uuid.uuid4().hex,
                    "commit_message": message,
                    "created_at": now(),
                    "created_by_user_id": self.state.owner["id"],
                    "type": "TEMPLATE",
                    "template_config": {
                        "name": evaluator["name"],
                        "template": template,
                        "include_explanations": True,
                        "use_function_calling": False,
                        "classification_choices": {"good": 1, "bad": 0},
                    },
                }
            )
        fields = _released("evaluator", evaluator, version)
        return version, self.publish("EVALUATOR_VERSION_CREATED", "EVALUATOR", evaluator_id, fields)

    def add_task(self, name: str, project_id: str) -> Row:
        """An evaluation task that runs continuously over a project's spans."""
        created = now()
        return self.state.tasks.add(
            {
                "name": name,
                "type": "TEMPLATE_EVALUATION",
                "project_id": project_id,
                "sampling_rate": 1,
                "is_continuous": True,
                "evaluators": [],
                "created_at": created,
                "updated_at": created,
                "created_by_user_id": self.state.owner["id"],
            }
        )

    def add_task_run(self, task_id: str, status: str = "COMPLETED", **fields: object) -> tuple[Row, list[Delivery]]:
        """A run of a task. A failed one is delivered, as Arize does when a task begins to fail.

        Args:
            task_id: The task.
            status: ``COMPLETED``, ``FAILED`` …
            fields: Of REST v2's task run: ``failure_reason``, ``num_errors`` …
        """
        task = self.state.tasks.get(task_id)
        assert task is not None
        created = now()
        given = {"num_successes": 0, "num_errors": 0, "num_skipped": 0, "created_at": created, **fields}
        with self.state.lock:
            run = self.state.task_runs.add(
                {"task_id": task_id, "status": status, "run_started_at": created, "run_finished_at": created, **given}
            )
            task |= {"last_run_at": created}
        if status != "FAILED":
            return run, []
        body = {
            "task": {"id": task_id, "name": task["name"]},
            "run": {"id": run["id"], "status": status.lower()},
            "project_id": task["project_id"],
            "failure_reason": run.get("failure_reason"),
        }
        return run, self.publish("ONLINE_TASK_RUN_FAILED", "ONLINE_TASK", task_id, body)

    def _owned(self) -> Row:
        return {"space_id": self.state.space["id"], "created_at": now(), "created_by_user_id": self.state.owner["id"]}


def _released(kind: str, source: Row, version: Row) -> Row:
    return {
        kind: {"id": source["id"], "name": source["name"], "space_id": source["space_id"]},
        "version": {key: version[key] for key in ("id", "commit_hash", "commit_message", "created_at")},
    }
