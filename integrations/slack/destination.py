"""Slack, through the Web API: one message for each incident, updated in place, with its history in the thread.

Contract: https://docs.slack.dev/reference/methods/chat.postMessage and /reference/block-kit (limits),
https://docs.slack.dev/messaging/message-metadata (how a retry finds the message that an earlier attempt posted).
"""

import asyncio
import time
from typing import Any, cast

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import TIMEOUT, USER_AGENT, Destination, Secrets
from integrations.base.errors import (
    IntegrationError,
    PermanentError,
    TemporaryError,
    from_http_status,
    redirected,
    retry_after,
    unreachable,
)
from integrations.base.text import truncate
from integrations.slack.blocks import Mention, digest_blocks, message_blocks, reply_blocks
from integrations.slack.config import SlackConfig
from integrations.slack.limits import MAX_PAGES, MAX_TEXT, PAGE_SIZE

ROOT = "https://slack.com/api"
METADATA_EVENT = "tocsin_delivery"
LOOKBACK_SECONDS = 25 * 3600  # longer than any notification is attempted

_REMEDIES = {
    "not_in_channel": "invite the bot to {channel}",
    "channel_not_found": "check the channel's name, or invite the bot to {channel} if it is private",
    "is_archived": "{channel} is archived: name another channel",
    "invalid_auth": "the token is not valid: install the app again and set its bot token",
    "not_authed": "no token was sent: set the destination's token",
    "account_inactive": "the bot was removed from the workspace: install the app again",
    "token_revoked": "the token was revoked: set a new one",
    "missing_scope": "add the scope that Slack names to the app, and install it again",
}
_TEMPORARY = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    }
)


