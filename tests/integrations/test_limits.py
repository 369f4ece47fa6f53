"""Every text of a notification, past each limit of every vendor: it is accepted, and still says what it must.

The stand-ins refuse what the vendor refuses, by their own numbers.
"""

import ast
import asyncio
import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import integrations
from incident.digest import Digest, ModelTrend, Trend
from incident.message import Fact, Link
from integrations.base.text import text_length, truncate
from integrations.console.config import ConsoleConfig
from integrations.console.destination import ConsoleDestination
from integrations.email.content import digest_email
from tests.integrations.notifications import make_content, run
from tests.integrations.test_every_vendor import FULL_CONTENT, send_all, strings
from tests.integrations.vendor_harness import VendorHarness
from tests.integrations.vendors_table import VENDOR_CASES, VERBS

LETTERS = {
    "letters": "x",
    "four-byte": "𝔛",
    "emoji family": "👩‍👩‍👧‍👦",
    "combining marks": "e\u0301\u0323",
    "lines": "line\n",
    "escaped": '<&>\\"',
}
FIELDS = (
    "headline",
    "reason",
    "model",
    "team",
    "component",
    "metric",
    "note",
    "tags",
    "fact",
    "label",
    "link",
    "facts",
)
DESTINATIONS = sorted(
    path.parent.name for path in Path(integrations.__path__[0]).glob("*/destination.py") if path.parent.name != "base"
)


@pytest.fixture(params=VENDOR_CASES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VendorHarness]:
    case = VENDOR_CASES[request.param]
    with case.vendor() as vendor:
        yield VendorHarness(request.param, case, vendor, tmp_path, lambda key: f"https://tocsin.example.com/i/{key}")
    assert vendor.violations == []


def changes_of(field: str, text: str) -> dict[str, Any]:
    """A message with this text in one of its fields, or in as many places as the field has."""
    url = "https://runbooks.example.com/" + "x" * 1_900
    lists: dict[str, dict[str, Any]] = {
        "tags": {"tags": tuple(f"{number}{text}" for number in range(40))},
        "fact": {"facts": (Fact(label="Segment", value=text),)},
        "label": {"facts": (Fact(label=text, value="premium"),)},
        "link": {"links": tuple(Link(text=f"{number} {text}", url=url) for number in range(30))},
        "facts": {"facts": tuple(Fact(label=f"{number} {text}", value=text) for number in range(60))},
    }
    return lists.get(field, {field: text})


@pytest.mark.parametrize("letters", LETTERS)
async def test_long_text_is_accepted(harness: VendorHarness, letters: str) -> None:
    """In each field by itself, and longer than every limit: a message's texts have at most 4,000 characters."""
    text = (LETTERS[letters] * 5_000)[:5_000]
    activity, update = harness.activity(), VERBS[harness.case.activity][-1]
    for field in FIELDS:
        changes = changes_of(field, text)
        note = changes.pop("note", "Not acknowledged for 15m.")
        content = make_content(**{**FULL_CONTENT, **changes})
        first = await run(activity, harness.notification(key=f"{field}-1", content=content, note=note))
        await run(activity, harness.notification(update, key=f"{field}-2", content=content, note=note, original=first))
        assert harness.vendor.violations == [], field
    for body in harness.bodies:
        for one in strings(body):
            one.encode()  # raises for half of a character


@pytest.mark.parametrize("letters", LETTERS)
async def test_everything_long_keeps_incident_and_headline(harness: VendorHarness, letters: str) -> None:
    text = (LETTERS[letters] * 5_000)[:5_000]
    changes: dict[str, Any] = {}
    for field in FIELDS:
        changes |= changes_of(field, text)
    changes["headline"] = f"CRITICAL chatbot {text}"
    await send_all(harness, (1,), **changes)
    first = " ".join(strings(next(one for one in harness.bodies if "CRITICAL chatbot" in str(one))))
    assert "incident-support-chatbot-4b629acc8409" in first


