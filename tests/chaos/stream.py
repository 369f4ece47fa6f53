"""The steady stream of incidents. Each follows a script: a sender and people who retry whatever is broken."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import httpx

from tests.chaos.harness import ChaosHarness
from tests.processes import ARIZE_SECRET, PAGERDUTY_SECRET
from tests.signing import signed
from tests.vendors import PagerDuty, Request
from tests.vendors.policy import alert_body

Script = Literal[
    "unacknowledged",
    "acknowledged",
    "repeated",
    "cleared",
    "posted",
    "regulated",
    "reordered",
    "refired",
    "worked_on",
    "shared_ids",
    "merged",
    "discussed",
]
SCRIPTS = get_args(Script)
RETRY_FOR = 240.0
"""Seconds for which a sender, or a person, retries."""


class ScriptError(Exception):
    """A step of a script did not succeed; the text names it."""


@dataclass
class ScriptedIncident:
    """One problem: what was sent about it, and when it was accepted. Times are Unix seconds."""

    number: int
    script: Script
    id: str = ""
    event_ids: list[str] = field(default_factory=list[str])
    """The ids of the accepted alerts that were triggered."""
    states: Counter[str] = field(default_factory=Counter)
    acknowledged_at: float = 0.0
    acknowledgement_spooled: bool = False
    cleared_at: float = 0.0
    clear_spooled: bool = False
    required: list[float] = field(default_factory=list[float])
    """When alerts were accepted that each must page again; empty if the decision's steps say all."""
    swallowed: list[str] = field(default_factory=list[str])
    """What undid something newer, in words."""
    other_runs: set[str] = field(default_factory=set[str])
    """What names other openings under the same id in the vendors' keys."""
    view: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""

    @property
    def first_run_id(self) -> str:
        return str(self.view.get("first_run_id", ""))


def filler(number: int) -> dict[str, Any]:
    """What makes some bodies large: 64 labels of four-byte characters, or fields that nobody reads, up to 256 KiB."""
    if number % 5 == 2:
        return {"labels": {f"label {one} 🚨": "🧯" * 240 for one in range(64)}}
    if number % 7 == 3:
        return {"trace": "x" * 250_000}
    return {"environment": "🚒" * 200} if number % 9 == 4 else {}


def run_of(page: Request) -> str:
    """What names the opening of the incident in a page's key."""
    return str(page.body["dedup_key"]).partition(".")[2].partition("/")[0]


