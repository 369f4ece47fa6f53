"""Notifies people of problems of Tocsin itself, directly through the destinations: without Temporal and its workers."""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import structlog
from pydantic import BaseModel, ValidationError

from gateway.health_monitor import HealthCheck
from incident.audit_events import AuditBatch
from incident.message import TRIGGERED, Fact, MessageContent
from incident.notification import Notification
from incident.receipt import Receipt, Verb
from integrations.base.destination import Destination
from integrations.base.errors import IntegrationError, normalize
from policy import Target, Tier

TIMEOUT = 20.0  # seconds for one destination
MAX_RECOVERY_DELAY = 60.0  # seconds without the problem, after which "recovered" is sent
STATE_FILE = "watchdog.json"
"""In the state folder: who was notified of which problem, so that a restarted watchdog notifies nobody twice."""


class Runbook(NamedTuple):
    """What a problem means: a title, what to do first, and how loud it is."""

    title: str
    meaning: str
    tier: Tier = "critical"


RUNBOOK: Mapping[str, Runbook] = {
    "temporal": Runbook(
        "Temporal is unavailable",
        "No incident notifies anyone until it is back; alerts are spooled. Check Temporal, then TEMPORAL_ADDRESS.",
    ),
    "workers": Runbook("no worker is running", "Alerts are accepted, and nobody is notified. Start a worker."),
    "workflow_tasks": Runbook(
        "incidents are stuck",
        'These incidents notify nobody until they are fixed: docs/upgrades.md, "Fix an incident that is stuck".',
    ),
    "activities": Runbook(
        "notifications are not delivered",
        "They are retried, and the fallback, if any, was notified. Check the vendor's status and key.",
    ),
    "records": Runbook(
        "audit events and digests wait",
        "People are notified. The records are kept in Temporal until the database of TOCSIN_DATABASE_URL is back, or a "
        "digest's destination.",
        "high",
    ),
    "schedules": Runbook(
        "a schedule has stopped",
        "Digests are not sent, or Arize is not polled. Open the schedule in the Temporal UI.",
        "high",
    ),
    "gateway": Runbook(
        "the gateway accepts no alerts",
        "Alerts are lost if Arize stops retrying before the gateway is back. Start the gateway, or check its disk.",
    ),
    "spool": Runbook(
        "alerts are spooled",
        "They are not lost, and nobody is notified of them yet. Check Temporal.",
    ),
    "stuck": Runbook(
        "spooled alerts are stuck",
        'Temporal is available, and takes all others. docs/operations.md, "Spooled items that are stuck".',
    ),
    "dedup_store": Runbook(
        "the database is unavailable",
        "People are notified. Audit events, digests, the quarantine and the dedup store wait for the database. "
        "Check TOCSIN_DATABASE_URL.",
        "high",
    ),
    "arize": Runbook(
        "Arize's API does not answer",
        "People are notified; alerts of unknown monitors are decided in doubt. Check Arize's status, then its API key.",
        "high",
    ),
    "policy": Runbook("a policy change is rejected", "Fix the policy: `tocsin policy check` shows the errors.", "high"),
    "conditions": Runbook(
        "a condition cannot be evaluated",
        "Its alerts are decided in doubt, louder than they may deserve. Change the condition that the text names.",
        "high",
    ),
    "drill": Runbook(
        "a fire drill failed",
        "Real alerts may fail in the same way. Follow the drill from the gateway to its destination.",
    ),
}
"""By the name of a check. High is what delays no page."""

_log = structlog.get_logger()


MAX_DOUBLINGS = 5
"""Of the pause before another problem of the same check is notified: 31 times ``after`` at most."""
_FIRST = re.compile(r"[^\s:]+")
_FAILURE = re.compile(r"(?P<activity>\w+) has failed \d+ times(?:: (?P<reason>[^:{(<\[\"']*))?")
_LONG_NUMBER = re.compile(r"\d{4,}")


