"""Plays a stream, step by step, and compares what happened with the model. The worlds say how each step is done."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import httpx

from incident.events import ActionType, ResponderAction, Role
from tests.invariant.bodies import body_of, encode
from tests.invariant.model import STEP, TOLERANCE, Event, Problem
from tests.invariant.stream import Act, Again, Break, Deliver, Recover, Stream, Unreadable, Wait
from tests.signing import SIGNER, Signer

SECRET = "whsec_invariant"
SHAPES = (b"{", b"[1, 2]", b'{"detector": {"title": "x"}}')
Log = Callable[[str], None]
_ACTIONS: dict[str, tuple[ActionType, str, Role]] = {
    "acknowledge": ("acknowledge", "alice", "responder"),
    "unacknowledge": ("unacknowledge", "alice", "responder"),
    "take over": ("acknowledge", "bob", "responder"),
    "resolve": ("resolve", "carol", "compliance"),
    "resolve without role": ("resolve", "alice", "responder"),
}
POLICY = """
version: 1
destinations:
  primary:    {{type: pagerduty, base_url: "{pagerduty}", routing_key: {{env: PRIMARY}}}}
  secondary:  {{type: pagerduty, base_url: "{pagerduty}", routing_key: {{env: SECONDARY}}}}
  ops:        {{type: slack, base_url: "{slack}", token: {{env: SLACK}}, channel: "#ai-ops-alerts"}}
  compliance: {{type: jira, base_url: "{jira}", user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, project: GOV}}
tiers:
  critical: {{steps: [{{notify: [primary]}}, {{after: 15m, notify: [secondary]}}]}}
  high: {{steps: [{{notify: [ops]}}]}}
  low: {{digest: [ops]}}
rules:
  - {{name: errors, when: 'alert.metric == "error_rate"', tier: critical}}
  - {{name: quality, when: 'alert.metric == "answer_relevance"', tier: high}}