class SlackDestination(Destination[SlackConfig]):
    """Posts by chat.postMessage, updates by chat.update, and replies in the thread."""

    def __init__(self, name: str, config: SlackConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self.supports_ack = config.buttons
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncWebClient | None = None
        self._groups: dict[str, str] | None = None

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        try:
            original = notification.original_receipt
            if notification.verb in {"notify", "remind"} or original is None:
                mentions = await self._mentions()
                blocks = message_blocks(notification, mentions, buttons=self.config.buttons)
                return await self._send(
                    notification.key, attempt, _content(notification.content.headline, blocks), None
                )
            if notification.verb != "note" and not await self._update(notification, original):
                # A person deleted the message: the state is posted again, as nobody sees a thread without it.
                blocks = message_blocks(notification, (), buttons=self.config.buttons)
                return await self._send(
                    notification.key, attempt, _content(notification.content.headline, blocks), None
                )
            reply = _content(notification.note or notification.content.headline, reply_blocks(notification))
            return await self._send(notification.key, attempt, reply, original)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise self._to_error(error) from None

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        title = f"Digest: {digest.title}"
        try:
            blocks = await asyncio.to_thread(digest_blocks, digest, title)
            return await self._send(digest.key, attempt, _content(title, blocks), None)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise self._to_error(error) from None

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = self._client = None

    def _api(self) -> Any:  # the client's own annotations are partial
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            no_redirects = aiohttp.TraceConfig()
            no_redirects.on_request_redirect.append(_refuse_redirect)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True, trace_configs=[no_redirects])
            self._client = AsyncWebClient(
                token=self.secrets["token"],
                base_url=f"{self.config.root(ROOT)}/",
                timeout=int(TIMEOUT),
                session=self._session,
                retry_handlers=[],  # Temporal retries, durably and with Slack's Retry-After
                user_agent_prefix=USER_AGENT,
            )
        return self._client

    async def _send(self, key: str, attempt: int, content: dict[str, Any], thread: Receipt | None) -> Receipt:
        if attempt > 1 and (found := await self._find_posted(key, thread)):
            return found
        response = await self._api().chat_postMessage(
            channel=thread.location if thread else self.config.channel,
            thread_ts=thread.id if thread else None,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": METADATA_EVENT, "event_payload": {"key": key}},
            **content,
        )
        data = cast("dict[str, Any]", response.data)
        return self.receipt(key, str(data["ts"]), location=str(data["channel"]))

    async def _update(self, notification: Notification, original: Receipt) -> bool:
        """Update the message in place. False if it does not exist any more."""
        blocks = message_blocks(notification, (), buttons=self.config.buttons)
        content = _content(notification.content.headline, blocks, mrkdwn=None)
        try:
            await self._api().chat_update(channel=original.location, ts=original.id, **content)
        except SlackApiError as error:
            response: Any = cast("Any", error).response
            if isinstance(response.data, dict) and response.get("error") == "message_not_found":
                return False
            raise
        return True

    async def _find_posted(self, key: str, thread: Receipt | None) -> Receipt | None:
        """The message that an earlier attempt posted although no response arrived, by its metadata.

        A channel's history comes newest first, a thread's replies oldest first; both are read to their end, from before
        the first attempt on.
        """
        api = self._api()
        channel = thread.location if thread else await self._channel_id()
        if channel is None:
            return None
        oldest = f"{time.time() - LOOKBACK_SECONDS:.6f}"
        query: dict[str, Any] = {"channel": channel, "limit": PAGE_SIZE, "include_all_metadata": True, "oldest": oldest}
        cursor = ""
        for _ in range(MAX_PAGES):
            page = {**query, **({"cursor": cursor} if cursor else {})}
            if thread:
                response = await api.conversations_replies(ts=thread.id, **page)
            else:
                response = await api.conversations_history(**page)
            for message in cast("list[dict[str, Any]]", response.get("messages", [])):
                payload = message.get("metadata", {}).get("event_payload", {})
                if payload.get("key") == key:
                    return self.receipt(key, str(message["ts"]), location=channel)
            cursor = _next_cursor(response)
            if not cursor:
                break
        return None

    async def _channel_id(self) -> str | None:
        if not self.config.channel.startswith("#"):
            return self.config.channel
        cursor = ""
        while True:
            response = await self._api().conversations_list(
                cursor=cursor, limit=200, exclude_archived=True, types="public_channel,private_channel"
            )
            for channel in cast("list[dict[str, Any]]", response.get("channels", [])):
                if channel.get("name") == self.config.channel.removeprefix("#"):
                    return str(channel["id"])
            cursor = _next_cursor(response)
            if not cursor:
                return None

    async def _mentions(self) -> list[Mention]:
        return [await self._mention(name) for name in self.config.mention]

    async def _mention(self, name: str) -> Mention:
        if name in {"here", "channel"}:
            return "broadcast", name
        if not name.startswith("@"):
            return ("usergroup" if name.startswith("S") else "user"), name
        if self._groups is None:
            try:
                response = await self._api().usergroups_list()
            except SlackApiError:
                # The scope usergroups:read is missing, or Slack is busy: the name is shown as text.
                return "text", name
            groups = cast("list[dict[str, Any]]", response.get("usergroups", []))
            self._groups = {str(group["handle"]): str(group["id"]) for group in groups}
        group = self._groups.get(name.removeprefix("@"))
        return ("usergroup", group) if group else ("text", name)

    def _to_error(self, error: Exception) -> IntegrationError:
        """Slack's errors by name: https://docs.slack.dev/reference/methods/chat.postMessage#errors"""
        if isinstance(error, IntegrationError):
            return error
        if isinstance(error, SlackApiError):
            response: Any = cast("Any", error).response
            headers = dict(cast("dict[str, str]", response.headers or {}))
            is_json = isinstance(response.data, dict)
            code = str(response.get("error") or "an unknown error") if is_json else "no JSON"
            if code in _TEMPORARY or response.status_code == 429:
                return TemporaryError(f"Slack answered {code}", retry_after(headers))
            if response.status_code >= 300:
                body = code if is_json else str(response.data)
                return from_http_status(
                    "Slack", response.status_code, headers, body, "check the destination's base_url"
                )
            if not is_json:
                return TemporaryError(f"Slack answered {response.status_code} with a body that is no JSON object")
            remedy = _REMEDIES.get(code, "see the error's entry in Slack's documentation of chat.postMessage")
            return PermanentError(f"Slack answered {code}: {remedy.format(channel=self.config.channel)}")
        if isinstance(error, aiohttp.ClientError | TimeoutError | OSError | SlackClientError):
            return unreachable("Slack", error)
        return TemporaryError(f"{self.name}: unexpected {type(error).__name__}")


def _next_cursor(response: Any) -> str:
    metadata: dict[str, Any] = response.get("response_metadata") or {}
    return str(metadata.get("next_cursor") or "")


async def _refuse_redirect(*_: object) -> None:
    raise redirected("Slack")


def _content(text: str, blocks: list[dict[str, Any]], *, mrkdwn: bool | None = False) -> dict[str, Any]:
    """``mrkdwn`` is an argument of chat.postMessage only."""
    # The text is shown in notifications, and by clients that show no blocks. Escaping makes it up to five times longer.
    content: dict[str, Any] = {"text": escape(truncate(text, MAX_TEXT // 5)), "blocks": blocks}
    return content if mrkdwn is None else {**content, "mrkdwn": mrkdwn}


def escape(text: str) -> str:
    """The text with the three characters of Slack's markup escaped (docs: "Formatting text", escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
