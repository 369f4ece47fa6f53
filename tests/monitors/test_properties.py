"""Round trips: what is declared, written to Arize and read again is the same; what is exported declares the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors import Observed, Tenant, make_plan, resolve
from monitors.export import export
from monitors.ownership import Mark, read_notes, write_notes
from monitors.state import Limit, MonitorState, Threshold, write_rest
from monitors.tenant import observe
from policy import Policy
from tests.monitors.declared import DECLARATIONS, NOTES, TENANT, a_policy, as_yaml, parse

ROOT = "https://api.example.com"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return a_policy(tmp_path_factory.mktemp("policy"))


def in_tenant(text: str, policy: Policy, *, marked: bool = True) -> Tenant:
    """The tenant after the declarations were applied: as the REST API shows it."""
    read = parse(policy, text)
    resolution = resolve(read, TENANT)
    assert resolution.problems == ()
    found: list[Observed] = []
    for index, one in enumerate(resolution.desired):
        notes = write_notes(one.state, one.mark(read.namespace))
        notes = notes if marked else notes.rpartition("managed-by:")[0]
        content = {"id": f"M{index}", **write_rest(one.state, notes)}
        found.append(observe({key: value for key, value in content.items() if value}, one.tags or ()))
    return Tenant(TENANT.projects, tuple(found), TENANT.integrations, TENANT.custom_metrics)


@given(entries=DECLARATIONS)
def test_applied_declarations_are_unchanged(policy: Policy, entries: dict[str, dict[str, object]]) -> None:
    text = as_yaml(entries)
    tenant = in_tenant(text, policy)
    read = parse(policy, text)
    plan = make_plan(read, resolve(read, tenant).desired, tenant, root=ROOT)
    assert (plan.changes, plan.conflicts, plan.unchanged) == ((), (), len(entries))


@given(entries=DECLARATIONS, marked=st.booleans())
def test_exported_monitors_are_unchanged(policy: Policy, entries: dict[str, dict[str, object]], marked: bool) -> None:
    tenant = in_tenant(as_yaml(entries), policy, marked=marked)
    exported = export(tenant, policy)
    assert exported.left_out == ()
    read = parse(policy, exported.text)
    resolution = resolve(read, tenant)
    assert resolution.problems == ()
    plan = make_plan(read, resolution.desired, tenant, root=ROOT)
    assert (plan.changes, plan.conflicts, plan.unchanged) == ((), (), len(entries))
    assert len(plan.adopted) == (0 if marked else len(entries))


@given(NOTES)
def test_what_notes_say_is_stable(notes: str) -> None:
    """What is read from notes, and written again, is read the same: else a plan would never be empty."""
    mark, said = read_notes(notes)
    assert mark is None
    threshold = Threshold(limits=(Limit(operator="greater_than", number=1),))
    state = MonitorState(kind="performance", name="n", project="P1", window=60, threshold=threshold, **said)
    again = read_notes(write_notes(state, Mark("team", "key", "abc")))
    assert again == (Mark("team", "key", "abc"), said)


@given(entries=DECLARATIONS, data=st.data())
def test_any_difference_is_planned(policy: Policy, entries: dict[str, dict[str, object]], data: st.DataObject) -> None:
    """Two different states are never taken for the same, and each difference has a line."""
    tenant = in_tenant(as_yaml(entries), policy)
    key = data.draw(st.sampled_from(sorted(entries)))
    other = next(iter(data.draw(DECLARATIONS).values()))
    changed = {**entries, key: {**other, "tags": entries[key].get("tags") or []}}
    read = parse(policy, as_yaml(changed))
    desired = resolve(read, tenant).desired
    before = next(one for one in tenant.monitors if one.mark and one.mark.key == key)
    after = next(one for one in desired if one.key == key)
    plan = make_plan(read, desired, tenant, root=ROOT)
    if before.state == after.state:
        assert plan.changes == ()
    else:
        (change,) = plan.changes
        assert change.key == key
        assert change.differences
