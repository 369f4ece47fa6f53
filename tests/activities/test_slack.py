"""Slack: the message, its updates and its thread, a retry that finds what it posted, and each failure."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.contracts import DigestIssue
from tests.activities.sending import SECRETS, a_brief, a_delivery, deliverer, run
from tests.vendors import Fault, Slack

HOSTILE = "<!channel> *bold* <https://evil.example|click> & `x`"


def config(vendor: Slack, channel: str = "#ai-ops-alerts", extra: str = "") -> str:
    return f"{{type: slack, base_url: '{vendor.base_url}/api', token: {{env: SLACK}}, channel: '{channel}'{extra}}}"


def text_of(message: dict[str, Any]) -> str:
    return str(message["blocks"]) + message["text"]


async def test_a_post_has_the_headline_the_facts_and_the_links(tmp_path: Path, slack: Slack) -> None:
    receipt = await run(deliverer(tmp_path, config(slack)).post, a_delivery("post", "slack"))
    (message,) = slack.messages
    assert (receipt.id, receipt.place) == (message["ts"], message["channel"])
    assert message["blocks"][0]["text"]["text"].startswith("CRITICAL support-chatbot error_rate 31 %")
    assert "premium" in text_of(message)
    assert message["blocks"][-1]["elements"][0]["url"] == "https://runbooks.example.com/support"


async def test_an_alert_cannot_call_a_channel_or_write_a_link(tmp_path: Path, slack: Slack) -> None:
    brief = a_brief(why=HOSTILE, headline=HOSTILE)
    await run(deliverer(tmp_path, config(slack)).post, a_delivery("post", "slack", brief=brief, note=HOSTILE))
    (message,) = slack.messages
    marked_up = [block for block in message["blocks"] if block["type"] != "header"]
    assert "<!channel>" not in str(marked_up) + message["text"]
    assert "&lt;!channel&gt;" in message["text"]


async def test_only_those_whom_the_policy_names_are_called(tmp_path: Path, slack: Slack) -> None:
    names = ", mention: ['@ai-platform', U12345678, here]"
    await run(deliverer(tmp_path, config(slack, extra=names)).post, a_delivery("post", "slack"))
    assert "<!subteam^S00000001> <@U12345678> <!here>" in text_of(slack.messages[0])


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
async def test_a_change_of_state_updates_the_message_in_place(tmp_path: Path, slack: Slack, verb: Any) -> None:
    activities = deliverer(tmp_path, config(slack))
    first = await run(activities.post, a_delivery("post", "slack"))
    brief = a_brief(state="Acknowledged")
    await run(activities.post, a_delivery("post", "slack", verb, first, brief=brief, note="by alice"))
    (message,) = slack.messages
    assert "Acknowledged" in text_of(message)
    assert "by alice" in text_of(message)


async def test_a_note_goes_into_the_thread(tmp_path: Path, slack: Slack) -> None:
    activities = deliverer(tmp_path, config(slack))
    first = await run(activities.post, a_delivery("post", "slack"))
    await run(activities.post, a_delivery("post", "slack", "note", first, key="note-1", note="looking"))
    assert [message["thread_ts"] for message in slack.messages] == [None, first.id]


@pytest.mark.parametrize("channel", ["#ai-ops-alerts", "C00000001"])
async def test_a_retry_after_a_lost_answer_posts_nothing_twice(tmp_path: Path, slack: Slack, channel: str) -> None:
    activities = deliverer(tmp_path, config(slack, channel))
    slack.script(Fault(reset=True, after=True))
    with pytest.raises(ApplicationError) as caught:
        await run(activities.post, a_delivery("post", "slack"))
    assert not caught.value.non_retryable
    receipt = await run(activities.post, a_delivery("post", "slack"), attempt=2)
    assert [message["ts"] for message in slack.messages] == [receipt.id]


async def test_a_lost_answer_in_a_thread_posts_nothing_twice(tmp_path: Path, slack: Slack) -> None:
    activities = deliverer(tmp_path, config(slack))
    first = await run(activities.post, a_delivery("post", "slack"))
    note = a_delivery("post", "slack", "note", first, key="note-1", note="looking")
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
async def test_failures_are_sorted(
    tmp_path: Path, slack: Slack, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    slack.script(fault)
    with pytest.raises(ApplicationError) as caught:
        await run(deliverer(tmp_path, config(slack)).post, a_delivery("post", "slack"))
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(slack.requests) == 1
    assert SECRETS["SLACK"] not in str(caught.value)


async def test_a_lasting_failure_names_its_remedy(tmp_path: Path, slack: Slack) -> None:
    with pytest.raises(ApplicationError, match=r"channel_not_found.*invite the bot to #nowhere"):
        await run(deliverer(tmp_path, config(slack, "#nowhere")).post, a_delivery("post", "slack"))


async def test_a_digest_of_many_fits_slacks_limits(tmp_path: Path, slack: Slack) -> None:
    briefs = tuple(a_brief(headline=f"LOW model-{number} " + "y" * 300) for number in range(400))
    issue = DigestIssue(key="digest-1", destination="here", briefs=briefs, since=a_brief().since)  # type: ignore[arg-type]
    await run(deliverer(tmp_path, config(slack)).send_digest, issue)
    (message,) = slack.messages
    assert "model-0 " in text_of(message)
    assert message["text"].startswith("Digest: 400")
