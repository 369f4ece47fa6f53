"""A stand-in for a webhook of Teams' Workflows app. It validates Adaptive Cards by adaptivecards.io's explorer."""

import json
from typing import Any

from tests.vendors.server import Request, Vendor

PATH = "/workflows/0123456789abcdef/triggers/manual/paths/invoke"
_BLOCKS = {"RichTextBlock": {"inlines"}, "Container": {"items"}}
_MARKUP = {"TextBlock", "FactSet"}  # their texts are Markdown


class Teams(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.cards: list[dict[str, Any]] = []

    @property
    def webhook_url(self) -> str:
        return f"{self.base_url}{PATH}?api-version=2016-06-01&sig=teams-signature"

    def answer(self, request: Request) -> tuple[int, Any]:
        if request.method != "POST" or request.path != PATH or request.query.get("sig") != "teams-signature":
            return 401, {"error": {"code": "DirectApiAuthorizationRequired", "message": "no valid signature"}}
        if len(request.raw) > 28 * 1024:
            self.violations.append(f"a message of {len(request.raw)} bytes")
            return 413, {"error": {"message": "Request Entity too large"}}
        body = request.body
        (attachment,) = body["attachments"]
        if body["type"] != "message" or attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
            self.violations.append("the message has no Adaptive Card")
        card = attachment["content"]
        if card["type"] != "AdaptiveCard" or card["version"] not in {"1.2", "1.3", "1.4", "1.5"}:
            self.violations.append("Teams does not show cards of this version")
        for block in card["body"]:
            self._check(block)
        actions = card.get("actions", [])
        if len(actions) > 6 or any(not one["url"].startswith("http") for one in actions):
            self.violations.append("more than 6 actions, or one without a URL")
        self.cards.append(card)
        return 202, {}

    def _check(self, block: dict[str, Any]) -> None:
        if block["type"] in _MARKUP:
            self.violations.append(f"a {block['type']} reads its text as Markdown")
        if missing := _BLOCKS.get(block["type"], set()) - set(block):
            self.violations.append(f"a {block['type']} lacks {missing}")
        for inner in block.get("items", []):
            self._check(inner)
        for run in block.get("inlines", []):
            if run["type"] != "TextRun" or not run["text"]:
                self.violations.append(f"an inline is no text: {json.dumps(run)[:100]}")
