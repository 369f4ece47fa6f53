"""The steady stream: a fire at a time, each with its people, who do what they do whatever is broken meanwhile."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import httpx

from tests.chaos.field import Field
from tests.processes import ARIZE_SECRET, PAGERDUTY_SECRET
from tests.vendors import PagerDuty
from tests.vendors.policy import alert_body
from worker.cli_send import signed

Fate = Literal["unanswered", "acknowledged", "repeated", "cleared", "posted", "regulated"]
FATES = get_args(Fate)
PATIENCE = 240.0  # seconds that a sender, or a person, goes on trying


class NotSoError(Exception):
    """Something that has to happen did not; the text says what."""


@dataclass
class Fire:
    """One problem, what was said about it, and when each word was taken. Times are Unix seconds."""

    number: int
    fate: Fate
    incident: str = ""
    event_ids: list[str] = field(default_factory=list[str])
    """Of the alerts that burned and were taken."""
    states: Counter[str] = field(default_factory=Counter)
    acknowledged_at: float = 0.0
    acknowledgement_spooled: bool = False
    cleared_at: float = 0.0
    clear_spooled: bool = False
    view: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fault: str = ""


class Stream:
    """Begins ``rate`` fires a second until it is told to stop; each then lives to its end."""

    def __init__(self, ground: Field, rate: float) -> None:
        self.ground = ground
        self.rate = rate
        self.fires: list[Fire] = []
        self.refused: list[str] = []
        """Answers that no sender should get."""
        self._stop = threading.Event()
        self._lives: list[Future[None]] = []
        self._pool = ThreadPoolExecutor(400, "fire")
        self._beginning = threading.Thread(target=self._begin, daemon=True)

    def start(self) -> None:
        self._beginning.start()

    def stop(self) -> None:
        """Begin no more, and wait for every life's end."""
        self._stop.set()
        self._beginning.join()
        self._pool.shutdown(wait=True)

    def _begin(self) -> None:
        number = 0
        while not self._stop.wait(1 / self.rate):
            fire = Fire(number, FATES[number % len(FATES)])
            self.fires.append(fire)
            self._lives.append(self._pool.submit(self._live, fire))
            number += 1

    def _live(self, fire: Fire) -> None:
        try:
            getattr(self, f"_{fire.fate}")(fire)
        except NotSoError as error:
            fire.fault = str(error)
        except Exception as error:  # noqa: BLE001  # the checker counts it
            fire.fault = f"{type(error).__name__}: {error}"

    # ── Lives ───────────────────────────────────────────────────────────────────────────────────────────

    def _unanswered(self, fire: Fire) -> None:
        """Nobody comes until every step was taken."""
        alert = self._ignite(fire, "error_rate")
        steps = {"key-primary": 1, "key-managers": 1, "key-secondary": 3}

        def all_of_them() -> bool:
            return Counter(one.body["routing_key"] for one in self.ground.pager.rang(fire.incident)) == Counter(steps)

        self._until("every step to be taken", all_of_them)
        self._clear(fire, alert)

    def _acknowledged(self, fire: Fire) -> None:
        """A person acknowledges in PagerDuty soon after the page, and later it is over."""
        alert = self._ignite(fire, "error_rate")
        time.sleep(fire.number % 7)
        self._acknowledge(fire)
        time.sleep(20)
        self._clear(fire, alert)

    def _repeated(self, fire: Fire) -> None:
        """Six more alerts of it, each of them sent twice; then a person acknowledges through the API."""
        alert = self._ignite(fire, "error_rate")
        for turn in range(6):
            event_id = uuid.uuid4().hex
            self._burn(fire, {**alert, "metric_value": 0.4 + turn / 100}, event_id)
            self._burn(fire, {**alert, "metric_value": 0.4 + turn / 100}, event_id)
            time.sleep(0.7)
        self._page(fire)
        path = f"/api/incidents/{fire.incident}/acknowledge"
        headers = {"Authorization": "Bearer r-token", "Content-Type": "application/json"}
        self._answer(fire, path, b'{"by": "Alice"}', headers)
        time.sleep(5)
        self._clear(fire, alert)

    def _cleared(self, fire: Fire) -> None:
        """Over before anybody came."""
        alert = self._ignite(fire, "error_rate")
        self._page(fire)
        self._clear(fire, alert)

    def _posted(self, fire: Fire) -> None:
        alert = self._ignite(fire, "answer_relevance")
        time.sleep(3)
        self._clear(fire, alert)

    def _regulated(self, fire: Fire) -> None:
        """Cleared, and open until a person with the role closes it."""
        alert = self._ignite(fire, "bias", model="underwriting")
        self._say_cleared(fire, alert)
        self._until("it to wait for a person", lambda: self._view(fire).get("state") == "awaiting_human")
        body = {"by": "Carl", "note": "looked into it"}
        self._until("compliance to close it", lambda: self._close(fire, body))
        self._until("it to be closed", lambda: self._view(fire).get("state") == "closed")

    # ── What they do ────────────────────────────────────────────────────────────────────────────────────

    def _ignite(self, fire: Fire, metric: str, **changes: Any) -> dict[str, Any]:
        alert = alert_body(metric, 0.31, f"chaos-{fire.number}", **changes)
        self._burn(fire, alert, uuid.uuid4().hex)
        return alert

    def _burn(self, fire: Fire, alert: Mapping[str, Any], event_id: str) -> None:
        self._send(fire, alert, event_id)
        if event_id not in fire.event_ids:
            fire.event_ids.append(event_id)

    def _send(self, fire: Fire, alert: Mapping[str, Any], event_id: str) -> str:
        """As Arize does: the same delivery again until somebody says 202. Gives the state that it then says."""
        body = json.dumps(alert).encode()

        def taken() -> str:
            answer = self._post("/webhooks/arize", body, signed(body, ARIZE_SECRET, event_id))
            if answer is None or answer.status_code in {429, 503}:
                return ""
            if answer.status_code != 202:
                self.refused.append(f"{answer.status_code} {answer.text[:200]}")
                return ""
            said = answer.json()
            fire.incident = said["incident"]
            fire.states[said["state"]] += 1
            return said["state"]

        state = self._until("the gateway to take an alert", taken, 0.5)
        self.ground.answered()
        return state

    def _page(self, fire: Fire) -> str:
        """The key of the first page, once somebody was woken by it."""
        return self._until("a page", lambda: self.ground.pager.rang(fire.incident))[0].body["dedup_key"]

    def _acknowledge(self, fire: Fire) -> None:
        callback = PagerDuty.callback("incident.acknowledged", self._page(fire))
        self._answer(fire, "/webhooks/pagerduty", *PagerDuty.sign(callback, PAGERDUTY_SECRET))

    def _answer(self, fire: Fire, path: str, content: bytes, headers: Mapping[str, str]) -> None:
        def taken() -> bool:
            answer = self._post(path, content, headers)
            if answer is None or not answer.is_success:
                return False
            fire.acknowledgement_spooled = answer.status_code == 202 and answer.json()["state"] == "spooled"
            return True

        self._until("the gateway to take an acknowledgement", taken, 0.5)
        fire.acknowledged_at = time.time()

    def _say_cleared(self, fire: Fire, alert: Mapping[str, Any]) -> None:
        state = self._send(fire, {**alert, "status": "CLEARED", "metric_value": 0.01}, uuid.uuid4().hex)
        fire.cleared_at, fire.clear_spooled = time.time(), state == "spooled"

    def _clear(self, fire: Fire, alert: Mapping[str, Any]) -> None:
        self._say_cleared(fire, alert)
        self._until("it to be closed", lambda: self._view(fire).get("state") == "closed", 2.0)

    def _close(self, fire: Fire, body: Mapping[str, str]) -> bool:
        try:
            answer = self.ground.tocsin.call("POST", f"/{fire.incident}/resolve", "c-token", json=body)
        except httpx.HTTPError:
            return False
        # It may have been carried out although the answer was lost.
        return answer.is_success or self._view(fire).get("resolved_by") == "Carl"

    def _view(self, fire: Fire) -> Mapping[str, Any]:
        try:
            answer = self.ground.tocsin.call("GET", f"/{fire.incident}")
        except httpx.HTTPError:
            return {}
        if answer.status_code == 200 and not answer.json()["partial"]:
            fire.view = answer.json()
        return fire.view

    def _post(self, path: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response | None:
        try:
            return self.ground.tocsin.http.post(f"{self.ground.tocsin.url}{path}", content=content, headers=headers)
        except httpx.HTTPError:
            return None

    @staticmethod
    def _until(what: str, wanted: Callable[[], Any], every: float = 1.0) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            if found := wanted():
                return found
            if time.monotonic() > end:
                raise NotSoError(f"waited {PATIENCE:g} s in vain for {what}")
            time.sleep(every)
