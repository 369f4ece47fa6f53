# ruff: noqa: E501  # expected messages are one line each
"""The project of a declaration: by the catalogue, by name in any case, by id; and every doubt is an error."""

from pathlib import Path

import pytest

from integrations.base.registry import destination_types
from monitors import Project, Tenant, make_plan, resolve
from monitors.tenant import Unreadable
from policy import Policy, load_policy
from tests.monitors.declared import TENANT, parse
from tests.policy.policies import BASE

POLICY = (
    BASE
    + """\
models:
  one: {arize: {projects: [Support-Chatbot]}}
  by-id: {arize: {projects: [P3]}}
  two: {arize: {projects: [docs, docs-staging]}}
  search: {}
"""
)
PROJECTS = (
    Project("P1", "support-chatbot", "S1"),
    Project("P2", "search", "S1"),
    Project("P3", "search", "S2"),
    Project("P4", "docs"),
    Project("P5", "docs-staging"),
)
MONITOR = """\
version: 1
monitors:
  m:
    kind: performance
    {}
    metric: auc
    threshold: {{operator: less_than, value: 0.8}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return load_policy(tmp_path / "policy.yaml", destination_types())


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("model: one", "P1"),
        ("model: by-id", "P3"),
        ("project: SUPPORT-CHATBOT", "P1"),
        ("project: P3", "P3"),
        (
            "model: two",
            "a.yaml:5:5: monitors.m.model: the model has several Arize projects: state project, one of docs, docs-staging",
        ),
        (
            "model: search",
            "a.yaml:5:5: monitors.m.model: Arize has several projects search: state project by id (P2, P3), or ARIZE_SPACE_ID",
        ),
        ("project: serch", "a.yaml:5:5: monitors.m.project: Arize has no project serch: did you mean search?"),
    ],
)
def test_project_of_a_declaration(policy: Policy, stated: str, expected: str) -> None:
    tenant = Tenant(PROJECTS)
    resolution = resolve(parse(policy, MONITOR.format(stated)), tenant)
    if resolution.problems:
        assert list(map(str, resolution.problems)) == [expected]
    else:
        assert resolution.desired[0].state.project == expected


def test_unreadable_monitor_with_our_mark_is_no_reason_to_create_another(policy: Policy) -> None:
    read = parse(policy, MONITOR.format("project: chatbot"))
    resolution = resolve(read, TENANT)
    mark = resolution.desired[0].mark("")
    tenant = Tenant(TENANT.projects, unreadable={"M1": Unreadable("a kind that is not known", mark)})
    plan = make_plan(read, resolution.desired, tenant, root="x")
    assert plan.changes == ()
    assert plan.conflicts[0].text == "its monitor cannot be read: M1: a kind that is not known"
