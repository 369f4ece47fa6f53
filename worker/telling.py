"""Tells people that Tocsin itself is not well: straight through the destinations, without Temporal and its workers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import BaseModel, ValidationError
from temporalio.exceptions import ApplicationError

from activities.contracts import TRIGGERED, Brief, Delivery, Entries, Fact, Receipt, Verb
from activities.destinations import Destination
from activities.sorting import sorted_failures
from policy import Target

WITHIN = 20.0  # seconds for one destination
KEPT = "watchdog.json"
"""In the state folder: who was told of what, so that a watchdog that starts anew tells nobody twice."""

MEANING: Mapping[str, tuple[str, str]] = {
    "temporal": (
        "Temporal is away",
        "Until it is back nobody is paged. What comes waits in the spool. Look at it, then at TEMPORAL_ADDRESS.",
    ),
    "workers": ("no worker works", "Alerts are taken, and nobody is paged for them. Start a worker."),
    "workflow_tasks": (
        "incidents are stuck",
        'These page nobody until it is mended. docs/upgrades.md, "When it went wrong all the same", says how.',
    ),
    "activities": (
        "something is not delivered",
        "It is tried on, and the fallback was told where there is one. Look at the vendor, and at its key.",
    ),
    "schedules": (
        "a schedule has stopped",
        "Digests are not sent, or Arize is not asked. See its page in the Temporal UI.",
    ),
    "gateway": (
        "no alert is taken",
        "What Arize sends is lost if it gives up before the gateway is back. Start the gateway, or look at its disk.",
    ),
    "spool": ("alerts wait for Temporal", "They are not lost, and nobody is paged for them yet. Look at Temporal."),
    "deliveries": (
        "the memory of deliveries is away",
        "Fires are paged without it, and it learns later what came meanwhile. Look at TOCSIN_DATABASE_URL.",
    ),
    "policy": ("a change of the policy is refused", "Mend it: `tocsin policy check` says what is wrong."),
    "drill": (
        "a fire drill did not come through",
        "Nor may a real alert. Follow it from the gateway to its destination.",
    ),
}
"""By what is troubled: what that is called, what it means for whoever relies on it, and what to do first."""

_log = structlog.get_logger()


class Trouble(BaseModel):
    """Something that is not well, since when (Unix seconds), and the receipts of those who were told."""

    what: str
    text: str
    since: float
    well_since: float = 0.0
    receipts: dict[str, Receipt] = {}
    attempts: dict[str, int] = {}

    @property
    def key(self) -> str:
        return f"tocsin-watchdog-{self.what}-{int(self.since)}"


class _Kept(BaseModel):
    troubles: dict[str, Trouble] = {}
    drilled_at: float = 0.0


class Teller:
    """Remembers what is wrong; tells those who have to hear of it once, and once more when it is well again."""

    def __init__(self, state_dir: Path, destinations: Mapping[str, Destination]) -> None:
        self._file = state_dir / KEPT
        self._destinations = destinations
        self._kept = self._read()

    @property
    def drilled_at(self) -> float:
        """When the last fire drill began, in Unix seconds."""
        return self._kept.drilled_at

    @drilled_at.setter
    def drilled_at(self, at: float) -> None:
        self._kept.drilled_at = at
        self._write()

    async def take(self, wrong: Mapping[str, str], notify: Sequence[Target], after: float) -> bool:
        """What is wrong now, by name, in words. True where somebody was told of each thing that has to be known.

        ``after`` is for how many seconds it must be wrong, and then well, before anybody hears of it.
        """
        now = time.time()
        troubles = self._kept.troubles
        for what, text in wrong.items():
            there = troubles.setdefault(what, Trouble(what=what, text=text, since=now))
            there.text, there.well_since = text, 0.0
        everybody = True
        for what, trouble in list(troubles.items()):
            if what in wrong:
                if now - trouble.since >= after:
                    everybody &= await self._tell(trouble, "notify", notify)
                continue
            trouble.well_since = trouble.well_since or now
            if not trouble.receipts:
                del troubles[what]  # it passed before anybody had to hear of it
            elif now - trouble.well_since >= min(after, 60.0):
                await self._tell(trouble, "resolve", notify)
                del troubles[what]
        self._write()
        return everybody

    async def _tell(self, trouble: Trouble, verb: Verb, notify: Sequence[Target]) -> bool:
        """Tell all of them at once; True where one took it. One that does not is tried again at the next look."""
        waiting = [one for one in notify if (one.name in trouble.receipts) != (verb == "notify")]
        told = await asyncio.gather(*(self._tell_one(trouble, verb, one) for one in waiting))
        for target, receipt in zip(waiting, told, strict=True):
            if verb == "notify" and receipt is not None:
                trouble.receipts[target.name] = receipt
        return bool(trouble.receipts)

    async def _tell_one(self, trouble: Trouble, verb: Verb, target: Target) -> Receipt | None:
        attempt = trouble.attempts[target.name] = trouble.attempts.get(target.name, 0) + 1
        well = verb == "resolve"
        title, meaning = MEANING[trouble.what]
        delivery = Delivery(
            key=f"{trouble.key}:{verb}-{target.name}",
            thread=trouble.key,
            verb=verb,
            target=target,
            brief=Brief(
                headline=f"{'WELL AGAIN' if well else 'CRITICAL'} Tocsin itself: {title}",
                state="Resolved" if well else TRIGGERED,
                tier="critical",
                incident=trouble.key,
                component=trouble.what,
                since=datetime.fromtimestamp(trouble.since, UTC),
                facts=(
                    Fact(label="Since", value=f"{datetime.fromtimestamp(trouble.since, UTC):%Y-%m-%d %H:%M:%S} UTC"),
                    Fact(label="Seen", value=trouble.text),
                ),
            ),
            note="It is well again." if well else meaning,
            first=trouble.receipts.get(target.name),
            record=Entries(incident=trouble.key, opening=trouble.key),
        )
        try:
            destination = self._destinations[target.name]
            async with asyncio.timeout(WITHIN):
                receipt = await sorted_failures(destination, destination.deliver(delivery, attempt))
        except (ApplicationError, TimeoutError, KeyError) as error:
            said = error.message if isinstance(error, ApplicationError) else type(error).__name__
            _log.error("watchdog could not tell", destination=target.name, what=trouble.what, error=said)
            return None
        _log.warning("watchdog told", destination=target.name, what=trouble.what, verb=verb, text=trouble.text)
        return receipt

    def _read(self) -> _Kept:
        try:
            return _Kept.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return _Kept()

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        try:
            part.write_text(self._kept.model_dump_json(), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            _log.error("watchdog cannot note what it told", file=str(self._file), error=str(error))
