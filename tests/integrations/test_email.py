"""E-mail through a real SMTP server: content, repeats, and the error of each reply."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from temporalio.exceptions import ApplicationError

from incident.digest import Digest, ModelTrend, NoisyMonitor, Trend
from integrations.base.errors import TemporaryError
from integrations.base.registry import destination_types
from integrations.email.addresses import AddressError, read_mailbox
from policy import PolicyError, load_policy
from tests.hostile import CONTROL, HOSTILE, INVISIBLE
from tests.integrations.notifications import (
    make_content,
    make_notification,
    make_notifier,
    open_policy_destinations,
    run,
    send_digest,
)
from tests.integrations.test_every_vendor import FULL_CONTENT
from tests.integrations.vendors_table import SECRETS
from tests.vendors.mail import Mailbox

SINCE = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with Mailbox("mail-password") as box:
        monkeypatch.setitem(SECRETS, "SMTP", box.url)
        yield box


def config(to: str = "[data-science@example.com]") -> str:
    return f"{{type: email, smtp: {{env: SMTP}}, from: Tocsin <tocsin@example.com>, to: {to}}}"


def make_digest(**changes: Any) -> Digest:
    contents = (
        make_content(
            headline="LOW churn percent_empty 12 (limit 5)", tier="low", model="churn", team="growth", incident_url=PAGE
        ),
        make_content(headline="LOW churn psi 0.3", tier="low", model="churn", team="growth"),
        make_content(headline="LOW ranker psi 0.4", tier="low", model="ranker", team=""),
        make_content(headline="DRILL LOW ranker", tier="low", model="ranker", team="", drill=True),
    )
    values: dict[str, Any] = {
        "key": "digest-here-2026-11-24T07:00:00Z",
        "destination": "here",
        "contents": contents,
        "since": SINCE,
        "until": SINCE + timedelta(days=1),
        "periods": ("21 Nov", "22 Nov", "23 Nov"),
        "counts": (1, 5, 3),
        "noisy": (NoisyMonitor(monitor="percent_empty of tenure", model="churn", incidents=7),),
    }
    return Digest(**{**values, **changes})


PAGE = "https://tocsin.example.com/incidents/token"
TREND = Trend(
    models=(
        ModelTrend(
            model="chatbot",
            team="support",
            tiers={"critical": 2, "high": 1, "low": 0},
            previous_total=5,
            time_to_acknowledge=240,
        ),
        ModelTrend(model="churn", team="growth", tiers={"critical": 0, "high": 0, "low": 4}, previous_total=1),
    ),
    periods=("10 Nov", "17 Nov"),
    tiers={"critical": (1, 2), "high": (0, 1), "low": (5, 4)},
)


def bodies(message: Any) -> tuple[str, str]:
    return message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()


async def send(tmp_path: Path, digest: Digest, attempt: int = 1, to: str = "[data-science@example.com]") -> Any:
    return await send_digest(tmp_path, config(to), digest, attempt)


async def test_digest_groups_compares_and_links_incidents(tmp_path: Path, mailbox: Mailbox) -> None:
    receipt = await send(tmp_path, make_digest(), to="[data-science@example.com, 'Ops <ops@example.com>']")
    (message,) = mailbox.messages
    assert message["Subject"] == "Tocsin: 3 incidents (2 fewer than before) · here"
    assert message["Message-ID"] == receipt.id
    assert re.fullmatch(r"<tocsin\.[0-9a-f]{40}@example\.com>", receipt.id)
    assert message["Auto-Submitted"] == "auto-generated"
    assert mailbox.recipients == [["data-science@example.com", "ops@example.com"]]
    text, html = bodies(message)
    for body in (text, html):
        assert (
            body.index("growth")
            < body.index("churn percent_empty 12")
            < body.index("no team")
            < body.index("ranker psi 0.4")
        )
        assert "1 fire drill, not counted" in body
        assert "percent_empty of tenure" in body
        assert PAGE in body
    images = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert [part["Content-ID"] for part in images] == ["<counts>"]
    assert images[0].get_payload(decode=True).startswith(b"\x89PNG")  # type: ignore[union-attr]
    assert 'src="cid:counts"' in html


async def test_trend_report_lists_each_model(tmp_path: Path, mailbox: Mailbox) -> None:
    await send(tmp_path, make_digest(trend=TREND))
    (message,) = mailbox.messages
    assert message["Subject"] == "Tocsin trend report: 7 incidents (1 more than before), 3 in your digest · here"
    text, html = bodies(message)
    assert (
        "chatbot (support): 3 (critical 2, high 1, low 0), previous period 5, median time to acknowledge 4 min" in text
    )
    assert "▼" in html
    assert {part["Content-ID"] for part in message.walk() if part["Content-ID"]} == {"<counts>", "<tiers>"}


async def test_empty_digest_says_that_it_is(tmp_path: Path, mailbox: Mailbox) -> None:
    await send(tmp_path, make_digest(contents=(), noisy=(), counts=(0, 0, 0)))
    text, html = bodies(mailbox.messages[0])
    assert "There were no incidents" in text
    assert "There were no incidents" in html


async def test_emails_of_one_incident_are_a_thread(tmp_path: Path, mailbox: Mailbox) -> None:
    activities = make_notifier(tmp_path, config(), lambda key: PAGE)
    first = await run(activities.post, make_notification("post", "email", content=make_content(**FULL_CONTENT)))
    await run(
        activities.post, make_notification("post", "email", "acknowledge", first, key="2", note="Acknowledged by alice")
    )
    one, two = mailbox.messages
    assert one["Subject"].startswith("CRITICAL support-chatbot error_rate 31 %")
    assert f'href="{PAGE}"' in bodies(one)[1]
    assert (two["In-Reply-To"], two["Subject"][:4]) == (first.id, "Re: ")
    assert "Acknowledged by alice" in bodies(two)[0]


async def test_lost_reply_repeats_the_same_message_id(tmp_path: Path, mailbox: Mailbox) -> None:
    mailbox.answers.append("drop after")
    with pytest.raises(ApplicationError) as caught:
        await send(tmp_path, make_digest())
    assert not caught.value.non_retryable
    await send(tmp_path, make_digest(), attempt=2)
    assert (len(mailbox.messages), len(mailbox.distinct_messages)) == (2, 1)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_text_stays_text(tmp_path: Path, mailbox: Mailbox, name: str) -> None:
    hostile = HOSTILE[name]
    content = make_content(headline=hostile, reason=hostile, model=hostile, team=hostile, component=hostile, tier="low")
    noisy = (NoisyMonitor(monitor=hostile, model=hostile, incidents=2),)
    models = (ModelTrend(model=hostile, team=hostile, tiers={"low": 1}, previous_total=0),)
    trend = Trend(models=models, periods=("a", "b"), tiers={"low": (0, 1)})
    await send(tmp_path, make_digest(contents=(content,), noisy=noisy, trend=trend))
    activities = make_notifier(tmp_path, config())
    await run(activities.post, make_notification("post", "email", content=content, note=hostile))
    assert len(mailbox.messages) == 2
    for message, raw in zip(mailbox.messages, mailbox.raw, strict=True):
        assert len(raw) < 400_000
        assert set(message.keys()) <= HEADERS
        assert message["To"] == "data-science@example.com"
        text, html = bodies(message)
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
async def test_smtp_reply_maps_to_error(tmp_path: Path, mailbox: Mailbox, answer: str, permanent: bool) -> None:
    mailbox.always = answer
    with pytest.raises(ApplicationError) as caught:
        await send(tmp_path, make_digest())
    assert caught.value.non_retryable is permanent, caught.value.message
    assert mailbox.messages == []


async def test_unknown_recipient_is_reported(tmp_path: Path, mailbox: Mailbox) -> None:
    """The others have the e-mail, and it does not count as delivered."""
    mailbox.unknown.add("gone@example.com")
    with pytest.raises(ApplicationError, match=r"refuses some recipients.*gone@example\.com: 550") as caught:
        await send(tmp_path, make_digest(), to="[data-science@example.com, gone@example.com]")
    assert (caught.value.non_retryable, mailbox.recipients) == (True, [["data-science@example.com"]])
    with pytest.raises(ApplicationError, match=r"refuses every recipient.*check the destination's to") as caught:
        await send(tmp_path, make_digest(), to="[gone@example.com]")
    assert caught.value.non_retryable


async def test_retry_reaches_those_who_lack_it(tmp_path: Path, mailbox: Mailbox) -> None:
    mailbox.busy["slow@example.com"] = 1
    destinations = open_policy_destinations(tmp_path, config("[data-science@example.com, slow@example.com]"))
    with pytest.raises(TemporaryError, match=r"slow@example\.com: 450"):
        await destinations["here"].send_digest(make_digest(), 1)
    await destinations["here"].send_digest(make_digest(), 2)
    assert mailbox.recipients == [["data-science@example.com"], ["slow@example.com"]]
    assert len(mailbox.distinct_messages) == 1


RECIPIENTS = {
    "ops@example.com": "ops@example.com",
    "Ops <ops@example.com>": "ops@example.com",
    "Ops; night <n@example.com>": "n@example.com",
    "Ops, night <n@example.com>": "n@example.com",
    '"Ops, \\"night\\"" <n@example.com>': "n@example.com",
    "Müller, Jörg <joerg@example.com>": "joerg@example.com",
    "Ops: day <d@example.com>": "d@example.com",
    "Ops (night) <n@example.com>": "n@example.com",
    "o'neil+ai@example.com": "o'neil+ai@example.com",
    "ops@bücher.example": "ops@xn--bcher-kva.example",
    "ops@BÜCHER.example": "ops@xn--bcher-kva.example",
    "jörg@example.com": "jörg@example.com",
}


@pytest.mark.parametrize("written", RECIPIENTS)
async def test_mail_reaches_exactly_the_recipient(tmp_path: Path, mailbox: Mailbox, written: str) -> None:
    """Beside another one, in the envelope and in the headers, as recipient and as sender."""
    to = json.dumps([written, "other@example.com"], ensure_ascii=False)
    policy = f"{{type: email, smtp: {{env: SMTP}}, from: {json.dumps(written, ensure_ascii=False)}, to: {to}}}"
    await send_digest(tmp_path, policy, make_digest())
    assert (mailbox.senders, mailbox.asked) == ([RECIPIENTS[written]], [RECIPIENTS[written], "other@example.com"])
    (message,) = mailbox.messages
    shown: Any = message["To"]
    assert [one.addr_spec.encode("utf-8", "surrogateescape").decode() for one in shown.addresses] == mailbox.asked
    if "<" in written:
        name = written.rpartition("<")[0].strip()
        name = name[1:-1].replace('\\"', '"') if name.startswith('"') else name
        assert shown.addresses[0].display_name == name


@pytest.mark.parametrize(
    "written",
    [
        "a@example.com, b@example.com",
        "a@example.com; b@example.com",
        "A <a@example.com>, B <b@example.com>",
        "Team: a@example.com, b@example.com;",
        "<a@example.com> A",
        "a@exa mple.com",
        "a b@example.com",
        "a@@example.com",
        ".a@example.com",
        "a..b@example.com",
        "a@-example.com",
        "a@example.com\nBcc: b@example.com",
        "Ops\r\nBcc: b@example.com <a@example.com>",
        "a\u200b@example.com",
        f"{'a' * 65}@example.com",
        "Ops",
        "<>",
    ],
)
def test_what_is_not_one_address_is_refused(written: str) -> None:
    with pytest.raises(AddressError) as caught:
        read_mailbox(written)
    assert re.search(r"write|no |at most|cannot", str(caught.value))


async def test_letters_need_a_server_that_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others still get the e-mail, and the error names what is missing."""
    with Mailbox(smtputf8=False) as box:
        monkeypatch.setitem(SECRETS, "SMTP", box.url)
        with pytest.raises(ApplicationError, match=r"jörg@example\.com: 550 .*SMTPUTF8") as caught:
            await send(tmp_path, make_digest(), to="[jörg@example.com, ops@bücher.example]")
    assert caught.value.non_retryable
    assert box.recipients == [["ops@xn--bcher-kva.example"]]


