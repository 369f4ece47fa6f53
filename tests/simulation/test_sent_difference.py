"""What two policies send about one history, and the fires that the new one no longer pages."""

from pathlib import Path

from alerts import Alert, incident_id
from policy import Policy
from simulation.comparison import RecordedAlert
from simulation.sent_difference import SentDifference, compare_sent, sent_json
from simulation.simulator import Event
from tests.policy.policies import load
from tests.simulation.test_suppressions import POLICY, START, alert

OLD = POLICY.replace("noise: {page_budget: {pages: 2, within: 1h}}\n", "")


def policy(folder: Path, name: str, text: str) -> Policy:
    (folder / name).mkdir()
    return load(folder / name, text)


def history(*events: Event) -> list[RecordedAlert]:
    found: list[RecordedAlert] = []
    for number, one in enumerate(events):
        assert isinstance(one.payload, Alert)
        found.append(RecordedAlert(one.payload, START + one.after, incident_id(one.payload), f"line {number}"))
    return found


def difference(tmp_path: Path, new: str, *events: Event) -> SentDifference:
    found = compare_sent(policy(tmp_path, "old", OLD), policy(tmp_path, "new", new), history(*events))
    assert found is not None
    return found


FIRES = [alert(minute, "error_rate", monitor=f"m-{minute}") for minute in range(0, 50, 10)]


def test_grouped_fires_are_paged_once_and_none_is_lost(tmp_path: Path) -> None:
    new = OLD + "noise: {group_by: [alert.model], group_window: 1h}\n"
    found = difference(tmp_path, new, *FIRES)
    assert found.totals["pages"] == (10, 2)  # two pagers
    assert found.lost == ()
    assert found.by_team()["support"]["pages"] == (10, 2)
    assert found.by_week()["2026-W45"]["pages"] == (10, 2)


def test_fires_of_a_lower_tier_are_lost(tmp_path: Path) -> None:
    new = OLD.replace("tier: critical\n    inhibits: [{same: [alert.model], tiers: [high, low]}]", "tier: high")
    found = difference(tmp_path, new, *FIRES)
    assert [(one.monitor, one.why) for one in found.lost] == [
        (f"m-{minute}", "high by rule errors") for minute in range(0, 50, 10)
    ]
    report = sent_json(found)
    assert report["total"]["pages"] == {"before": 10, "after": 0}
    assert len(report["fires_no_longer_paged"]) == 5


def test_fire_that_is_held_for_a_while_is_not_lost(tmp_path: Path) -> None:
    held = OLD.replace("    tier: critical\n    inhibits", "    tier: critical\n    hold: 10m\n    inhibits")
    assert difference(tmp_path, held, *FIRES).lost == ()


def test_fire_in_a_maintenance_window_is_lost_if_it_clears_there(tmp_path: Path) -> None:
    new = OLD + 'noise: {maintenance: [{when: alert.model == "chatbot", cron: "0 9 * * *", duration: 1h}]}\n'
    clears = alert(30, "error_rate", status="CLEARED", monitor="m-0")
    found = difference(tmp_path, new, FIRES[0], clears)
    assert [one.monitor for one in found.lost] == ["m-0"]


def test_history_without_times_is_not_played(tmp_path: Path) -> None:
    recorded = [RecordedAlert(one.alert, None, one.incident, one.place) for one in history(alert(0, "error_rate"))]
    assert compare_sent(policy(tmp_path, "old", OLD), policy(tmp_path, "new", OLD), recorded) is None
