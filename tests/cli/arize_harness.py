"""``tocsin arize`` against the stand-in tenant, in a folder with a policy and declarations."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.harness import CliHarness
from tests.monitors.declared import BASE, RULES
from tests.vendors.arize import ArizeTenant
from tests.vendors.server import Fault, Request

ONE = """\
version: 1
monitors:
  slow:
    kind: tracing
    model: chatbot
    metric: p95
    dimension: {category: span_attribute, name: latency_ms}
    threshold: {operator: greater_than, value: 5000}
    contacts: [{integration: ops-slack}]
"""
NOTHING = "version: 1\nmonitors: {}\n"


class ArizeHarness:
    """Declarations in ``monitors/monitors.yaml``, and a tenant with the projects and integrations that they name."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, tenant: ArizeTenant) -> None:
        self.cli = CliHarness(folder, monkeypatch, "arize")
        self.tenant = tenant
        self.folder = folder
        for name, value in tenant.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("ARIZE_SPACE_ID", raising=False)
        slo = RULES.replace("slo: {error_rate: 0.02}", "slo: {error_rate: 0.02, p95_latency_ms: 5000}")
        self.cli.write("policy.yaml", BASE + slo)
        self.chatbot = tenant.add_project("chatbot")
        self.search = tenant.add_project("search")
        for name in ("Error Rate", "Cost"):
            tenant.add_custom_metric(name, "SELECT 1 FROM model", project_id=self.chatbot["id"])
        for name, provider in (("ops-slack", "slack"), ("oncall", "pagerduty"), ("ops-genie", "opsgenie")):
            tenant.add_integration_key(name, provider)

    def declare(self, text: str) -> None:
        self.cli.write("monitors/monitors.yaml", text)

    def run(self, *arguments: str, answer: str | None = None) -> Result:
        result = self.cli.run(*arguments, input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert self.tenant.key not in result.output
        return result

    def plan(self) -> dict[str, Any]:
        """The plan as JSON, also saved to ``plan.json``."""
        result = self.run("plan", "--json", "--out", "plan.json")
        assert result.exit_code in {0, 2}, result.output
        return json.loads(result.stdout)

    def apply(self) -> Result:
        return self.run("apply", "plan.json", "--yes")

    def bring_about(self) -> None:
        """Plan and apply."""
        self.plan()
        result = self.apply()
        assert result.exit_code == 0, result.output

    def monitors(self) -> dict[str, dict[str, Any]]:
        """The monitors of the tenant, by name."""
        return {row["name"]: row for row in self.tenant.state.monitors.oldest()}

    def tags(self, name: str) -> set[str]:
        state = self.tenant.state
        rows = map(state.tags.get, state.extras[self.monitors()[name]["id"]].tags)
        return {row["name"] for row in rows if row}

    def empty(self, *kept: str) -> None:
        """Remove all monitors but some, and all tags."""
        state = self.tenant.state
        for row in state.monitors.oldest():
            if row["id"] not in kept:
                state.monitors.remove(row["id"])
        for row in state.tags.oldest():
            state.tags.remove(row["id"])

    def mutations(self) -> list[Request]:
        return [request for request in list(self.tenant.requests) if is_mutation(request)]

    def interrupt(self, number: int, fault: Fault) -> None:
        """Let the mutation with this number, counted from 0, fail; it is then the last one that is answered so."""
        count = 0

        def choose(request: Request) -> Fault | None:
            nonlocal count
            if not is_mutation(request):
                return None
            count += 1
            return fault if count == number + 1 else None

        self.tenant.choose = choose


def is_mutation(request: Request) -> bool:
    if request.path == "/graphql":
        return request.body["query"].lstrip().startswith("mutation")
    return request.method != "GET"