PASSWORDS = ["p/ss", "p#ss", "p?ss", "p@ss", "p:ss", "p%ss", "p ss", "100%", "päss", "[p]ss", "p//ss?x=1#y"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("quoted", [True, False])
async def test_password_may_have_special_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, quoted: bool
) -> None:
    with Mailbox(password) as box:
        written = quote(password, safe="") if quoted else password
        monkeypatch.setitem(SECRETS, "SMTP", f"smtp://bot@example.com:{written}@127.0.0.1:{box.port}")
        await send(tmp_path, make_digest())
    assert len(box.messages) == 1


async def test_wrong_password_is_permanent_and_redacted(
    tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "SMTP", mailbox.url.replace("mail-password", "wrong-password"))
    with pytest.raises(ApplicationError, match="check the destination's smtp") as caught:
        await send(tmp_path, make_digest())
    assert caught.value.non_retryable
    assert "wrong-password" not in f"{caught.value!r}{caught.value.__cause__!r}"


UNUSABLE = [
    "http://mail.example.com",
    "mail.example.com",
    "smtp://",
    "smtp://hush@mail.example.com",
    "smtp://bot:@mail.example.com",
    "smtp://bot:hush@",
    "smtp://bot:hush@mail.example.com:port",
    "smtp://bot:hush@mail.example.com:99999",
    "smtp://bot:hush@mail exa.com",
    "smtp://bot:hu\nsh@mail.example.com",
    "smtps://bot:hush@[::1",
]


