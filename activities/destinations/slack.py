"""Slack, through the Web API: one message an incident, kept up to date in place, with its history in the thread.

Contract: https://docs.slack.dev/reference/methods/chat.postMessage and /reference/block-kit (limits),
https://docs.slack.dev/messaging/message-metadata (how a retried post finds what it posted before).
"""

import time
from typing import Annotated, Any, ClassVar, cast

import aiohttp
from pydantic import Field
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from temporalio.exceptions import ApplicationError

from activities.contracts import Delivery, DigestIssue, Receipt
from activities.destinations import slack_blocks
from activities.destinations.base import TIMEOUT, USER_AGENT, Destination, Secrets
from activities.failures import by_status, permanent, redirected, retry_after, temporary
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

ROOT = "https://slack.com/api"
MAX_TEXT = 4000  # characters, argument "text": shown in notifications, and where blocks cannot be
METADATA_EVENT = "tocsin_delivery"
LOOKBACK_SECONDS = 25 * 3600  # no delivery is attempted for longer

_REMEDY = {
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


class SlackConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"

    token: SecretSetting = Field(description="The app's bot token.")
    channel: str = Field(pattern=r"^(#[^\s#]{1,79}|[CGD][A-Z0-9]{6,})$", description="#name, or the channel's id.")
    mention: tuple[Annotated[str, Field(pattern=r"^(@[\w.-]+|[USW][A-Z0-9]{6,}|here|channel)$")], ...] = Field(
        default=(),
        description="Who is called by a new message: @usergroup, a user's or group's id, here or channel.",
    )
    buttons: bool = Field(
        default=True,
        description="Show Acknowledge, Resolve, Silence and False alarm; needs the app's interactivity (see docs).",
    )

    def where(self) -> str:
        return self.channel


class SlackDestination(Destination):
    """Posts through chat.postMessage, changes through chat.update, adds in the thread."""

    type_name = "slack"
    config = SlackConfig

    def __init__(self, name: str, config: SlackConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._config = config
        self.has_buttons = config.buttons
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncWebClient | None = None
        self._groups: dict[str, str] | None = None

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        try:
            first = delivery.first
            if delivery.verb in {"notify", "remind"} or first is None:
                mentions = await self._mentions()
                blocks = slack_blocks.message(delivery, mentions, buttons=self._config.buttons)
                return await self._send(delivery.key, attempt, _content(delivery.brief.headline, blocks), None)
            if delivery.verb != "note":
                await self._update(delivery, first)
            told = _content(delivery.note or delivery.brief.headline, slack_blocks.reply(delivery))
            return await self._send(delivery.key, attempt, told, first)
        except Exception as error:  # noqa: BLE001  # sorted, never swallowed
            raise self._sorted(error) from None

    async def send_digest(self, issue: DigestIssue, attempt: int) -> Receipt:
        title = f"Digest: {len(issue.counted)} since {issue.since:%Y-%m-%d %H:%M} UTC"
        try:
            return await self._send(issue.key, attempt, _content(title, slack_blocks.digest(issue, title)), None)
        except Exception as error:  # noqa: BLE001  # sorted, never swallowed
            raise self._sorted(error) from None

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = self._client = None

    def _api(self) -> Any:  # the client's own annotations are partial
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            straight = aiohttp.TraceConfig()
            straight.on_request_redirect.append(_no_redirect)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True, trace_configs=[straight])
            self._client = AsyncWebClient(
                token=self.secrets["token"],
                base_url=f"{self._config.root(ROOT)}/",
                timeout=int(TIMEOUT),
                session=self._session,
                retry_handlers=[],  # Temporal retries, durably and with Slack's Retry-After
                user_agent_prefix=USER_AGENT,
            )
        return self._client

    async def _send(self, key: str, attempt: int, content: dict[str, Any], thread: Receipt | None) -> Receipt:
        if attempt > 1 and (found := await self._posted_before(key, thread)):
            return found
        answer = await self._api().chat_postMessage(
            channel=thread.place if thread else self._config.channel,
            thread_ts=thread.id if thread else None,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": METADATA_EVENT, "event_payload": {"key": key}},
            **content,
        )
        data = cast("dict[str, Any]", answer.data)
        return self.receipt(key, str(data["ts"]), place=str(data["channel"]))

    async def _update(self, delivery: Delivery, first: Receipt) -> None:
        blocks = slack_blocks.message(delivery, (), buttons=self._config.buttons)
        await self._api().chat_update(
            channel=first.place, ts=first.id, **_content(delivery.brief.headline, blocks, mrkdwn=None)
        )

    async def _posted_before(self, key: str, thread: Receipt | None) -> Receipt | None:
        """What an earlier attempt posted although its answer never came, by the message's metadata."""
        api = self._api()
        place = thread.place if thread else await self._channel_id()
        if place is None:
            return None
        if thread:
            answer = await api.conversations_replies(channel=place, ts=thread.id, limit=200, include_all_metadata=True)
        else:
            oldest = f"{time.time() - LOOKBACK_SECONDS:.6f}"
            answer = await api.conversations_history(channel=place, oldest=oldest, limit=200, include_all_metadata=True)
        for message in cast("list[dict[str, Any]]", answer.get("messages", [])):
            payload = message.get("metadata", {}).get("event_payload", {})
            if payload.get("key") == key:
                return self.receipt(key, str(message["ts"]), place=place)
        return None

    async def _channel_id(self) -> str | None:
        if not self._config.channel.startswith("#"):
            return self._config.channel
        cursor = ""
        while True:
            answer = await self._api().conversations_list(
                cursor=cursor, limit=200, exclude_archived=True, types="public_channel,private_channel"
            )
            for channel in cast("list[dict[str, Any]]", answer.get("channels", [])):
                if channel.get("name") == self._config.channel.removeprefix("#"):
                    return str(channel["id"])
            metadata: dict[str, Any] = answer.get("response_metadata") or {}
            cursor = str(metadata.get("next_cursor") or "")
            if not cursor:
                return None

    async def _mentions(self) -> list[slack_blocks.Mention]:
        return [await self._mention(name) for name in self._config.mention]

    async def _mention(self, name: str) -> slack_blocks.Mention:
        if name in {"here", "channel"}:
            return "broadcast", name
        if not name.startswith("@"):
            return ("usergroup" if name.startswith("S") else "user"), name
        if self._groups is None:
            try:
                answer = await self._api().usergroups_list()
            except SlackApiError:
                # Without the scope usergroups:read, or for the moment: the name still stands there, as text.
                return "text", name
            groups = cast("list[dict[str, Any]]", answer.get("usergroups", []))
            self._groups = {str(group["handle"]): str(group["id"]) for group in groups}
        group = self._groups.get(name.removeprefix("@"))
        return ("usergroup", group) if group else ("text", name)

    def _sorted(self, error: Exception) -> ApplicationError:
        """Slack's errors by name: https://docs.slack.dev/reference/methods/chat.postMessage#errors"""
        if isinstance(error, ApplicationError):
            return error
        if isinstance(error, SlackApiError):
            response: Any = cast("Any", error).response
            headers = dict(cast("dict[str, str]", response.headers or {}))
            is_json = isinstance(response.data, dict)
            said = str(response.get("error") or "an unknown error") if is_json else "no JSON"
            if said in _TEMPORARY or response.status_code == 429:
                return temporary(f"Slack says {said}", retry_after(headers))
            if response.status_code >= 300:
                told = said if is_json else str(response.data)
                return by_status("Slack", response.status_code, headers, told, "check the destination's base_url")
            if not is_json:
                return temporary(f"Slack answered {response.status_code} with a body that is no JSON object")
            remedy = _REMEDY.get(said, "see the error's entry in Slack's documentation of chat.postMessage")
            return permanent(f"Slack says {said}: {remedy.format(channel=self._config.channel)}")
        if isinstance(error, RedirectedError):
            return redirected("Slack")
        if isinstance(error, aiohttp.ClientError | TimeoutError | OSError | SlackClientError):
            return temporary(f"Slack could not be reached: {type(error).__name__}")
        return temporary(f"{self.name}: unexpected {type(error).__name__}")


class RedirectedError(Exception):
    """Slack sends nobody elsewhere: whoever does is a proxy, and is not to be shown the token."""


async def _no_redirect(*_: object) -> None:
    raise RedirectedError


def _content(text: str, blocks: list[dict[str, Any]], *, mrkdwn: bool | None = False) -> dict[str, Any]:
    """``mrkdwn`` is an argument of chat.postMessage alone."""
    content: dict[str, Any] = {"text": escape(text)[:MAX_TEXT], "blocks": blocks}
    return content if mrkdwn is None else {**content, "mrkdwn": mrkdwn}


def escape(text: str) -> str:
    """The three characters that Slack's markup is made of (docs: "Formatting text", escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