def subject_of(check: str, sentence: str) -> str:
    """What a sentence is about, where a check finds several: who was notified of one does not know of the next.

    The incident or the queue that is stuck, the schedule; of activities that fail, the activity and the beginning of
    the reason. What a vendor wrote after that may differ from attempt to attempt.
    """
    match check:
        case "activities" | "records":
            found = _FAILURE.search(sentence)
            return f"{found['activity']} {_LONG_NUMBER.sub('', found['reason'] or '').strip()}" if found else ""
        case "workflow_tasks" | "stuck" | "schedules":
            first = _FIRST.match(sentence)
            return first[0] if first and (": " in sentence or check == "schedules") else ""
        case _:
            return ""


class ActiveProblem(BaseModel):
    """A problem that exists, or that has just disappeared.

    ``since`` and ``gone_since`` are Unix seconds; ``receipts`` are by the destination that was notified; ``subjects``
    are what it is about, and when each was last seen.
    """

    check: str
    number: int = 0
    """Distinguishes those of one check."""
    text: str = ""
    subjects: dict[str, float] = {}
    since: float
    gone_since: float = 0.0
    receipts: dict[str, Receipt] = {}
    attempts: dict[str, int] = {}

    @property
    def key(self) -> str:
        """The dedup key for vendors."""
        return f"tocsin-watchdog-{self.check}-{int(self.since)}" + (f"-{self.number}" if self.number else "")

    def see(self, sentences: Sequence[str], now: float) -> bool:
        """Note what a round found of it; whether it still exists."""
        found = [one for one in sentences if subject_of(self.check, one) in self.subjects]
        for sentence in found:
            self.subjects[subject_of(self.check, sentence)] = now
        if found:
            self.text, self.gone_since = str(HealthCheck(tuple(found))), 0.0
            recent = now - MAX_RECOVERY_DELAY
            self.subjects = {name: seen for name, seen in self.subjects.items() if seen >= recent}
        return bool(found)


class _State(BaseModel):
    problems: dict[str, ActiveProblem] = {}
    last_drill_at: float = 0.0


