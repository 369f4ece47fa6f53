"""PagerDuty, through the Events API v2.

Contract: https://developer.pagerduty.com/docs/events-api-v2-overview (limits, dedup_key, responses).
pdpyras is frozen by its authors, and ``pagerduty`` replaces it. Only this file uses it, and only what both have.
"""

import threading
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from requests.exceptions import TooManyRedirects

from incident.change import Change
from incident.message import MessageContent
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import TIMEOUT, Destination, Secrets
from integrations.base.errors import IntegrationError, TemporaryError, from_http_status, redirected, unreachable
from integrations.base.text import marker, shorten_key, truncate
from integrations.base.threads import OwnThreads
from integrations.pagerduty.config import PagerDutyConfig
from integrations.pagerduty.limits import (
    MAX_DETAIL,
    MAX_DETAIL_NAME,
    MAX_DETAILS,
    MAX_FIELD,
    MAX_KEY,
    MAX_LINK_TEXT,
    MAX_LINKS,
    MAX_SOURCE,
    MAX_SUMMARY,
)

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'The package "pdpyras" is deprecated')
    from pdpyras import EventsAPISession as EventsSession  # the one line that changes for ``pagerduty``

ROOT = "https://events.pagerduty.com"
_REMEDY = "check the destination's routing_key: it is the integration key of an Events API v2 integration"
_SEVERITIES: dict[str, Literal["critical", "error", "warning"]] = {
    "critical": "critical",
    "high": "error",
    "low": "warning",
}
_THREADS = 64
"""Pages and updates of one destination at once."""


class PagerDutyDestination(Destination[PagerDutyConfig]):
    """Triggers, acknowledges and resolves. The ``dedup_key`` is the incident's: a repeated trigger pages nobody."""

    supports_ack = True

    def __init__(self, name: str, config: PagerDutyConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self.receives_changes = config.changes
        self._local = threading.local()  # a requests session serves one thread at a time
        self._threads = OwnThreads(f"pagerduty-{name}", _THREADS)

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        key = shorten_key(notification.pager_dedup_key, MAX_KEY)
        try:
            await self._threads.run(self._send, notification, key)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise _to_error(error) from None
        return self.receipt(notification.key, key)

    async def send_change_event(self, change: Change) -> Receipt:
        try:
            await self._threads.run(self._send_change, change)
        except Exception as error:  # noqa: BLE001  # mapped, never swallowed
            raise _to_error(error) from None
        return self.receipt(change.key, f"change-{marker(change.key)}")

    async def close(self) -> None:
        self._threads.close()

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
            "custom_details": _truncated({fact.label: fact.value for fact in change.facts}),
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


def _event(notification: Notification) -> dict[str, Any]:
    content = notification.content
    is_reminder = notification.verb == "remind"
    payload = {
        "component": truncate(content.model or content.component, MAX_FIELD),
        "group": truncate(content.team, MAX_FIELD),
        "class": truncate(content.metric, MAX_FIELD),
        "timestamp": content.since.isoformat() if content.since else None,
    }
    return {
        "summary": truncate(f"REMINDER {content.headline}" if is_reminder else content.headline, MAX_SUMMARY),
        "source": truncate(_source(content), MAX_SOURCE),
        "severity": "warning" if is_reminder else _SEVERITIES[content.tier],
        "payload": {key: value for key, value in payload.items() if value},
        "custom_details": _details(notification),
        "links": [{"href": link.url, "text": truncate(link.text, MAX_LINK_TEXT)} for link in content.links[:MAX_LINKS]],
    }


def _details(notification: Notification) -> dict[str, str]:
    """The facts, the reason and the note. If a text is truncated, a last detail says so."""
    content = notification.content
    complete = {fact.label: fact.value for fact in content.facts}
    complete |= {label: text for label, text in (("Why", content.reason), ("Note", notification.note)) if text}
    details = _truncated(complete)
    if details != complete:
        text = f"at most {MAX_DETAILS} texts of {MAX_DETAIL} characters are shown; {content.incident} has them in full"
        details["Truncated"] = text
    return details


def _truncated(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts by their labels, as many as fit; the last two are the rule and the note."""
    kept = list(texts.items())
    kept = kept if len(kept) <= MAX_DETAILS else [*kept[: MAX_DETAILS - 2], *kept[-2:]]
    return {truncate(label, MAX_DETAIL_NAME): truncate(text, MAX_DETAIL) for label, text in kept}


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
