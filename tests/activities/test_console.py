"""The console: what a new user sees, with nothing in it that an alert could have drawn."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from activities.contracts import DigestIssue, Verb
from tests.activities.sending import a_brief, a_delivery, deliverer, run


async def test_the_whole_message_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    activities = deliverer(tmp_path, "{type: console}")
    delivery = a_delivery("console", "console", note="Nobody has acknowledged for 15m.")
    for attempt in (1, 2):
        await run(activities.console, delivery, attempt)
    printed = capsys.readouterr().out
    for part in (delivery.brief.headline[:40], "premium", "error-rate-breach", "runbooks.example.com", "Nobody has"):
        assert printed.count(part) == 1, printed


@pytest.mark.parametrize("verb", [verb for verb in get_args(Verb) if verb != "notify"])
async def test_every_verb_has_its_title(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: Any) -> None:
    await run(deliverer(tmp_path, "{type: console}").console, a_delivery("console", "console", verb))
    titles = {
        "acknowledge": "acknowledged",
        "resolve": "resolved",
        "remind": "reminder",
        "note": "note",
        "change": "as it stands now",
    }
    assert f"here · {titles[verb]}" in capsys.readouterr().out


async def test_markup_in_an_alert_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brief = a_brief(headline="[bold red]LOW[/] [link=https://evil]x[/link]", why="[blink]y")
    await run(deliverer(tmp_path, "{type: console}").console, a_delivery("console", "console", brief=brief))
    printed = capsys.readouterr().out
    assert "[bold red]LOW[/] [link=https://evil]x[/link]" in printed
    assert "[blink]y" in printed


async def test_a_digest_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue = DigestIssue(key="d", destination="here", briefs=(a_brief(),) * 3, since=datetime(2026, 11, 23, tzinfo=UTC))
    await run(deliverer(tmp_path, "{type: console}").send_digest, issue)
    assert "Digest for here: 3 since 2026-11-23 00:00 UTC" in capsys.readouterr().out
