"""PagerDuty, through the Events API v2.

Contract: https://developer.pagerduty.com/docs/events-api-v2-overview (limits, dedup_key, responses).
pdpyras is frozen by its authors, and ``pagerduty`` replaces it. Only this file uses it, and only what both have.
"""

import asyncio
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from requests.exceptions import TooManyRedirects

from incident.change import Change
from incident.message import MessageContent
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import TIMEOUT, Destination, Secrets
from integrations.base.errors import IntegrationError, TemporaryError, from_http_status, redirected, unreachable
from integrations.base.text import marker, truncate
from integrations.pagerduty.config import PagerDutyConfig

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'The package "pdpyras" is deprecated')
    from pdpyras import EventsAPISession as EventsSession  # the one line that changes for ``pagerduty``

ROOT = "https://events.pagerduty.com"
MAX_SUMMARY = 1024  # characters, docs: "PD-CEF", payload.summary
MAX_SOURCE = 255
MAX_KEY = 255  # docs: "dedup_key"
MAX_DETAIL = 2000  # our own limit: an event may have 512 KB, but nobody reads more on a phone
MAX_LINKS = 20  # our own limit
_REMEDY = "check the destination's routing_key: it is the integration key of an Events API v2 integration"
_SEVERITIES: dict[str, Literal["critical", "error", "warning"]] = {
    "critical": "critical",
    "high": "error",
    "low": "warning",
}
_threads = ThreadPoolExecutor(64, "pagerduty")
"""Used by nothing else: a page must not wait for a thread that hangs in another vendor's client."""


class PagerDutyDestination(Destination[PagerDutyConfig]):
    """Triggers, acknowledges and resolves. The ``dedup_key`` is the incident's: a repeated trigger pages nobody."""

    supports_ack = True

    def __init__(self, name: str, config: PagerDutyConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self.receives_changes = config.changes
        self._local = threading.local()  # a requests session serves one thread at a time

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        key = _dedup_key(notification.pager_dedup_key)
        try:
            await asyncio.get_running_loop().run_in_executor(_threads, self._send, notification, key)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise _to_error(error) from None
        return self.receipt(notification.key, key)

    async def send_change_event(self, change: Change) -> Receipt:
        try:
            await asyncio.get_running_loop().run_in_executor(_threads, self._send_change, change)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise _to_error(error) from None
        return self.receipt(change.key, f"change-{marker(change.key)}")

    def _send(self, notification: Notification, key: str) -> None:
        session = self._session()
        match notification.verb:
            case "acknowledge":
                session.acknowledge(key)
            case "resolve":
                session.resolve(key)
            case _:
                session.trigger(**_event(notification), dedup_key=key)

    def _send_change(self, change: Change) -> None:
        """A change event has no key. A retry after a lost response may list it twice, which pages nobody."""
        payload = {
            "summary": truncate(change.text, MAX_SUMMARY),
            "source": truncate(change.source, MAX_SOURCE),
            "timestamp": change.at.isoformat(),
            "custom_details": {fact.label: truncate(fact.value, MAX_DETAIL) for fact in change.facts},
        }
        links = [{"href": change.url, "text": "Open"}] if change.url else []
        self._session().post("/v2/change/enqueue", json={"payload": payload, "links": links}).raise_for_status()

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session: Any = EventsSession(self.secrets["routing_key"])
            session.url = self.config.root(ROOT)
            session.timeout = TIMEOUT
            session.max_redirects = 0
            # None is "nothing to merge": merging two empty maps costs requests 0.7 ms of every page on Python 3.11.
            session.params = None
            # Temporal retries, durably and with the vendor's Retry-After. The client must not, because it retries a
            # 429 without end. With no attempts left, it returns the first response.
            session.max_network_attempts = 0
            session.max_http_attempts = -1
            session.retry = dict.fromkeys((429, 500, 502, 503, 504), 1)
            self._local.session = session
        return session


def _dedup_key(key: str) -> str:
    """The key within PagerDuty's limit. Two long keys that differ only at their ends stay different."""
    return key if len(key) <= MAX_KEY else f"{key[: MAX_KEY - 28]}-{marker(key)}"


def _event(notification: Notification) -> dict[str, Any]:
    content = notification.content
    is_reminder = notification.verb == "remind"
    payload = {
        "component": content.model or content.component,
        "group": content.team,
        "class": content.metric,
        "timestamp": content.since.isoformat() if content.since else None,
    }
    return {
        "summary": truncate(f"REMINDER {content.headline}" if is_reminder else content.headline, MAX_SUMMARY),
        "source": truncate(_source(content), MAX_SOURCE),
        "severity": "warning" if is_reminder else _SEVERITIES[content.tier],
        "payload": {key: value for key, value in payload.items() if value},
        "custom_details": _details(notification),
        "links": [{"href": link.url, "text": link.text} for link in content.links[:MAX_LINKS]],
    }


def _details(notification: Notification) -> dict[str, str]:
    """The facts, the reason and the note. If a text is truncated, a last detail says so."""
    content = notification.content
    complete = {fact.label: fact.value for fact in content.facts}
    complete |= {label: text for label, text in (("Why", content.reason), ("Note", notification.note)) if text}
    details = {label: truncate(text, MAX_DETAIL) for label, text in complete.items()}
    if details != complete:
        details["Truncated"] = f"texts over {MAX_DETAIL} characters end in …; {content.incident} has them in full"
    return details


def _source(content: MessageContent) -> str:
    return " · ".join(part for part in (content.model or content.component, content.environment) if part)


def _to_error(error: Exception) -> IntegrationError:
    """400: the event is invalid. 401, 403, 404: wrong key or URL. 429 and 5xx: later (docs: "Responses")."""
    cause = error.__cause__ or error
    if isinstance(cause, TooManyRedirects):
        return redirected("PagerDuty")
    response = getattr(error, "response", None)
    if response is None:
        return unreachable("PagerDuty", cause)
    if response.ok:
        return TemporaryError(f"PagerDuty answered {response.status_code} with a body that does not confirm the event")
    return from_http_status("PagerDuty", response.status_code, response.headers, response.text, _REMEDY)
