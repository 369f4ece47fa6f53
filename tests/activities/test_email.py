"""E-mail: what is sent through a real SMTP server, once or again, and how each failure is sorted."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.contracts import DigestIssue, ModelTrend, Noisy, Trend
from tests.activities.sending import SECRETS, a_brief, a_delivery, deliverer, run
from tests.activities.test_every_place import WHOLE
from tests.hostile import CONTROL, HOSTILE, INVISIBLE
from tests.vendors.mail import Mailbox

SINCE = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with Mailbox("mail-password") as box:
        monkeypatch.setitem(SECRETS, "SMTP", box.url)
        yield box


def config(to: str = "[data-science@example.com]") -> str:
    return f"{{type: email, smtp: {{env: SMTP}}, from: Tocsin <tocsin@example.com>, to: {to}}}"


def an_issue(**changes: Any) -> DigestIssue:
    briefs = (
        a_brief(headline="LOW churn percent_empty 12 (limit 5)", tier="low", model="churn", team="growth", page=PAGE),
        a_brief(headline="LOW churn psi 0.3", tier="low", model="churn", team="growth"),
        a_brief(headline="LOW ranker psi 0.4", tier="low", model="ranker", team=""),
        a_brief(headline="DRILL LOW ranker", tier="low", model="ranker", team="", drill=True),
    )
    values: dict[str, Any] = {
        "key": "digest-here-2026-11-24T07:00:00Z",
        "destination": "here",
        "briefs": briefs,
        "since": SINCE,
        "until": SINCE + timedelta(days=1),
        "periods": ("21 Nov", "22 Nov", "23 Nov"),
        "counts": (1, 5, 3),
        "noisy": (Noisy(monitor="percent_empty of tenure", model="churn", times=7),),
    }
    return DigestIssue(**{**values, **changes})


PAGE = "https://tocsin.example.com/incidents/token"
TREND = Trend(
    models=(
        ModelTrend(
            model="chatbot", team="support", tiers={"critical": 2, "high": 1, "low": 0}, before=5, answered_after=240
        ),
        ModelTrend(model="churn", team="growth", tiers={"critical": 0, "high": 0, "low": 4}, before=1),
    ),
    periods=("10 Nov", "17 Nov"),
    tiers={"critical": (1, 2), "high": (0, 1), "low": (5, 4)},
)


def parts(message: Any) -> tuple[str, str]:
    return message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()


async def send(tmp_path: Path, issue: DigestIssue, attempt: int = 1, to: str = "[data-science@example.com]") -> Any:
    return await run(deliverer(tmp_path, config(to)).send_digest, issue, attempt)


async def test_a_digest_is_grouped_compared_and_leads_to_each_incident(tmp_path: Path, mailbox: Mailbox) -> None:
    receipt = await send(tmp_path, an_issue(), to="[data-science@example.com, 'Ops <ops@example.com>']")
    (message,) = mailbox.taken
    assert message["Subject"] == "Tocsin: 3 incidents (2 fewer than before) · here"
    assert message["Message-ID"] == receipt.id
    assert re.fullmatch(r"<tocsin\.[0-9a-f]{40}@example\.com>", receipt.id)
    assert message["Auto-Submitted"] == "auto-generated"
    assert mailbox.recipients == [["data-science@example.com", "ops@example.com"]]
    text, html = parts(message)
    for one in (text, html):
        assert (
            one.index("growth")
            < one.index("churn percent_empty 12")
            < one.index("no team")
            < one.index("ranker psi 0.4")
        )
        assert "1 fire drill, not counted" in one
        assert "percent_empty of tenure" in one
        assert PAGE in one
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert [part["Content-ID"] for part in pictures] == ["<counts>"]
    assert pictures[0].get_payload(decode=True).startswith(b"\x89PNG")  # type: ignore[union-attr]
    assert 'src="cid:counts"' in html


async def test_a_trend_report_says_how_each_model_fared(tmp_path: Path, mailbox: Mailbox) -> None:
    await send(tmp_path, an_issue(trend=TREND))
    (message,) = mailbox.taken
    assert message["Subject"] == "Tocsin trend report: 7 incidents (1 more than before), 3 in your digest · here"
    text, html = parts(message)
    assert "chatbot (support): 3 (critical 2, high 1, low 0), before 5, median wait for an answer 4 min" in text
    assert "▼" in html
    assert {part["Content-ID"] for part in message.walk() if part["Content-ID"]} == {"<counts>", "<tiers>"}


async def test_an_empty_digest_says_so(tmp_path: Path, mailbox: Mailbox) -> None:
    await send(tmp_path, an_issue(briefs=(), noisy=(), counts=(0, 0, 0)))
    text, html = parts(mailbox.taken[0])
    assert "Nothing was gathered" in text
    assert "Nothing was gathered" in html


async def test_an_incidents_mails_are_one_thread(tmp_path: Path, mailbox: Mailbox) -> None:
    activities = deliverer(tmp_path, config(), lambda opening: PAGE)
    first = await run(activities.post, a_delivery("post", "email", brief=a_brief(**WHOLE)))
    await run(activities.post, a_delivery("post", "email", "acknowledge", first, key="2", note="Acknowledged by alice"))
    one, two = mailbox.taken
    assert one["Subject"].startswith("CRITICAL support-chatbot error_rate 31 %")
    assert f'href="{PAGE}"' in parts(one)[1]
    assert (two["In-Reply-To"], two["Subject"][:4]) == (first.id, "Re: ")
    assert "Acknowledged by alice" in parts(two)[0]


async def test_a_lost_answer_is_the_same_message_again(tmp_path: Path, mailbox: Mailbox) -> None:
    mailbox.answers.append("drop after")
    with pytest.raises(ApplicationError) as caught:
        await send(tmp_path, an_issue())
    assert not caught.value.non_retryable
    await send(tmp_path, an_issue(), attempt=2)
    assert (len(mailbox.taken), len(mailbox.shown)) == (2, 1)


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_text_misbehaves(tmp_path: Path, mailbox: Mailbox, name: str) -> None:
    hostile = HOSTILE[name]
    brief = a_brief(headline=hostile, why=hostile, model=hostile, team=hostile, component=hostile, tier="low")
    noisy = (Noisy(monitor=hostile, model=hostile, times=2),)
    models = (ModelTrend(model=hostile, team=hostile, tiers={"low": 1}, before=0),)
    trend = Trend(models=models, periods=("a", "b"), tiers={"low": (0, 1)})
    await send(tmp_path, an_issue(briefs=(brief,), noisy=noisy, trend=trend))
    activities = deliverer(tmp_path, config())
    await run(activities.post, a_delivery("post", "email", brief=brief, note=hostile))
    assert len(mailbox.taken) == 2
    for message, raw in zip(mailbox.taken, mailbox.raw, strict=True):
        assert len(raw) < 400_000
        assert set(message.keys()) <= HEADERS
        assert message["To"] == "data-science@example.com"
        text, html = parts(message)
        for one in (text, html, str(message["Subject"])):
            assert not CONTROL & set(one.replace("\r\n", "\n").rstrip("\n"))
            assert not INVISIBLE & set(one)
        for tag in re.findall(r"<(\w+)", html):
            assert tag.lower() in TAGS, tag
        assert not re.search(r"<[^>]*\son\w+=", html)
        for address in re.findall(r'(?:href|src)="([^"]*)"', html):
            assert address.startswith(("https://runbooks.example.com/", "cid:")), address


HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Tocsin-Incident"),
    *("MIME-Version", "Content-Type", "X-Peer", "X-MailFrom", "X-RcptTo"),
}
TAGS = {
    *("html", "head", "meta", "title", "body", "table", "tr", "td", "th", "h1", "h2", "h3", "p", "a", "br", "span"),
    *("img", "ol", "li", "strong", "div"),
}


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        ("451 4.3.0 try again later", False),
        ("421 4.7.0 too many connections", False),
        ("552 5.2.2 mailbox full for good", True),
        ("554 5.7.1 spam", True),
        ("drop", False),
    ],
)
async def test_answers_are_sorted_by_their_first_digit(
    tmp_path: Path, mailbox: Mailbox, answer: str, permanent: bool
) -> None:
    mailbox.always = answer
    with pytest.raises(ApplicationError) as caught:
        await send(tmp_path, an_issue())
    assert caught.value.non_retryable is permanent, caught.value.message
    assert mailbox.taken == []


async def test_one_unknown_recipient_costs_the_others_nothing(tmp_path: Path, mailbox: Mailbox) -> None:
    mailbox.unknown.add("gone@example.com")
    await send(tmp_path, an_issue(), to="[data-science@example.com, gone@example.com]")
    assert mailbox.recipients == [["data-science@example.com"]]
    with pytest.raises(ApplicationError, match=r"refuses every recipient.*check the destination's to") as caught:
        await send(tmp_path, an_issue(), to="[gone@example.com]")
    assert caught.value.non_retryable


async def test_a_wrong_password_is_permanent_and_never_shown(
    tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "SMTP", mailbox.url.replace("mail-password", "wrong-password"))
    with pytest.raises(ApplicationError, match="check the destination's smtp") as caught:
        await send(tmp_path, an_issue())
    assert caught.value.non_retryable
    assert "wrong-password" not in f"{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("url", "permanent"),
    [("smtp://127.0.0.1:9", False), ("http://mail.example.com", True), ("mail.example.com", True), ("smtp://", True)],
)
async def test_an_address_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, permanent: bool
) -> None:
    monkeypatch.setitem(SECRETS, "SMTP", url)
    with pytest.raises(ApplicationError) as caught:
        await send(tmp_path, an_issue())
    assert caught.value.non_retryable is permanent


@pytest.mark.parametrize(
    "to", ["[nobody]", "[]", "['a@example.com, b@example.com']", '["a@example.com\\r\\nBcc: x@y.z"]']
)
def test_a_recipient_is_one_address(tmp_path: Path, to: str) -> None:
    with pytest.raises(Exception, match="to"):
        deliverer(tmp_path, "{type: email, smtp: {env: SMTP}, from: t@example.com, to: " + to + "}")
