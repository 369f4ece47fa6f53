"""The console prints every part of a message, and renders no markup of an alert."""

import contextlib
import io
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, get_args

import pytest

from incident.digest import Digest
from incident.receipt import Verb
from integrations.base.errors import PermanentError, TemporaryError
from integrations.console.config import ConsoleConfig
from integrations.console.destination import ConsoleDestination
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
    assert "Digest for here: 3 incidents since 2026-11-23 00:00 UTC" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
async def test_encoding_without_a_character_prints_replacements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding, errors="strict"))
    content = make_content(headline="CRITICAL störung 温度 ✓ error_rate 31 %")
    activities = make_notifier(tmp_path, "{type: console}")
    receipt = await run(activities.console, make_notification("console", "console", content=content))
    printed = output.getvalue().decode(encoding)
    assert receipt.id.startswith("printed-")
    assert content.headline.encode(encoding, "replace").decode(encoding) in printed
    assert content.incident in printed


@pytest.mark.parametrize("kind", ["closed", "none", "null device", "broken pipe", "full"])
async def test_output_that_nobody_reads_has_no_receipt(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    stream = _unread(kind)
    destination = ConsoleDestination("here", ConsoleConfig(type="console"), {})
    monkeypatch.setattr(sys, "stdout", stream)
    try:
        for attempt in (1, 2):  # the first attempt must not count as printed for the second
            with pytest.raises(TemporaryError if kind == "full" else PermanentError, match="standard output"):
                await destination.deliver(make_notification("console", "console"), attempt)
    finally:
        monkeypatch.undo()
        with contextlib.suppress(OSError, AttributeError):
            stream.close()  # type: ignore[union-attr]


def _unread(kind: str) -> TextIO | None:
    """A standard output that nobody can read."""
    if kind == "none":
        return None
    if kind == "broken pipe":
        reader, writer = os.pipe()
        os.close(reader)
        return os.fdopen(writer, "w")
    path = Path("/dev/full" if kind == "full" else os.devnull)
    stream = path.open("w", encoding="utf-8")
    if kind == "closed":
        stream.close()
    return stream
