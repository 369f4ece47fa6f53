"""``tocsin report``: reports for those who decide how a policy goes on."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.errors import UNUSABLE, exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, echo_json, print_rich
from cli.policy import HistoryOption, PolicyOption, load, policy_path

if TYPE_CHECKING:
    from alerts import Alert
    from simulation.rollout_report import PastIncidents

report = command_group("Report on what a policy does.")
MAX_SKIPPED = 10


@report.callback()
def _report() -> None:  # pyright: ignore[reportUnusedFunction]  # keeps `rollout` a command of the group
    """Report on what a policy does."""


@report.command()
def rollout(
    file: PolicyOption = None,
    history: HistoryOption = None,
    form: FormatOption = Format.text,
) -> None:
    """Show what each phase of a rollout would have paged: who, how often and at which hours."""
    from simulation.rollout_report import report_rollout, rollout_json, rollout_screen

    loaded = load(policy_path(file))
    alerts = _alerts(history)
    if not alerts:
        exit_with_error("the history has no alert with a time", UNUSABLE)
    found = report_rollout(loaded, alerts, _past(history, alerts[0][0]))
    if form is Format.json:
        echo_json(rollout_json(found))
    else:
        print_rich(rollout_screen(found))


def _alerts(history: Path | None) -> "list[tuple[datetime, Alert]]":
    """The alerts of a history, by time. One without a time comes at that of the one before it."""
    from cli.alert_history import AlertHistory, progress

    past = AlertHistory(clears=True)
    found: list[tuple[datetime, Alert]] = []
    at: datetime | None = None
    with progress(past, history) as recorded:
        for one in recorded:
            at = one.at or at
            if at is not None:
                found.append((at, one.alert))
    for reason in past.skipped[:MAX_SKIPPED]:
        typer.echo(f"left out: {reason}", err=True)
    return sorted(found, key=lambda one: one[0])


def _past(history: Path | None, since: datetime) -> "PastIncidents | None":
    """What came of the incidents, if the history is the audit log itself."""
    from audit import AuditLog
    from cli.database import database_url
    from simulation.rollout_report import OUTCOMES, PastIncidents

    if history is not None:
        return None
    past, log = PastIncidents(), AuditLog(database_url())
    try:
        for record in log.read(events=("received", *OUTCOMES), since=since):
            past.note(record.incident, record.first_run_id, record.event)
    finally:
        log.close()
    return past