class Stream:
    """Starts ``rate`` incidents a second until it is stopped; each follows its script to the end.

    ``scripts`` are those that this class has no method for, by name.
    """

    def __init__(self, harness: ChaosHarness, rate: float, scripts: Mapping[str, "ScriptFunction"]) -> None:
        self.harness = harness
        self._scripts = scripts
        self.rate = rate
        self.incidents: list[ScriptedIncident] = []
        self.rejected: list[str] = []
        """Responses that no sender should receive."""
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(400, "incident")
        self._starter = threading.Thread(target=self._start_incidents, daemon=True)

    def start(self) -> None:
        self._starter.start()

    def stop(self) -> None:
        """Start no more, and wait for the end of every script."""
        self._stop.set()
        self._starter.join()
        self._pool.shutdown(wait=True)

    def _start_incidents(self) -> None:
        number = 0
        while not self._stop.wait(1 / self.rate):
            incident = ScriptedIncident(number, SCRIPTS[number % len(SCRIPTS)])
            self.incidents.append(incident)
            self._pool.submit(self._play, incident)
            number += 1

    def _play(self, incident: ScriptedIncident) -> None:
        self.run_script(incident, self._scripts.get(incident.script) or getattr(Stream, f"_{incident.script}"))

    def run_script(self, incident: ScriptedIncident, script: "ScriptFunction") -> None:
        """Follow a script; what goes wrong is kept for the checker."""
        try:
            script(self, incident)
        except ScriptError as error:
            incident.error = str(error)
        except Exception as error:  # noqa: BLE001  # the checker counts it
            incident.error = f"{type(error).__name__}: {error}"

    # ── Scripts ─────────────────────────────────────────────────────────────────────────────────────────

    def _unacknowledged(self, incident: ScriptedIncident) -> None:
        """Nobody acknowledges; it clears after the last step."""
        alert = self.fire(incident, "error_rate")
        steps = Counter({"key-primary": 1, "key-managers": 1, "key-secondary": 3})
        self.until("every step to be taken", lambda: self._pages_by_service(incident) == steps)
        self.clear(incident, alert)

    def _acknowledged(self, incident: ScriptedIncident) -> None:
        """A person acknowledges in PagerDuty soon after the page; later it clears."""
        alert = self.fire(incident, "error_rate")
        time.sleep(incident.number % 7)
        self.acknowledge_in_pagerduty(incident)
        time.sleep(20)
        self.clear(incident, alert)

    def _repeated(self, incident: ScriptedIncident) -> None:
        """Six more alerts, each sent twice; then a person acknowledges through the API."""
        alert = self.fire(incident, "error_rate")
        for turn in range(6):
            event_id = uuid.uuid4().hex
            self.repeat(incident, {**alert, "metric_value": 0.4 + turn / 100}, event_id)
            self.repeat(incident, {**alert, "metric_value": 0.4 + turn / 100}, event_id)
            time.sleep(0.7)
        self.first_page_key(incident)
        self.acknowledge_through_api(incident)
        time.sleep(5)
        self.clear(incident, alert)

    def _cleared(self, incident: ScriptedIncident) -> None:
        """It clears before anybody acknowledges."""
        alert = self.fire(incident, "error_rate")
        self.first_page_key(incident)
        self.clear(incident, alert)

    def _posted(self, incident: ScriptedIncident) -> None:
        """A post, without a page."""
        alert = self.fire(incident, "answer_relevance")
        time.sleep(3)
        self.clear(incident, alert)

    def _regulated(self, incident: ScriptedIncident) -> None:
        """It clears, and stays open until a person with the role closes it."""
        self.close_by_compliance(incident, self.fire(incident, "bias", model="underwriting"))

    def close_by_compliance(self, incident: ScriptedIncident, alert: Mapping[str, Any]) -> None:
        self.send_clear(incident, alert)
        self.until("it to wait for a person", lambda: self.view(incident).get("state") == "awaiting_human")
        body = {"by": "Carl", "note": "looked into it"}
        self.until("compliance to close it", lambda: self._resolve(incident, body))
        self.until("it to be closed", lambda: self.view(incident).get("state") == "closed")

    # ── Steps of a script ───────────────────────────────────────────────────────────────────────────────

    def fire(self, incident: ScriptedIncident, metric: str, event_id: str = "", **changes: Any) -> dict[str, Any]:
        alert = {**alert_body(metric, 0.31, f"chaos-{incident.number}"), **filler(incident.number), **changes}
        self.repeat(incident, alert, event_id or uuid.uuid4().hex)
        return alert

    def repeat(self, incident: ScriptedIncident, alert: Mapping[str, Any], event_id: str) -> None:
        self.send(incident, alert, event_id)
        if event_id not in incident.event_ids:
            incident.event_ids.append(event_id)

    def send(self, incident: ScriptedIncident, alert: Mapping[str, Any], event_id: str) -> str:
        """Send as Arize does: the same event again until the response is 202. Returns the state in that response."""
        body = json.dumps(alert).encode()

        def accepted() -> str:
            response = self.post("/webhooks/arize", body, signed(body, ARIZE_SECRET, event_id))
            if response is None or response.status_code in {429, 503}:
                return ""
            if response.status_code != 202:
                self.rejected.append(f"{response.status_code} {response.text[:200]}")
                return ""
            result = response.json()
            incident.id = result["incident"]
            incident.states[result["state"]] += 1
            return result["state"]

        state = self.until("the gateway to accept an alert", accepted, 0.5)
        self.harness.alert_accepted()
        return state

    def pages(self, incident: ScriptedIncident) -> list[Request]:
        """The pages of this opening of the incident that made a sound."""
        return [one for one in self.harness.pager.audible_pages(incident.id) if run_of(one) not in incident.other_runs]

    def _pages_by_service(self, incident: ScriptedIncident) -> Counter[str]:
        return Counter(one.body["routing_key"] for one in self.pages(incident))

    def first_page_key(self, incident: ScriptedIncident) -> str:
        """The dedup key of the first page, as soon as there is one."""
        return self.until("a page", lambda: self.pages(incident))[0].body["dedup_key"]

    def acknowledge_through_api(self, incident: ScriptedIncident) -> None:
        path = f"/api/incidents/{incident.id}/acknowledge"
        headers = {"Authorization": "Bearer r-token", "Content-Type": "application/json"}
        self._acknowledge(incident, path, b'{"by": "Alice"}', headers)

    def acknowledge_in_pagerduty(self, incident: ScriptedIncident) -> None:
        callback = PagerDuty.callback("incident.acknowledged", self.first_page_key(incident))
        self._acknowledge(incident, "/webhooks/pagerduty", *PagerDuty.sign(callback, PAGERDUTY_SECRET))

    def _acknowledge(self, incident: ScriptedIncident, path: str, content: bytes, headers: Mapping[str, str]) -> None:
        def accepted() -> bool:
            response = self.post(path, content, headers)
            if response is None or not response.is_success:
                return False
            incident.acknowledgement_spooled = response.status_code == 202 and response.json()["state"] == "spooled"
            return True

        self.until("the gateway to accept an acknowledgement", accepted, 0.5)
        incident.acknowledged_at = time.time()

    def send_clear(self, incident: ScriptedIncident, alert: Mapping[str, Any], event_id: str = "") -> None:
        clear = {**alert, "status": "CLEARED", "metric_value": 0.01}
        state = self.send(incident, clear, event_id or uuid.uuid4().hex)
        incident.cleared_at, incident.clear_spooled = time.time(), state == "spooled"

    def clear(self, incident: ScriptedIncident, alert: Mapping[str, Any], event_id: str = "") -> None:
        self.send_clear(incident, alert, event_id)
        self.until("it to be closed", lambda: self.view(incident).get("state") == "closed", 2.0)

    def _resolve(self, incident: ScriptedIncident, body: Mapping[str, str]) -> bool:
        try:
            response = self.harness.tocsin.call("POST", f"/{incident.id}/resolve", "c-token", json=body)
        except httpx.HTTPError:
            return False
        # It may have succeeded although its response was lost.
        return response.is_success or self.view(incident).get("resolved_by") == "carl"

    def view(self, incident: ScriptedIncident) -> Mapping[str, Any]:
        try:
            response = self.harness.tocsin.call("GET", f"/{incident.id}")
        except httpx.HTTPError:
            return {}
        if response.status_code == 200 and not response.json()["partial"]:
            incident.view = response.json()
        return incident.view

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response | None:
        tocsin = self.harness.tocsin
        try:
            return tocsin.http.post(f"{tocsin.url}{path}", content=content, headers=headers)
        except httpx.HTTPError:
            return None

    @staticmethod
    def until(description: str, condition: Callable[[], Any], interval: float = 1.0) -> Any:
        end = time.monotonic() + RETRY_FOR
        while True:
            if value := condition():
                return value
            if time.monotonic() > end:
                raise ScriptError(f"waited {RETRY_FOR:g} s for {description}")
            time.sleep(interval)


ScriptFunction = Callable[[Stream, ScriptedIncident], None]
