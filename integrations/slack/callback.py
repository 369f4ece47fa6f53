"""Slack's interactivity: the buttons of a message.

Contract: https://docs.slack.dev/interactivity/handling-user-interaction (a form whose ``payload`` is JSON, answered
with 200 within three seconds) and /authentication/verifying-requests-from-slack (the signature, by Slack's own SDK).
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from slack_sdk.signature import SignatureVerifier

from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from integrations.base.callback import KEY_CHARS, Callback, ParsedCallback, happened_at, nested, one_line
from integrations.base.callback import action_id as unique_id
from integrations.slack.blocks import ACTION_PREFIX

SETTING = "SLACK_SIGNING_SECRET"
SILENCE_SECONDS = 3_600.0
_ACTION_TYPES: dict[str, ActionType] = {
    "acknowledge": "acknowledge",
    "resolve": "resolve",
    "silence": "silence",
    "false_alarm": "false_alarm",
}


def authenticate(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    """None for an authentic callback, else the reason why it is not."""
    signature, timestamp = headers.get("x-slack-signature", ""), headers.get("x-slack-request-timestamp", "")
    if not signature or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return "X-Slack-Signature or X-Slack-Request-Timestamp is missing or malformed"
    if not signature.isascii() or not _is_utf8(body):  # Slack's verifier raises for them
        return f"the signature does not match: check {SETTING}"
    matches = [SignatureVerifier(secret).is_valid(body, timestamp, signature) for secret in secrets]
    return None if any(matches) else f"the signature does not match, or is older than 5 minutes: check {SETTING}"


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a pressed button, or why the callback is ignored."""
    actions = payload.get("actions")
    pressed = cast("list[Any]", actions)[0] if isinstance(actions, list) and actions else None
    action_id, dedup_key = one_line(nested(pressed, "action_id")), one_line(nested(pressed, "value"), KEY_CHARS)
    is_own = payload.get("type") == "block_actions" and action_id.startswith(ACTION_PREFIX)
    action_type = _ACTION_TYPES.get(action_id.removeprefix(ACTION_PREFIX)) if is_own else None
    if action_type is None or parse_dedup_key(dedup_key) is None:
        return "not a button of Tocsin"
    user = payload.get("user")
    user_id = one_line(nested(user, "id"))
    pressed_at = one_line(nested(pressed, "action_ts"))
    action = ResponderAction(
        type=action_type,
        by=one_line(nested(user, "name")) or one_line(nested(user, "username")) or user_id,
        source="slack",
        silence_seconds=SILENCE_SECONDS if action_type == "silence" else 0.0,
        id=unique_id("slack", dedup_key, action_id, pressed_at, user_id) if pressed_at else "",
        occurred_at=happened_at(nested(pressed, "action_ts")),
    )
    return ParsedCallback(action, dedup_key, reply_url=one_line(payload.get("response_url"), KEY_CHARS))


SLACK = Callback(
    name="slack",
    path="slack",
    setting=SETTING,
    setting_description="The signing secret of the Slack app, for its buttons.",
    authenticate=authenticate,
    parse=parse,
    example={"payload": '{"type": "block_actions", "actions": [{"action_id": "tocsin:acknowledge", "value": "…"}]}'},
    form_field="payload",
    always_200=True,
)
