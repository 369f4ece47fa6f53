"""PagerDuty, through the Events API v2.

Contract: https://developer.pagerduty.com/docs/events-api-v2-overview (limits, dedup_key, answers).
pdpyras is frozen by its authors; ``pagerduty`` follows it. Only what both share is used, and only here.
"""

import asyncio
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

from pydantic import Field
from requests.exceptions import TooManyRedirects
from temporalio.exceptions import ApplicationError

from activities.contracts import Brief, Change, Delivery, Link, Receipt
from activities.destinations.base import TIMEOUT, Destination, Secrets, cut, key_label
from activities.failures import by_status, redirected, temporary
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'The package "pdpyras" is deprecated')
    from pdpyras import EventsAPISession as EventsSession  # the one line that changes for ``pagerduty``

ROOT = "https://events.pagerduty.com"
MAX_SUMMARY = 1024  # characters, docs: "PD-CEF", payload.summary
MAX_SOURCE = 255
MAX_KEY = 255  # docs: "dedup_key"
MAX_DETAIL = 2000  # ours: the whole event may have 512 KB, yet nobody reads more on a phone
MAX_LINKS = 20  # ours
_SEVERITY: dict[str, Literal["critical", "error", "warning"]] = {
    "critical": "critical",
    "high": "error",
    "low": "warning",
}


class PagerDutyConfig(DestinationConfig):
    kind: ClassVar[Kind] = "page"

    routing_key: SecretSetting = Field(description="The integration key of a service: Events API v2.")
    changes: bool = Field(
        default=True, description="Tell it of changes (a new prompt or evaluator) as change events, which page nobody."
    )


_threads = ThreadPoolExecutor(64, "pagerduty")
"""Their own: a page must not wait for a thread that hangs in another vendor's client."""


class PagerDutyDestination(Destination):
    """Trigger, acknowledge and resolve. The ``dedup_key`` is the incident's: a repeated trigger pages nobody."""

    type_name = "pagerduty"
    has_buttons = True
    config = PagerDutyConfig

    def __init__(self, name: str, config: PagerDutyConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._root = config.root(ROOT)
        self.hears_changes = config.changes
        self._local = threading.local()  # a requests session serves one thread at a time

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        return await asyncio.get_running_loop().run_in_executor(_threads, self._send, delivery)

    async def tell_change(self, change: Change) -> Receipt:
        try:
            await asyncio.get_running_loop().run_in_executor(_threads, self._send_change, change)
        except Exception as error:  # noqa: BLE001  # sorted, never swallowed
            raise _sorted(error) from None
        return self.receipt(change.key, f"change-{key_label(change.key)}")

    def _send_change(self, change: Change) -> None:
        """A change event has no key: a retry after a lost answer may list it twice; it pages nobody either way."""
        payload = {
            "summary": cut(change.text, MAX_SUMMARY),
            "source": cut(change.source, MAX_SOURCE),
            "timestamp": change.at.isoformat(),
            "custom_details": {fact.label: cut(fact.value, MAX_DETAIL) for fact in change.facts},
        }
        links = [{"href": change.url, "text": "Open"}] if change.url else []
        self._session().post("/v2/change/enqueue", json={"payload": payload, "links": links}).raise_for_status()

    def _send(self, delivery: Delivery) -> Receipt:
        session = self._session()
        key = _key(delivery.alarm)
        try:
            match delivery.verb:
                case "acknowledge":
                    session.acknowledge(key)
                case "resolve":
                    session.resolve(key)
                case _:
                    session.trigger(**_event(delivery), dedup_key=key)
        except Exception as error:  # noqa: BLE001  # sorted, never swallowed
            raise _sorted(error) from None
        return self.receipt(delivery.key, key)

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session: Any = EventsSession(self.secrets["routing_key"])
            session.url = self._root
            session.timeout = TIMEOUT
            session.max_redirects = 0
            # None is "nothing to merge": merging two empty maps costs requests 0.7 ms of every page on Python 3.11.
            session.params = None
            # Temporal retries, durably and with the vendor's Retry-After; the client must not, since it
            # sleeps without end on 429. With no attempts left, it hands out the first answer.
            session.max_network_attempts = 0
            session.max_http_attempts = -1
            session.retry = dict.fromkeys((429, 500, 502, 503, 504), 1)
            self._local.session = session
        return session


def _key(alarm: str) -> str:
    """As long as PagerDuty takes; two that differ at their ends only stay two."""
    return alarm if len(alarm) <= MAX_KEY else f"{alarm[: MAX_KEY - 28]}-{key_label(alarm)}"


def _event(delivery: Delivery) -> dict[str, Any]:
    brief = delivery.brief
    reminder = delivery.verb == "remind"
    payload = {
        "component": brief.model or brief.component,
        "group": brief.team,
        "class": brief.metric,
        "timestamp": brief.since.isoformat() if brief.since else None,
    }
    return {
        "summary": cut(f"REMINDER {brief.headline}" if reminder else brief.headline, MAX_SUMMARY),
        "source": cut(_source(brief), MAX_SOURCE),
        "severity": "warning" if reminder else _SEVERITY[brief.tier],
        "payload": {key: value for key, value in payload.items() if value},
        "custom_details": _details(delivery),
        "links": [{"href": link.url, "text": link.text} for link in _links(brief)[:MAX_LINKS]],
        "images": [
            {"src": one.image, "href": one.url or one.image, "alt": cut(one.text, MAX_SOURCE)}
            for one in brief.findings
            if one.image.startswith("https://")  # docs: "Images", served over TLS
        ],
    }


def _details(delivery: Delivery) -> dict[str, str]:
    """What a reader looks up; a text that is too long loses its end, and the last detail says that one did."""
    brief = delivery.brief
    whole = {fact.label: fact.value for fact in brief.facts}
    whole |= {one.source: one.text for one in brief.findings}
    whole |= {label: text for label, text in (("Why", brief.why), ("Note", delivery.note)) if text}
    details = {label: cut(text, MAX_DETAIL) for label, text in whole.items()}
    if details != whole:
        details["Cut"] = f"texts of more than {MAX_DETAIL} characters end in …; {brief.incident} has them whole"
    return details


def _links(brief: Brief) -> list[Link]:
    return [*brief.links, *(Link(text=one.source, url=one.url) for one in brief.findings if one.url)]


def _source(brief: Brief) -> str:
    return " · ".join(part for part in (brief.model or brief.component, brief.environment) if part)


def _sorted(error: Exception) -> ApplicationError:
    """400: the event is not valid. 401, 403, 404: wrong key or address. 429 and 5xx: later (docs: "Responses")."""
    if isinstance(error.__cause__ or error, TooManyRedirects):
        return redirected("PagerDuty")
    response = getattr(error, "response", None)
    if response is None:
        cause = error.__cause__ or error
        return temporary(f"PagerDuty could not be reached: {type(cause).__name__}")
    if response.ok:
        return temporary(f"PagerDuty answered {response.status_code} with a body that says nothing of the event")
    remedy = "check the destination's routing_key: it is the integration key of an Events API v2 integration"
    return by_status("PagerDuty", response.status_code, response.headers, response.text, remedy)
