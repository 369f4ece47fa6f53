"""Slack: the message, its updates and its thread, retries, and the error of each fault."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from incident.digest import Digest
from tests.integrations.notifications import make_content, make_notification, make_notifier, run, send_digest
from tests.integrations.vendors_table import SECRETS
from tests.vendors import Fault, Slack

HOSTILE = "<!channel> *bold* <https://evil.example|click> & `x`"


def config(vendor: Slack, channel: str = "#ai-ops-alerts", extra: str = "") -> str:
    return f"{{type: slack, base_url: '{vendor.base_url}/api', token: {{env: SLACK}}, channel: '{channel}'{extra}}}"


def elements(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Every rich-text element of a kind."""
    sections = [section for block in message["blocks"] if block["type"] == "rich_text" for section in block["elements"]]
    return [one for section in sections for one in section["elements"] if one["type"] == kind]


def buttons(message: dict[str, Any]) -> list[str]:
    actions = [block for block in message["blocks"] if block["type"] == "actions"]
    return [one["action_id"] for block in actions for one in block["elements"]]


@pytest.mark.parametrize(
    ("state", "closed_by", "shown"),
    [
        ("Triggered", "", ["acknowledge", "silence", "resolve", "false_alarm"]),
        ("Acknowledged", "", ["silence", "resolve", "false_alarm"]),
        ("Waiting for a person to close it", "compliance", ["acknowledge", "silence"]),
        ("Resolved", "", []),
    ],
)
async def test_buttons_follow_state_and_role(
    tmp_path: Path, slack: Slack, state: str, closed_by: str, shown: list[str]
) -> None:
    sent = make_notification("post", "slack", content=make_content(state=state, closed_by=closed_by))
    await run(make_notifier(tmp_path, config(slack)).post, sent)
    (message,) = slack.messages
    assert buttons(message) == [f"tocsin:{name}" for name in shown]
    for block in message["blocks"]:
        for one in block["elements"] if block["type"] == "actions" else []:
            assert one["value"] == sent.incident_key


@pytest.mark.parametrize(
    ("state", "note", "shown"),
    [
        ("Acknowledged", "Acknowledged by alice", "Acknowledged by alice"),
        ("Triggered", "Acknowledgement withdrawn by alice", "Triggered · Acknowledgement withdrawn by alice"),
        ("Triggered", "", "Triggered"),
    ],
)
async def test_state_and_note_are_not_repeated(tmp_path: Path, slack: Slack, state: str, note: str, shown: str) -> None:
    sent = make_notification("post", "slack", content=make_content(state=state), note=note)
    await run(make_notifier(tmp_path, config(slack)).post, sent)
    texts = [one["text"] for one in elements(slack.messages[0], "text")]
    assert "".join(texts[texts.index(state) :]).startswith(shown)


async def test_without_buttons_there_is_a_link(tmp_path: Path, slack: Slack) -> None:
    activities = make_notifier(
        tmp_path, config(slack, extra=", buttons: false"), lambda key: f"https://t.example/{key}"
    )
    await run(activities.post, make_notification("post", "slack"))
    (message,) = slack.messages
    assert buttons(message) == []
    assert elements(message, "link")[0]["text"] == "Acknowledge"


def text_of(message: dict[str, Any]) -> str:
    return str(message["blocks"]) + message["text"]


async def test_post_has_headline_facts_and_links(tmp_path: Path, slack: Slack) -> None:
    receipt = await run(make_notifier(tmp_path, config(slack)).post, make_notification("post", "slack"))
    (message,) = slack.messages
    assert (receipt.id, receipt.location) == (message["ts"], message["channel"])
    assert message["blocks"][0]["text"]["text"].startswith("CRITICAL support-chatbot error_rate 31 %")
    assert "premium" in text_of(message)
    assert "https://runbooks.example.com/support" in [one["url"] for one in elements(message, "link")]


async def test_alert_cannot_mention_or_link(tmp_path: Path, slack: Slack) -> None:
    content = make_content(reason=HOSTILE, headline=HOSTILE)
    await run(
        make_notifier(tmp_path, config(slack)).post, make_notification("post", "slack", content=content, note=HOSTILE)
    )
    (message,) = slack.messages
    assert "mrkdwn" not in str(message["blocks"]), "no text is markup"
    assert elements(message, "link") == [
        {"type": "link", "text": "Runbook", "url": "https://runbooks.example.com/support"}
    ]
    assert elements(message, "broadcast") == elements(message, "user") == []
    assert "<!channel>" not in message["text"]
    assert "&lt;!channel&gt;" in message["text"]


async def test_only_the_policys_mentions_are_sent(tmp_path: Path, slack: Slack) -> None:
    names = ", mention: ['@ai-platform', U12345678, here]"
    await run(make_notifier(tmp_path, config(slack, extra=names)).post, make_notification("post", "slack"))
    (message,) = slack.messages
    assert [one["usergroup_id"] for one in elements(message, "usergroup")] == ["S00000001"]
    assert [one["user_id"] for one in elements(message, "user")] == ["U12345678"]
    assert [one["range"] for one in elements(message, "broadcast")] == ["here"]