@pytest.mark.parametrize("lines", [1, 100, 8_000])
@pytest.mark.parametrize("name", ["slack", "teams", "webhook"])
async def test_digest_of_any_length_is_accepted(tmp_path: Path, name: str, lines: int) -> None:
    """What does not fit is counted."""
    case = VENDOR_CASES[name]
    with case.vendor() as vendor:
        harness = VendorHarness(name, case, vendor, tmp_path)
        await harness.send_digest(make_digest(lines))
        assert vendor.violations == []
    text = " ".join(strings(harness.bodies[-1]))
    shown = text.count("LOW model-")
    assert 1 <= shown <= lines
    more = harness.bodies[-1]["data"].get("more", 0) if name == "webhook" else lines - shown
    assert shown + more == lines
    if name != "webhook" and more:
        assert f"… and {more:,} more" in text


def make_digest(lines: int, **changes: Any) -> Digest:
    contents = tuple(make_content(headline=f"LOW model-{number} 💥", tier="low") for number in range(lines))
    since = datetime(2026, 11, 24, 7, tzinfo=UTC)
    values: dict[str, Any] = {"key": "d", "destination": "here", "contents": contents, "since": since}
    return Digest(**values, **changes)


async def test_long_digest_leaves_the_loop_free(tmp_path: Path) -> None:
    """Its card is built in another thread: pages must not wait for a digest."""
    called: set[str] = set()  # in the loop's thread
    case = VENDOR_CASES["teams"]
    with case.vendor() as vendor:
        harness = VendorHarness("teams", case, vendor, tmp_path)
        sys.setprofile(lambda frame, event, argument: called.add(frame.f_code.co_qualname))
        try:
            await harness.send_digest(make_digest(100))
        finally:
            sys.setprofile(None)
    assert "TeamsDestination.send_digest" in called
    assert not called & {"digest_card", "_card"}


async def test_digest_work_grows_with_its_lines() -> None:
    """Counted in calls, not in time: a card is not built again for each line that does not fit."""
    from integrations.teams import destination

    assert _calls(lambda: destination.digest_card(make_digest(4_000))) < 3 * _calls(
        lambda: destination.digest_card(make_digest(2_000))
    )


def _calls(work: Any) -> int:
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(trace)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_long_digests_of_mail_and_terminal_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    models = tuple(ModelTrend(model=f"m-{number}", tiers={"low": 1}, previous_total=0) for number in range(3_000))
    digest = make_digest(8_000, trend=Trend(models=models, periods=("a", "b"), tiers={"low": (0, 1)}))
    mail = digest_email(digest)
    for body in (mail.text, mail.html):
        assert body.count("LOW model-") == 500
        assert "… and 7,500 more" in body
        assert "… and 2,800 more" in body
        assert len(body) < 1_000_000
    console = ConsoleDestination("here", ConsoleConfig(type="console"), {})
    asyncio.run(console.send_digest(digest, 1))
    printed = capsys.readouterr().out
    assert (printed.count("LOW model-"), "… and 7,500 more" in printed) == (500, True)


@pytest.mark.parametrize("name", ["slack", "teams"])
@pytest.mark.parametrize(
    ("timezone", "shown"),
    [("UTC", "07:00 UTC"), ("Europe/Berlin", "08:00 Europe/Berlin"), ("Asia/Kolkata", "12:30 Asia")],
)
async def test_digest_times_are_the_destinations(tmp_path: Path, name: str, timezone: str, shown: str) -> None:
    case = VENDOR_CASES[name]
    with case.vendor() as vendor:
        harness = VendorHarness(name, case, vendor, tmp_path)
        await harness.send_digest(make_digest(1, timezone=timezone))
    assert f"1 incident since 2026-11-24 {shown}" in " ".join(strings(harness.bodies[-1]))


def test_mail_shows_times_of_the_destination() -> None:
    mail = digest_email(make_digest(1, timezone="Europe/Berlin"))
    assert "Tue 24 Nov 2026 08:00 Europe/Berlin" in mail.text
    assert "Tue 24 Nov 2026 08:00 Europe/Berlin" in mail.html


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("💥💥💥💥", 6, "💥💥…"),
        ("ab👩‍👩‍👧", 8, "ab…"),
        ("abe\u0301\u0323x", 5, "ab…"),
        ("ab👍🏽c", 6, "ab…"),
    ],
)
def test_cut_is_between_visible_characters(text: str, limit: int, cut: str) -> None:
    assert truncate(text, limit) == cut
    assert text_length(cut) <= limit


