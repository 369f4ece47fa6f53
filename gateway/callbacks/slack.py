"""Slack's interactivity: the buttons under a message.

Contract: https://docs.slack.dev/interactivity/handling-user-interaction (a form whose ``payload`` is JSON, answered
with 200 within three seconds) and /authentication/verifying-requests-from-slack (the signature, by Slack's own SDK).
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from slack_sdk.signature import SignatureVerifier

from gateway.callbacks.said import Said, Vendor, text, within
from gateway.keys import ours
from workflows.messages import Act, Answer

SETTING = "SLACK_SIGNING_SECRET"
PREFIX = "tocsin:"
SILENCE_SECONDS = 3_600.0
_ACTS: dict[str, Act] = {
    "acknowledge": "acknowledge",
    "resolve": "resolve",
    "silence": "silence",
    "false_alarm": "false_alarm",
}


def check(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    signature, stamp = headers.get("x-slack-signature", ""), headers.get("x-slack-request-timestamp", "")
    if not signature or not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        return "X-Slack-Signature or X-Slack-Request-Timestamp was not sent"
    fits = [SignatureVerifier(secret).is_valid(body, stamp, signature) for secret in secrets]
    return None if any(fits) else f"the signature does not fit, or is older than 5 minutes: check {SETTING}"


def read(payload: Mapping[str, Any]) -> Said | str:
    actions = payload.get("actions")
    pressed = cast("list[Any]", actions)[0] if isinstance(actions, list) and actions else None
    name, key = text(within(pressed, "action_id")), text(within(pressed, "value"), 500)
    act = _ACTS.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
    if payload.get("type") != "block_actions" or act is None or ours(key) is None:
        return "no button of ours"
    user = payload.get("user")
    who = text(within(user, "name")) or text(within(user, "username")) or text(within(user, "id"))
    answer = Answer(
        act=act,
        by=who,
        via="slack",
        seconds=SILENCE_SECONDS if act == "silence" else 0.0,
        id=f"slack-{name}-{text(within(pressed, 'action_ts'))}-{text(within(user, 'id'))}",
    )
    return Said(answer, key, reply_to=text(payload.get("response_url"), 500))


SLACK = Vendor(
    name="slack",
    path="slack",
    setting=SETTING,
    check=check,
    read=read,
    example={"payload": '{"type": "block_actions", "actions": [{"action_id": "tocsin:acknowledge", "value": "…"}]}'},
    form_field="payload",
    always_200=True,
)
