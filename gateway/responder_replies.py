"""Replies that only the responder sees, such as "the incident is closed already"."""

import asyncio

import httpx
import structlog

TIMEOUT = 5.0  # seconds

_log = structlog.get_logger()


class ResponderReplies:
    """Sends replies beside the callback's answer, to Slack's ``response_url``.

    Contract: https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
    """

    def __init__(self, allowed_prefix: str) -> None:
        """
        Args:
            allowed_prefix: URLs with another beginning come from outside, and are not requested.
        """
        self._allowed_prefix = allowed_prefix
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, text: str) -> None:
        """Send in the background; an empty or foreign URL is skipped."""
        if not url.startswith(self._allowed_prefix):
            return
        task = asyncio.create_task(_post(url, text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _post(url: str, text: str) -> None:
    body = {"response_type": "ephemeral", "replace_original": False, "text": text}
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as http:
            await http.post(url, json=body)
    except httpx.HTTPError as error:
        _log.info("responder_reply_failed", error=type(error).__name__)