otherwise: {{tier: high}}
governance: {{regulated: '"obligation" in alert.tags', ticket: compliance, closed_by: compliance}}
"""


@dataclass
class Sent:
    """A delivery that was answered with 202."""

    monitor: int
    status: str
    body: bytes
    header_id: str
    event: Event


@dataclass
class Play:
    """One stream being played. ``faults`` are the violations found, in words."""

    stream: Stream
    problems: list[Problem]
    prefix: str
    incidents: dict[int, str] = field(default_factory=dict[int, str])
    sent: list[Sent] = field(default_factory=list[Sent])
    faults: list[str] = field(default_factory=list[str])
    quarantined: set[str] = field(default_factory=set[str])
    last_stated: dict[int, datetime] = field(default_factory=dict[int, datetime])
    broken: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Player(ABC):
    """``speed`` divides all durations; the model counts in the durations before that."""

    http: httpx.AsyncClient
    signer: Signer = SIGNER
    prefix = "stream"
    """In every name and id of a stream: no other stream in the same namespace of Temporal has the same."""

    def __init__(self, log: Log, speed: float = 1.0, tolerance: timedelta = TOLERANCE) -> None:
        self._log, self.speed, self._tolerance = log, speed, tolerance

    # ── What a world does ───────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def now(self) -> datetime:
        """By the gateway's clock."""

    @abstractmethod
    async def break_down(self, what: str) -> None:
        """Temporal becomes unavailable to the gateway, or the workers stop."""

    @abstractmethod
    async def recover(self, play: Play) -> None:
        """Everything runs again, and the spool is empty; a fault if it stays full."""

    @abstractmethod
    async def act(self, incident: str, action: ResponderAction) -> bool:
        """A responder's action reaches the gateway. False if the incident is closed."""

    @abstractmethod
    async def is_open(self, incident: str) -> bool:
        """Whether the incident is open."""

    @abstractmethod
    def notified(self, incident: str) -> Counter[str]:
        """How many notifications about the incident made a sound, by destination."""

    @abstractmethod
    async def judge(self, play: Play) -> None:
        """Add the faults that there are once everything that happened has been processed."""

    # ── Playing ─────────────────────────────────────────────────────────────────────────────────────────

    async def play(self, stream: Stream) -> list[str]:
        """Play a stream to its end, and return the violations up to the first step that has any."""
        play = Play(stream, [Problem(one, self._tolerance) for one in stream.monitors], self.prefix)
        for step in (*stream.steps, Recover(), Wait(16)):
            await self._step(play, step)
            self._log(f"{self._model_time(self.now()):%H:%M} {step}: {await self._summary(play)}")
            if play.faults:
                break
        if play.broken:
            await self.recover(play)
        return play.faults

    async def pass_time(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds() / self.speed)

    def _model_time(self, at: datetime) -> datetime:
        """In which the policy's fifteen minutes are fifteen minutes."""
        epoch = datetime.fromtimestamp(0, at.tzinfo)
        return datetime(2026, 1, 1, tzinfo=at.tzinfo) + (at - epoch) * self.speed % timedelta(days=300)

    async def _summary(self, play: Play) -> str:
        """What there is to see of each incident: for people who read a stream step by step."""
        parts: list[str] = []
        for number, incident in sorted(play.incidents.items()):
            counts = " ".join(f"{name}={count}" for name, count in self.notified(incident).items())
            parts.append(f"{number} {'open' if await self.is_open(incident) else 'closed'} {counts}")
        return " | ".join(parts)

    async def _step(self, play: Play, step: object) -> None:
        match step:
            case Deliver():
                await self._deliver(play, step)
            case Again(back):
                if len(play.sent) >= back:
                    one = play.sent[-back]
                    event = replace(one.event, arrived=self._model_time(self.now()))
                    await self._post(play, replace(one, event=event))
            case Act():
                await self._act(play, step)
            case Wait(minutes):
                # What is due while something is broken may be late, and the model does not say by how much.
                await self.pass_time(timedelta(minutes=min(minutes, 1) if play.broken else minutes))
            case Break(what):
                play.broken = True
                await self.break_down(what)
            case Unreadable(shape):
                await self._send_unreadable(play, shape)
            case _:
                if play.broken:
                    await self.recover(play)
                    play.broken = False
        await self.pass_time(STEP)
        if not play.broken:
            await self.judge(play)

    async def differences(self, play: Play) -> list[str]:
        """Where what happened differs from what must follow."""
        now, found = self._model_time(self.now()), list[str]()
        for number, problem in enumerate(play.problems):
            problem.settle(now)
            incident = play.incidents.get(number, "")
            is_open = bool(incident) and await self.is_open(incident)
            found += [f"monitor {number}: {one}" for one in problem.faults(self.notified(incident), is_open, now)]
        unnoticed = [one for one in play.quarantined if not self.notified(one)]
        return found + [f"nobody was notified of the unreadable delivery in {one}" for one in unnoticed]

    # ── Deliveries and actions ──────────────────────────────────────────────────────────────────────────

    async def _deliver(self, play: Play, step: Deliver) -> None:
        monitor, now = play.stream.monitors[step.monitor], self.now()
        stated = now - timedelta(minutes=step.late, seconds=1) / self.speed
        if step.equal:
            stated = play.last_stated.get(step.monitor, stated)
        play.last_stated[step.monitor] = stated
        deliveries: list[Sent] = []
        for _ in range(step.count):
            number = next(play.numbers)
            event_id, value = _event_id(play, step, number), 0.3 if monitor.steady else 0.3 + number / 1000
            in_body = event_id if number % 2 else ""
            body = body_of(monitor, play.prefix, step, stated=stated, value=value, event_id=in_body)
            known = self._model_time(stated) if monitor.clock in {"stated", "local"} else None
            event = Event(step.status, self._model_time(now), known, event_id, value)
            deliveries.append(Sent(step.monitor, step.status, encode(body), "" if in_body else event_id, event))
        await asyncio.gather(*(self._post(play, one) for one in deliveries))

    async def _post(self, play: Play, one: Sent) -> None:
        headers = self._signed(one.body, one.header_id)
        answer = await self.http.post("/webhooks/arize", content=one.body, headers=headers)
        if answer.status_code != 202:
            play.faults.append(f"a delivery was answered {answer.status_code}: {answer.text[:200]}")
            return
        play.sent.append(one)
        play.problems[one.monitor].add(one.event)
        incident = answer.json()["incident"]
        known = play.incidents.setdefault(one.monitor, incident)
        if known != incident:
            play.faults.append(f"monitor {one.monitor} is split into {known} and {incident}")
        for other, its_own in play.incidents.items():
            if other != one.monitor and its_own == incident:
                play.faults.append(f"monitors {other} and {one.monitor} share {incident}")

    def _signed(self, body: bytes, event_id: str = "") -> dict[str, str]:
        """The headers of a delivery; without an id if there is none."""
        headers = self.signer.signed(body, SECRET, event_id)
        if event_id:
            return headers
        return {name: value for name, value in headers.items() if "webhook-id" not in name.casefold()}

    async def _send_unreadable(self, play: Play, shape: int) -> None:
        body = SHAPES[shape]
        answer = await self.http.post("/webhooks/arize", content=body, headers=self._signed(body))
        if answer.status_code != 202 or answer.json()["state"] != "quarantined":
            play.faults.append(f"an unreadable delivery was answered {answer.status_code}: {answer.text[:200]}")
            return
        play.quarantined.add(answer.json()["incident"])

    async def _act(self, play: Play, act: Act) -> None:
        incident = play.incidents.get(act.monitor)
        if not incident or not (play.broken or await self.is_open(incident)):
            return
        kind, by, role = _ACTIONS[act.action]
        action = ResponderAction(type=kind, by=by, role=role, id=f"{play.prefix}-{next(play.numbers)}")
        if await self.act(incident, action):
            play.problems[act.monitor].add(act)


def _event_id(play: Play, step: Deliver, number: int) -> str:
    match play.stream.monitors[step.monitor].ids:
        case "none":
            return ""
        case "own":
            return f"{play.prefix}-{step.monitor}-{number}"
        case "episode":
            return f"{play.prefix}-{step.monitor}-episode" if step.status == "TRIGGERED" else ""
        case "long":  # they differ in the last of 206 characters
            return f"{play.prefix}-".ljust(201, "e") + f"{number:05d}"
        case "shared":  # by monitors and statuses; an event of one monitor and status has an id of its own
            count = sum(one.monitor == step.monitor and one.status == step.status for one in play.sent)
            return f"{play.prefix}-shared-{count + number * (step.count > 1)}"