@pytest.mark.parametrize("url", UNUSABLE)
async def test_unusable_server_is_named_when_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(SECRETS, "SMTP", url)
    with pytest.raises(LookupError, match="destination here: smtp comes from SMTP, which") as caught:
        make_notifier(tmp_path, config())
    file = tmp_path / "policy.yaml"
    with pytest.raises(PolicyError, match=r"policy.yaml:\d+:\d+: destinations.here.smtp: SMTP ") as refused:
        load_policy(file, destination_types(), {"SMTP": url})
    for text in (str(caught.value), str(refused.value)):
        assert "hush" not in text
        assert "mail" not in text.partition("smtp://user:password@host:port")[2]


async def test_server_without_answer_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECRETS, "SMTP", "smtp://127.0.0.1:9")
    with pytest.raises(ApplicationError) as caught:
        await send(tmp_path, make_digest())
    assert not caught.value.non_retryable


@pytest.mark.parametrize(
    "to", ["[nobody]", "[]", "['a@example.com, b@example.com']", '["a@example.com\\r\\nBcc: x@y.z"]']
)
def test_recipient_must_be_one_address(tmp_path: Path, to: str) -> None:
    with pytest.raises(Exception, match="to"):
        make_notifier(tmp_path, "{type: email, smtp: {env: SMTP}, from: t@example.com, to: " + to + "}")