@pytest.mark.parametrize("name", DESTINATIONS)
def test_every_limit_names_its_source(name: str) -> None:
    module: ModuleType = importlib.import_module(f"integrations.{name}.limits")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    page = ast.get_docstring(tree) or ""
    numbers = [one for one in tree.body if isinstance(one, ast.Assign)]
    assert numbers
    for one, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(one, ast.Assign):
            continue
        comment = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        assert "https://" in page + str(comment) or "our own" in f"{page}{comment}".lower() or "RFC" in str(comment)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_no_limit_is_unused(name: str) -> None:
    folder = Path(integrations.__path__[0]) / name
    rest = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "limits.py")
    tree = ast.parse((folder / "limits.py").read_text())
    targets = [node for one in tree.body if isinstance(one, ast.Assign) for node in ast.walk(one.targets[0])]
    names = [node.id for node in targets if isinstance(node, ast.Name)]
    own = (folder / "limits.py").read_text()
    assert [one for one in names if rest.count(one) < 2 and own.count(one) < 2 and one not in INFORMATION] == []


INFORMATION = {
    "MAX_PLAIN_TEXT",
    "MESSAGES_PER_SECOND",
    "MAX_EVENT",
    "MAX_MESSAGE",
    "MAX_BUTTON_VALUE",
    "MAX_URL",
    "MAX_CONTEXT_ELEMENTS",
}
"""Limits that others keep: shorter texts, fewer blocks, or Temporal's retries after a 429."""


async def test_retry_finds_what_a_long_history_hides(tmp_path: Path) -> None:
    """The first attempt was processed, its response was lost, and the vendor pages its lists."""
    for name, busy in (("slack", 450), ("jira", 250)):
        case = VENDOR_CASES[name]
        with case.vendor() as vendor:
            harness = VendorHarness(name, case, vendor, tmp_path)
            activity = harness.activity()
            first = await run(activity, harness.notification())
            for number in range(busy):
                _other_reply(vendor, name, first, f"before-{number}")
            note = harness.notification("note", key="note-1", original=first, note="It cleared.")
            await run(activity, note)
            for number in range(busy):
                _other_reply(vendor, name, first, f"after-{number}")
            await run(activity, note, attempt=2)
            replies = vendor.messages if name == "slack" else vendor.comments[first.id]
            assert sum("It cleared." in str(one) for one in replies) == 1, name
            assert vendor.violations == []


def _other_reply(vendor: Any, name: str, first: Any, text: str) -> None:
    if name == "jira":
        vendor.comments[first.id].append({"id": text, "body": {"type": "doc", "content": []}})
        return
    stamp = f"1700000000.{len(vendor.messages) + 1:06d}"
    metadata = {"event_type": "x", "event_payload": {"key": text}}
    vendor.messages.append(
        {
            "channel": first.location,
            "ts": stamp,
            "thread_ts": first.id,
            "text": text,
            "metadata": metadata,
            "user": "U1",
        }
    )


async def test_retry_pages_through_a_busy_channel(tmp_path: Path) -> None:
    case = VENDOR_CASES["slack"]
    with case.vendor() as vendor:
        harness = VendorHarness("slack", case, vendor, tmp_path)
        first = await run(harness.activity(), harness.notification())
        for number in range(450):
            _other_reply(vendor, "slack", first, f"channel-{number}")
            vendor.messages[-1]["thread_ts"] = None
        again = await run(harness.activity(), harness.notification(), attempt=2)
        assert again.id == first.id
        assert vendor.violations == []


async def test_deleted_slack_message_is_posted_again(tmp_path: Path) -> None:
    case = VENDOR_CASES["slack"]
    with case.vendor() as vendor:
        harness = VendorHarness("slack", case, vendor, tmp_path)
        first = await run(harness.activity(), harness.notification())
        vendor.messages.clear()
        resolved = harness.notification(
            "resolve", key="r", original=first, note="The monitor cleared.", content=make_content(state="Resolved")
        )
        await run(harness.activity(), resolved)
        (message,) = vendor.messages
        assert (message["thread_ts"], "Resolved" in str(message["blocks"])) == (None, True)
