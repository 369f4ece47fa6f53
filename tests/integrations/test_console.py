"""The console prints every part of a message, and renders no markup of an alert."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from incident.digest import Digest
from incident.receipt import Verb
from tests.integrations.notifications import make_content, make_notification, make_notifier, run, send_digest


async def test_message_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    activities = make_notifier(tmp_path, "{type: console}")
    notification = make_notification("console", "console", note="Not acknowledged for 15m.")
    for attempt in (1, 2):
        await run(activities.console, notification, attempt)
    printed = capsys.readouterr().out
    for part in (
        notification.content.headline[:40],
        "premium",
        "error-rate-breach",
        "runbooks.example.com",
        "Not acknowledged",
    ):
        assert printed.count(part) == 1, printed


@pytest.mark.parametrize("verb", [verb for verb in get_args(Verb) if verb != "notify"])
async def test_each_verb_has_its_title(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: Any) -> None:
    await run(make_notifier(tmp_path, "{type: console}").console, make_notification("console", "console", verb))
    titles = {
        "acknowledge": "acknowledged",
        "resolve": "resolved",
        "remind": "reminder",
        "note": "note",
        "refresh": "current state",
    }
    assert f"here · {titles[verb]}" in capsys.readouterr().out


async def test_markup_in_alert_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = make_content(headline="[bold red]LOW[/] [link=https://evil]x[/link]", reason="[blink]y")
    await run(
        make_notifier(tmp_path, "{type: console}").console, make_notification("console", "console", content=content)
    )
    printed = capsys.readouterr().out
    assert "[bold red]LOW[/] [link=https://evil]x[/link]" in printed
    assert "[blink]y" in printed


async def test_digest_is_printed_as_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = Digest(
        key="d", destination="here", contents=(make_content(),) * 3, since=datetime(2026, 11, 23, tzinfo=UTC)
    )
    await send_digest(tmp_path, "{type: console}", digest)
    assert "Digest for here: 3 since 2026-11-23 00:00 UTC" in capsys.readouterr().out
