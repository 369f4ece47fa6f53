"""``tocsin watchdog``: looks after everything else, and tells people by a way of its own.

It needs neither Temporal nor a worker nor a gateway to page somebody; for its own death there is the heartbeat, which
stops.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import structlog

from activities.destinations import OpenDestinations
from gateway.vitals import EVERY, Vitals
from policy import Policy, Watchdog
from policy.watchdog import Drill
from worker.cli_client import gateway_url
from worker.errors import StartError
from worker.first_start import local_token
from worker.logs import keep_out
from worker.policy_in_force import PolicyInForce
from worker.settings import Settings
from worker.telling import Teller
from worker.temporal import connect, make_runtime

OLDEST_SPOOLED = 120.0  # seconds that something may lie in a gateway's spool
TIMEOUT = 10.0  # seconds for a gateway, or for whoever listens to the heartbeat

_log = structlog.get_logger()


async def run_watchdog(settings: Settings) -> None:
    """Raises PolicyError where the policy is not usable, StartError where it has no watchdog or a secret is missing."""
    destinations = OpenDestinations(settings.environment, settings.public_url)

    def accept(policy: Policy) -> None:
        destinations.take(policy)
        keep_out(destinations.secrets())

    try:
        in_force = PolicyInForce(settings, accept=accept)
    except LookupError as error:
        raise StartError(str(error.args[0])) from None
    if in_force.policy.watchdog is None:
        raise StartError(f"{settings.policy} has no watchdog: it says whom to tell; see docs/operations.md")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, in_force.hang_up)
    client = await connect(settings, lazy=True, runtime=make_runtime())
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as http:
        watch = Watch(settings, Vitals(client, settings.task_queue), Teller(settings.state_dir, destinations), http)
        beside = [
            asyncio.create_task(in_force.watch()),
            asyncio.create_task(watch.run(lambda: in_force.current().watchdog)),
        ]
        _log.info("watchdog runs")
        await stop.wait()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    await destinations.close()


class Watch:
    """Looks, drills, tells, and shows that it lives."""

    def __init__(self, settings: Settings, vitals: Vitals, teller: Teller, http: httpx.AsyncClient) -> None:
        self._settings, self._vitals, self._teller, self._http = settings, vitals, teller, http
        self._beat_at = 0.0
        self._drilling: asyncio.Task[None] | None = None
        self._drill_trouble = ""

    async def run(self, current: Callable[[], Watchdog | None]) -> None:
        every = max(EVERY / self._settings.speed, 1.0)
        while True:
            watchdog = current()
            if watchdog is not None:
                try:
                    await self.round(watchdog)
                except Exception:  # noqa: BLE001  # it must outlive whatever happens; the heartbeat has stopped then
                    _log.exception("watchdog could not look")
            await asyncio.sleep(every)

    async def round(self, watchdog: Watchdog) -> None:
        """One look at everything. The heart beats where nothing is wrong, or whoever has to know of it was told."""
        seen = {name: str(vital) for name, vital in (await self._vitals.look()).items() if vital.troubles}
        wrong = {**seen, **await self._gateway()}
        if watchdog.drill is not None:
            self._drill(watchdog.drill)
            if self._drill_trouble:
                wrong["drill"] = self._drill_trouble
        if await self._teller.take(wrong, watchdog.notify, watchdog.after):
            await self._beat(watchdog)

    async def _gateway(self) -> Mapping[str, str]:
        try:
            said = (await self._http.get(f"{gateway_url(self._settings)}/readyz")).json()
        except (httpx.HTTPError, ValueError) as error:
            return {"gateway": f"the gateway does not answer: {type(error).__name__}"}
        troubles: dict[str, str] = {}
        if not said.get("ready"):
            troubles["gateway"] = (
                f"the gateway takes no alerts: spool {said.get('spool')}, Temporal {said.get('temporal')}"
            )
        spooled: dict[str, Any] = said.get("spooled") or {}
        if spooled.get("oldest_seconds", 0) > OLDEST_SPOOLED / self._settings.speed:
            text = "{items} alerts and answers wait for Temporal, the oldest for {oldest_seconds:.0f} s"
            troubles["spool"] = text.format(**spooled)
        if said.get("deliveries", "ok") != "ok":
            troubles["deliveries"] = f"the gateway's memory of deliveries is away: {said['deliveries']}"
        if "refused" in str(said.get("policy")):
            troubles["policy"] = f"the gateway decides by an older policy: {said['policy']}"
        return troubles

    async def _beat(self, watchdog: Watchdog) -> None:
        heartbeat = watchdog.heartbeat
        if heartbeat is None or time.time() - self._beat_at < heartbeat.every:
            return
        url = heartbeat.url.resolve(self._settings.environment)
        if url is None:
            _log.error("heartbeat has no address", setting=heartbeat.url.name)
            return
        try:
            (await self._http.get(url)).raise_for_status()
            self._beat_at = time.time()
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # its text may hold the address
            _log.error("heartbeat was not heard", error=type(error).__name__)

    # ── The drill ───────────────────────────────────────────────────────────────────────────────────────

    def _drill(self, drill: Drill) -> None:
        if self._drilling is not None and not self._drilling.done():
            return
        # One that failed is repeated soon: its trouble is over when a drill says so.
        if time.time() - self._teller.drilled_at >= (2 * drill.within if self._drill_trouble else drill.every):
            self._teller.drilled_at = time.time()
            self._drilling = asyncio.create_task(self._from_end_to_end(drill))

    async def _from_end_to_end(self, drill: Drill) -> None:
        """Sets the rule off at the gateway, and waits until its destination has given a receipt."""
        incident = ""
        try:
            incident = (await self._call("POST", "/api/drills", {"rule": drill.rule, "by": "watchdog"}))["incident"]
            async with asyncio.timeout(drill.within):
                while not (await self._call("GET", f"/api/incidents/{incident}"))["receipts"]:  # noqa: ASYNC110
                    await asyncio.sleep(min(1.0, drill.within / 10))
            await self._call(
                "POST", f"/api/incidents/{incident}/resolve", {"by": "watchdog", "note": "the drill is over"}
            )
        except TimeoutError:
            self._drill_trouble = f"a drill of {drill.rule} told nobody within {drill.within:g} s: {incident}"
        except (httpx.HTTPError, KeyError, ValueError) as error:
            said = error.response.text[:200] if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
            self._drill_trouble = f"a drill of {drill.rule} could not be carried out: {said}"
        else:
            self._drill_trouble = ""
            _log.info("drill came out at the other end", rule=drill.rule, incident=incident)

    async def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        environment = self._settings.environment
        token = environment.get("TOCSIN_TOKEN") or local_token(self._settings.state_dir)
        url = f"{gateway_url(self._settings)}{path}"
        answer = await self._http.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"})
        return answer.raise_for_status().json()