class WatchdogNotifier:
    """Tracks problems; notifies people once when one has lasted, and once when it has disappeared."""

    def __init__(
        self, state_dir: Path, destinations: Mapping[str, Destination], clock: Callable[[], float] = time.time
    ) -> None:
        """``clock`` is in Unix seconds."""
        self._file, self._clock = state_dir / STATE_FILE, clock
        self._destinations = destinations
        self._state = self._read()

    @property
    def problems(self) -> Collection[ActiveProblem]:
        """Those that exist, or have just disappeared."""
        return self._state.problems.values()

    @property
    def last_drill_at(self) -> float:
        """When the last fire drill started, in Unix seconds."""
        return self._state.last_drill_at

    @last_drill_at.setter
    def last_drill_at(self, at: float) -> None:
        self._state.last_drill_at = at
        self._write()

    async def update(
        self, found: Mapping[str, Sequence[str]], notify: Sequence[Target], after: float, unknown: Collection[str] = ()
    ) -> bool:
        """Process the result of one round of checks.

        Args:
            found: the problems that exist now: sentences, by the name of the check.
            notify: the destinations to notify.
            after: for how many seconds a problem must last before anyone is notified.
            unknown: the checks that could not be made: their problems may still exist.

        Returns:
            Whether somebody has been notified of each problem that has lasted.
        """
        now = self._clock()
        problems = self._state.problems
        for check, sentences in found.items():
            self._assign(check, sentences, now, after)
        all_notified = True
        for name, problem in list(problems.items()):
            if problem.see(found.get(problem.check, ()), now):
                if now - problem.since >= after:
                    all_notified &= await self._notify(problem, "notify", notify)
                continue
            if problem.check in unknown:
                all_notified &= bool(problem.receipts) or now - problem.since < after
                continue
            problem.gone_since = problem.gone_since or now
            if not problem.receipts:
                del problems[name]  # it disappeared before anyone was notified
            elif now - problem.gone_since >= min(after, MAX_RECOVERY_DELAY):
                await self._notify(problem, "resolve", notify)
                del problems[name]
        self._write()
        return all_notified

    def _assign(self, check: str, sentences: Sequence[str], now: float, after: float) -> None:
        """Give each new subject to a problem that nobody was notified of yet, or to a new one.

        If everything fails, new subjects appear all the time. The more problems of a check there are, the longer those
        that come next are gathered.
        """
        problems = self._state.problems
        own = [one for one in problems.values() if one.check == check]
        for subject in dict.fromkeys(subject_of(check, one) for one in sentences):
            if any(subject in one.subjects for one in own):
                continue
            target = next((one for one in own if not one.receipts or not one.subjects), None)
            if target is None:
                pause = after * (2 ** min(len(own) - 1, MAX_DOUBLINGS) - 1) if own else 0.0
                if own and now - max(one.since for one in own) < pause:
                    continue  # its turn comes
                number = max((one.number + 1 for one in own), default=0)
                target = ActiveProblem(check=check, number=number, since=now)
                problems[f"{check}-{number}" if number else check] = target
                own.append(target)
            target.subjects[subject] = now

    async def _notify(self, problem: ActiveProblem, verb: Verb, notify: Sequence[Target]) -> bool:
        """Notify all destinations at once; whether one of them accepted. The next round retries those that did not."""
        waiting = [one for one in notify if (one.name in problem.receipts) != (verb == "notify")]
        receipts = await asyncio.gather(*(self._send(problem, verb, target) for target in waiting))
        for target, receipt in zip(waiting, receipts, strict=True):
            if verb == "notify" and receipt is not None:
                problem.receipts[target.name] = receipt
        return bool(problem.receipts)

    async def _send(self, problem: ActiveProblem, verb: Verb, target: Target) -> Receipt | None:
        attempt = problem.attempts[target.name] = problem.attempts.get(target.name, 0) + 1
        log = _log.bind(destination=target.name, check=problem.check, verb=verb)
        try:
            destination = self._destinations[target.name]
            async with asyncio.timeout(TIMEOUT):
                receipt = await normalize(destination, destination.deliver(_message(problem, verb, target), attempt))
        except (IntegrationError, TimeoutError, KeyError) as error:
            reason = error.message if isinstance(error, IntegrationError) else type(error).__name__
            log.error("watchdog_notification_failed", error=reason)
            return None
        log.warning("watchdog_notification_sent", text=problem.text)
        return receipt

    def _read(self) -> _State:
        try:
            return _State.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return _State()

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        try:
            part.write_text(self._state.model_dump_json(), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            _log.error("watchdog_state_not_saved", file=str(self._file), error=str(error))


def _message(problem: ActiveProblem, verb: Verb, target: Target) -> Notification:
    recovered = verb == "resolve"
    title, meaning, tier = RUNBOOK[problem.check]
    since = datetime.fromtimestamp(problem.since, UTC)
    return Notification(
        key=f"{problem.key}:{verb}-{target.name}",
        dedup_key=problem.key,
        verb=verb,
        target=target,
        content=MessageContent(
            headline=f"{'RECOVERED' if recovered else tier.upper()} Tocsin itself: {title}",
            state="Resolved" if recovered else TRIGGERED,
            tier=tier,
            incident=problem.key,
            component=problem.check,
            since=since,
            facts=(
                Fact(label="Since", value=f"{since:%Y-%m-%d %H:%M:%S} UTC"),
                Fact(label="Seen", value=problem.text),
            ),
        ),
        note="The problem has disappeared." if recovered else meaning,
        original_receipt=problem.receipts.get(target.name),
        audit=AuditBatch(incident=problem.key, first_run_id=problem.key),
    )
