"""``tocsin arize apply``: exactly the plan, safe to repeat, and nothing that belongs to somebody else."""

import copy
import json

import pytest

from tests.cli.arize_harness import NOTHING, ONE, ArizeHarness, is_mutation
from tests.monitors.declared import ALL_KINDS
from tests.vendors.server import Fault, Request


def test_foreign_monitors_are_never_touched(arize: ArizeHarness) -> None:
    foreign = arize.tenant.add_monitor(project="chatbot", name="theirs", notes="owner:ml", tags=["x"])
    other = arize.tenant.add_monitor(
        project="chatbot", name="other repository's", notes="managed-by: tocsin/team-b/slow applied:0123456789ab"
    )
    before = copy.deepcopy([foreign, other])
    arize.declare(ONE)
    arize.bring_about()
    arize.declare(ONE.replace("5000", "6000"))
    arize.bring_about()
    arize.declare(NOTHING)
    assert [change["action"] for change in arize.plan()["changes"]] == ["delete"]
    assert arize.apply().exit_code == 0
    assert list(arize.monitors().values()) == before
    ids = {foreign["id"], other["id"]}
    assert not [one for one in arize.mutations() if any(each in json.dumps([one.path, one.body]) for each in ids)]


def test_removed_mark_is_reported_and_nothing_else(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    slow = arize.monitors()["slow"]
    arize.tenant.edit_by_hand(slow["id"], "Bob", notes="mine now")
    count = len(arize.mutations())
    result = arize.run("plan", "--out", "plan2.json")
    assert result.exit_code == 1
    assert f"add `id: {slow['id']}`" in result.output
    assert not (arize.folder / "plan2.json").exists()
    drift = arize.run("drift")
    assert drift.exit_code == 2
    assert "has lost Tocsin's mark" in drift.output
    assert "by bob@example.com at 20" in drift.output
    arize.declare(NOTHING)
    assert arize.run("plan").exit_code == 0  # without its mark it is nobody's
    assert len(arize.mutations()) == count
    arize.declare(ONE.replace("kind: tracing", f"kind: tracing\n    id: {slow['id']}"))
    arize.bring_about()
    assert arize.monitors()["slow"]["notes"].startswith("managed-by: tocsin/slow applied:")
    assert arize.run("plan").exit_code == 0


def test_copied_mark_is_a_conflict(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    copied = {**copy.deepcopy(arize.monitors()["slow"]), "id": "TW9uaXRvcjo5OTpjb3B5", "name": "copy of slow"}
    arize.tenant.put_monitor(copied)
    result = arize.run("plan")
    assert result.exit_code == 1
    assert "several monitors have its mark" in result.output
    arize.declare(NOTHING)
    result = arize.run("plan")  # whose copy it is, nobody knows
    assert (result.exit_code, "is not declared, and several monitors have its mark" in result.output) == (1, True)
    assert arize.apply().exit_code == 1
    assert len(arize.monitors()) == 2


def test_apply_asks_first(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.plan()
    for answer in ("n\n", ""):
        assert arize.run("apply", "plan.json", answer=answer).exit_code == 1
    assert arize.mutations() == []
    result = arize.run("apply", "plan.json", answer="y\n")
    assert (result.exit_code, "+ slow will be created" in result.output) == (0, True)


def test_stale_plan_is_refused(arize: ArizeHarness) -> None:
    arize.declare(ALL_KINDS)
    arize.bring_about()
    arize.declare(ALL_KINDS.replace("window: 10m", "window: 20m"))
    arize.plan()
    bystander = arize.monitors()["precision"]
    arize.tenant.edit_by_hand(bystander["id"], "Bob", delay_seconds=60)
    count = len(arize.mutations())
    result = arize.apply()
    assert result.exit_code == 1
    assert f"precision: {bystander['id']} was changed after the plan was made" in result.output
    arize.tenant.edit_by_hand(bystander["id"], "Bob", delay_seconds=0)
    slow = arize.monitors()["slow-answers"]
    arize.tenant.edit_by_hand(slow["id"], "Bob", name="mine")
    assert f"slow-answers: {slow['id']} was changed after the plan was made" in arize.apply().output
    assert len(arize.mutations()) == count
    arize.tenant.edit_by_hand(slow["id"], "Bob", name="slow-answers")
    assert arize.apply().exit_code == 0


def test_edited_plan_and_other_tenant_are_refused(arize: ArizeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    arize.declare(ONE)
    arize.plan()
    saved = (arize.folder / "plan.json").read_text()
    (arize.folder / "plan.json").write_text(saved.replace("5000", "9000"))
    assert "the plan was edited after it was saved" in arize.apply().output
    (arize.folder / "plan.json").write_text("{}")
    assert "not a plan of this version" in arize.apply().output
    (arize.folder / "plan.json").write_text(saved)
    monkeypatch.setenv("ARIZE_SPACE_ID", arize.tenant.space_id)
    result = arize.apply()
    assert (result.exit_code, "the plan was made for" in result.output) == (1, True)
    assert arize.mutations() == []


CHANGED = (
    ALL_KINDS.replace("value: 0.05", "value: 0.1")
    .replace("name: topic}", "name: region}")
    .replace('tags: ["team:support", latency]', 'tags: [latency, "slow:yes"]')
    .replace("  precision:\n", "  recall:\n")
)


@pytest.mark.parametrize("after", [True, False], ids=["answer lost", "request lost"])
@pytest.mark.parametrize("start", ["empty", "changed"])
def test_interrupted_apply_may_be_repeated(arize: ArizeHarness, start: str, after: bool) -> None:
    """Each mutation in turn fails, done or not: the same plan applied again brings about the same monitors once."""
    foreign = arize.tenant.add_monitor(project="chatbot", name="theirs")
    number = 0
    while True:
        arize.empty(foreign["id"])
        wanted = ALL_KINDS
        if start == "changed":
            arize.declare(ALL_KINDS)
            arize.bring_about()
            wanted = CHANGED
        arize.declare(wanted)
        arize.plan()
        before = len(arize.mutations())
        arize.interrupt(number, Fault(reset=True, after=after))
        first = arize.apply()
        sent = len(arize.mutations()) - before
        arize.interrupt(-2, Fault())
        if first.exit_code == 0:
            assert number >= 5
            assert sent == number
            return
        assert first.exit_code == 1
        assert sent == number + 1  # it stopped there
        assert "apply the same file again" in first.output
        second = arize.apply()
        assert second.exit_code == 0, second.output
        keys = {"slow-answers", "failures", "empty-answers", "topic-drift", "theirs"}
        assert set(arize.monitors()) == keys | {"recall" if start == "changed" else "precision"}
        assert len(arize.tenant.state.monitors.oldest()) == 6
        assert arize.run("plan").exit_code == 0, number
        number += 1


def test_integrations_may_be_a_list(arize: ArizeHarness) -> None:
    """The public reference has a connection, and arize-toolkit, which Arize's staff wrote, selects a list."""
    arize.tenant.views.integrations_as_list = True
    arize.declare(ONE)
    assert arize.run("plan").exit_code == 2
    assert len(arize.tenant.violations) == 1  # the first form was refused
    arize.tenant.violations.clear()


def test_unavailable_arize_is_retried_when_reading(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.tenant.rest.script(Fault(status=503), Fault(status=429, headers={"Retry-After": "0.1"}), Fault(reset=True))
    assert arize.run("plan").exit_code == 2


def test_refused_key_is_named_without_the_key(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.tenant.rest.unauthorized()
    result = arize.run("plan")
    assert (result.exit_code, "Arize answered 401" in result.output) == (1, True)
    assert "check ARIZE_API_KEY and its rights" in result.output


def test_tag_that_exists_elsewhere_is_found(arize: ArizeHarness) -> None:
    arize.tenant.add_monitor(project="search", name="other", tags=["Shared"])
    arize.declare(ONE + "    tags: [shared]\n")
    arize.bring_about()
    assert arize.tags("slow") == {"Shared"}
    assert arize.run("plan").exit_code == 0


def test_tag_that_is_attached_nowhere_is_a_step_by_hand(arize: ArizeHarness) -> None:
    arize.tenant.state.tag("lost", arize.tenant.space_id)
    arize.declare(ONE + "    tags: [a, lost]\n")
    arize.plan()
    result = arize.apply()
    assert result.exit_code == 0
    assert "attach the tag lost to the monitor" in result.output
    assert arize.tags("slow") == {"a"}
    assert {row["name"] for row in arize.tenant.state.tags.oldest()} == {"a", "lost"}  # nothing is left behind
    assert arize.run("plan").exit_code == 2


def test_change_during_an_apply_is_not_overwritten(arize: ArizeHarness) -> None:
    """Somebody edits the second monitor while the first is changed."""
    arize.declare(ALL_KINDS)
    arize.bring_about()
    arize.declare(ALL_KINDS.replace("value: 0.05", "value: 0.1").replace("window: 10m", "window: 20m"))
    arize.plan()
    slow = arize.monitors()["slow-answers"]

    def edit(request: Request) -> None:
        if is_mutation(request) and slow["name"] == "slow-answers":
            arize.tenant.edit_by_hand(slow["id"], "Bob", name="edited meanwhile")

    arize.tenant.on_request = edit
    result = arize.apply()
    assert result.exit_code == 1
    assert f"slow-answers: {slow['id']} was changed by somebody while the plan was applied" in result.output
    assert "1 of 2 changes are done" in result.output
    assert "edited meanwhile" in arize.monitors()


def test_change_that_arize_only_accepts_is_an_error(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    arize.declare(ONE.replace("5000", "6000"))
    arize.plan()
    slow = arize.monitors()["slow"]["id"]
    answer = {"data": {"patchDataQualityMonitor": {"monitor": {"id": slow}}}}
    arize.interrupt(0, Fault(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(answer)))
    result = arize.apply()
    assert result.exit_code == 1
    assert f"slow: Arize accepted the change, but of {slow} threshold is > 5000" in result.output


def test_answer_of_another_shape_is_no_empty_tenant(arize: ArizeHarness) -> None:
    """A proxy that answers 200 with other JSON must not make every monitor look missing."""
    arize.declare(ONE)
    arize.tenant.rest.wrong_json()
    result = arize.run("plan")
    assert (result.exit_code, "JSON of another shape: it has no 'monitors'" in result.output) == (1, True)


def test_unanswered_deletion_is_found_done(arize: ArizeHarness) -> None:
    arize.declare(ONE)
    arize.bring_about()
    arize.declare(NOTHING)
    arize.plan()
    arize.interrupt(0, Fault(reset=True, after=True))
    assert arize.apply().exit_code == 1
    arize.interrupt(-2, Fault())
    assert "slow: deleted already" in arize.apply().output
    assert arize.monitors() == {}
