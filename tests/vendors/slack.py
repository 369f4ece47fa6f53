"""A stand-in for Slack's Web API: channels, messages, threads, metadata."""

import json
from typing import Any

from integrations.base.text import text_length
from tests.vendors.server import Request, Vendor
from tests.vendors.specs import form_faults

_NEWER = {
    "/chat.postMessage": {"metadata", "markdown_text"},
    "/chat.update": {"blocks", "metadata"},
    "/conversations.history": {"include_all_metadata"},
    "/conversations.replies": {"include_all_metadata"},
}


class Slack(Vendor):
    def __init__(self, channels: tuple[str, ...] = ("ai-ops-alerts",), token: str = "xoxb-test") -> None:
        super().__init__()
        self.channels = {name: f"C{index:08d}" for index, name in enumerate(channels, 1)}
        self.token = token
        self.messages: list[dict[str, Any]] = []
        self.groups = {"ai-platform": "S00000001"}

    def answer(self, request: Request) -> tuple[int, Any]:
        sent = {**request.query, **(request.body if isinstance(request.body, dict) else {})}
        path = request.path.removeprefix("/api")
        self.violations += [
            f"{path}: {fault}" for fault in form_faults("slack-web-api-v2", path, sent, _NEWER.get(path, set()))
        ]
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return 200, {"ok": False, "error": "invalid_auth"}
        match path:
            case "/chat.postMessage":
                return 200, self._post(sent)
            case "/chat.update":
                return 200, self._update(sent)
            case "/conversations.list":
                found = [{"id": key, "name": name} for name, key in list(self.channels.items())]
                return 200, _page("channels", found, sent, 100)
            case "/conversations.history":
                found = [one for one in self.messages if one["channel"] == sent["channel"] and not one["thread_ts"]]
                return 200, _page("messages", found[::-1], sent, 100)  # the newest first
            case "/conversations.replies":
                parent = [one for one in self.messages if one["ts"] == sent["ts"]]
                replies = [one for one in self.messages if one["thread_ts"] == sent["ts"]]
                return 200, _page("messages", [*parent, *replies], sent, 1_000)  # the oldest first
            case "/usergroups.list":
                groups = [{"id": key, "handle": name} for name, key in list(self.groups.items())]
                return 200, {"ok": True, "usergroups": groups}
            case _:
                self.violations.append(f"Slack has no {path}")
                return 404, {"ok": False, "error": "unknown_method"}

    def described(self, request: Request) -> tuple[str, str] | None:
        # The API description is older than the messages' metadata, which responses of history and replies contain.
        path = request.path.removeprefix("/api")
        return ("slack-web-api-v2", path) if path.startswith("/chat.") else None

    def _post(self, sent: dict[str, Any]) -> dict[str, Any]:
        channel = self.channels.get(sent["channel"].removeprefix("#"), sent["channel"])
        if channel not in self.channels.values():
            return {"ok": False, "error": "channel_not_found"}
        if refusal := self._refusal(sent):
            self.violations.append(refusal)
            return {"ok": False, "error": refusal.partition(":")[0]}
        self._check(sent)
        key = sent.get("metadata", {}).get("event_payload", {}).get("key", "")
        if key and any(one["metadata"]["event_payload"]["key"] == key for one in self.messages):
            self.violations.append(f"a second message for {key}")
        stamp = f"1700000000.{len(self.messages) + 1:06d}"
        message = {**sent, "channel": channel, "ts": stamp, "thread_ts": sent.get("thread_ts")}
        self.messages.append(message)
        return {"ok": True, "channel": channel, "ts": stamp, "message": _posted(sent, stamp)}

    def _update(self, sent: dict[str, Any]) -> dict[str, Any]:
        if refusal := self._refusal(sent):
            self.violations.append(refusal)
            return {"ok": False, "error": refusal.partition(":")[0]}
        self._check(sent)
        for message in self.messages:
            if message["ts"] == sent["ts"] and message["channel"] == sent["channel"]:
                message.update(text=sent["text"], blocks=sent["blocks"])
                posted = _posted(sent, sent["ts"])
                return {
                    "ok": True,
                    "channel": sent["channel"],
                    "ts": sent["ts"],
                    "text": sent["text"],
                    "message": posted,
                }
        return {"ok": False, "error": "message_not_found"}

    def _refusal(self, sent: dict[str, Any]) -> str:
        """docs.slack.dev, chat.postMessage, errors; slackapi/bolt-js#2509 about the length of all blocks."""
        blocks = json.dumps(sent.get("blocks") or [], ensure_ascii=False)
        if len(sent.get("text", "")) > 4_000:
            return f"msg_too_long: text of {len(sent['text'])} characters"
        if text_length(blocks) > 11_000:
            return f"msg_blocks_too_long: {text_length(blocks)}"
        if len(sent.get("blocks") or []) > 50:
            return "invalid_blocks: more than 50"
        too_long = [one for one in _texts(sent.get("blocks") or []) if text_length(one) > 3_000 or not one]
        return f"invalid_blocks: a text of {text_length(too_long[0])} characters" if too_long else ""

    def _check(self, sent: dict[str, Any]) -> None:
        """Block Kit's limits: docs.slack.dev/reference/block-kit."""
        blocks = sent.get("blocks") or []
        if len(blocks) > 50:
            self.violations.append("more than 50 blocks")
        for block in blocks:
            if block["type"] == "header" and len(block["text"]["text"]) > 150:
                self.violations.append("a header longer than 150 characters")
            texts = [block.get("text"), *block.get("fields", [])] if block["type"] == "section" else []
            for text in texts:
                if text and not 0 < len(text["text"]) <= 3000:
                    self.violations.append("a section's text of no or more than 3000 characters")
            if len(block.get("fields", [])) > 10:
                self.violations.append("more than 10 fields")
            if block["type"] == "rich_text":
                self._check_rich(block)
            if block["type"] == "actions":
                for one in block["elements"]:
                    if len(one["text"]["text"]) > 75 or len(one["value"]) > 2000 or len(one["action_id"]) > 255:
                        self.violations.append("a button's text, value or action_id is too long")
            if block["type"] == "context" and not 0 < len(block["elements"]) <= 10:
                self.violations.append("a context of no or more than 10 elements")

    def _check_rich(self, block: dict[str, Any]) -> None:
        """docs.slack.dev/reference/block-kit/blocks/rich-text-block: what each element must have."""
        needed = {
            "text": "text",
            "link": "url",
            "emoji": "name",
            "user": "user_id",
            "usergroup": "usergroup_id",
            "broadcast": "range",
        }
        for section in block["elements"]:
            if section["type"] != "rich_text_section" or not section["elements"]:
                self.violations.append(f"rich text holds {section['type']}, or nothing")
            for one in section["elements"]:
                if not one.get(needed[one["type"]]):
                    self.violations.append(f"a {one['type']} of rich text says nothing")


def _page(name: str, found: list[dict[str, Any]], sent: dict[str, Any], default: int) -> dict[str, Any]:
    """docs.slack.dev/apis/web-api/pagination"""
    start, size = int(sent.get("cursor") or 0), min(int(sent.get("limit") or default), 999)
    rest = start + size < len(found)
    metadata = {"next_cursor": str(start + size) if rest else ""}
    return {"ok": True, name: found[start : start + size], "has_more": rest, "response_metadata": metadata}


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if not isinstance(value, dict):
        return []
    own = [value[key] for key in ("text", "url", "value") if isinstance(value.get(key), str)]
    return own + [text for one in value.values() for text in _texts(one)]


def _posted(sent: dict[str, Any], stamp: str) -> dict[str, Any]:
    """The message in a response, as in the examples of the API description."""
    known = {"user": "U00000001", "team": "T00000001", "bot_id": "B00000001"}
    return {"type": "message", "text": sent.get("text", ""), "ts": stamp, **known}