async def test_failed_group_lookup_is_retried_next_time(tmp_path: Path, slack: Slack) -> None:
    activities = make_notifier(tmp_path, config(slack, extra=", mention: ['@ai-platform']"))
    slack.script(
        Fault(status=200, headers={"Content-Type": "application/json"}, body='{"ok":false,"error":"ratelimited"}')
    )
    await run(activities.post, make_notification("post", "slack", key="1"))
    await run(activities.post, make_notification("post", "slack", key="2"))
    first, second = slack.messages
    assert ("@ai-platform" in text_of(first), elements(first, "usergroup")) == (True, [])
    assert len(elements(second, "usergroup")) == 1


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
async def test_new_state_updates_message_in_place(tmp_path: Path, slack: Slack, verb: Any) -> None:
    activities = make_notifier(tmp_path, config(slack))
    first = await run(activities.post, make_notification("post", "slack"))
    content = make_content(state="Acknowledged")
    changed = make_notification(
        "post", "slack", verb, first, key="changed", content=content, note="Acknowledged by alice"
    )
    for attempt in (1, 2):
        await run(activities.post, changed, attempt)
    message, reply = slack.messages
    assert "Acknowledged" in text_of(message)
    assert "by alice" in text_of(message)
    assert (reply["thread_ts"], reply["text"]) == (message["ts"], "Acknowledged by alice")


async def test_note_is_a_reply_in_the_thread(tmp_path: Path, slack: Slack) -> None:
    activities = make_notifier(tmp_path, config(slack))
    first = await run(activities.post, make_notification("post", "slack"))
    await run(activities.post, make_notification("post", "slack", "note", first, key="note-1", note="looking"))
    assert [message["thread_ts"] for message in slack.messages] == [None, first.id]


@pytest.mark.parametrize("channel", ["#ai-ops-alerts", "C00000001"])
async def test_retry_posts_no_second_message(tmp_path: Path, slack: Slack, channel: str) -> None:
    activities = make_notifier(tmp_path, config(slack, channel))
    slack.script(Fault(reset=True, after=True))
    with pytest.raises(ApplicationError) as caught:
        await run(activities.post, make_notification("post", "slack"))
    assert not caught.value.non_retryable
    receipt = await run(activities.post, make_notification("post", "slack"), attempt=2)
    assert [message["ts"] for message in slack.messages] == [receipt.id]


async def test_retry_posts_no_second_reply(tmp_path: Path, slack: Slack) -> None:
    activities = make_notifier(tmp_path, config(slack))
    first = await run(activities.post, make_notification("post", "slack"))
    note = make_notification("post", "slack", "note", first, key="note-1", note="looking")
    slack.script(Fault(reset=True, after=True))
    with pytest.raises(ApplicationError):
        await run(activities.post, note)
    await run(activities.post, note, attempt=2)
    assert len(slack.messages) == 2


@pytest.mark.parametrize(
    ("fault", "permanent", "retry_after"),
    [
        (
            Fault(
                status=200,
                headers={"Content-Type": "application/json"},
                body='{"ok":false,"error":"not_in_channel"}',
            ),
            True,
            None,
        ),
        (
            Fault(
                status=200,
                headers={"Content-Type": "application/json"},
                body='{"ok":false,"error":"token_revoked"}',
            ),
            True,
            None,
        ),
        (
            Fault(
                status=200,
                headers={"Content-Type": "application/json"},
                body='{"ok":false,"error":"internal_error"}',
            ),
            False,
            None,
        ),
        (
            Fault(
                status=429,
                headers={"Retry-After": "9", "Content-Type": "application/json"},
                body='{"ok":false,"error":"ratelimited"}',
            ),
            False,
            9,
        ),
        (Fault(status=503, body="upstream"), False, None),
        (Fault(status=200, body="<html>"), False, None),
        (Fault(reset=True), False, None),
    ],
)
async def test_fault_maps_to_error(
    tmp_path: Path, slack: Slack, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    slack.script(fault)
    with pytest.raises(ApplicationError) as caught:
        await run(make_notifier(tmp_path, config(slack)).post, make_notification("post", "slack"))
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(slack.requests) == 1
    assert SECRETS["SLACK"] not in str(caught.value)


async def test_permanent_error_names_the_remedy(tmp_path: Path, slack: Slack) -> None:
    with pytest.raises(ApplicationError, match=r"channel_not_found.*invite the bot to #nowhere"):
        await run(make_notifier(tmp_path, config(slack, "#nowhere")).post, make_notification("post", "slack"))


async def test_large_digest_fits_slacks_limits(tmp_path: Path, slack: Slack) -> None:
    contents = tuple(make_content(headline=f"LOW model-{number} " + "y" * 300) for number in range(400))
    digest = Digest(key="digest-1", destination="here", contents=contents, since=make_content().since)  # type: ignore[arg-type]
    await send_digest(tmp_path, config(slack), digest)
    (message,) = slack.messages
    assert "model-0 " in text_of(message)
    assert message["text"].startswith("Digest: 400 incidents since 2026-11-2")
