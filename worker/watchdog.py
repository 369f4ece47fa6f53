"""``tocsin watchdog``: monitors all other processes and notifies people directly, without Temporal or the gateway.

Nothing monitors the watchdog but its heartbeat: a service outside that alerts when the heartbeat stops.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import structlog

from gateway.health_monitor import CHECK_INTERVAL, CHECKS, HealthMonitor
from incident.text import counted
from integrations.base.open_destinations import OpenDestinations
from policy import Policy, Watchdog
from policy.watchdog import Drill
from worker.bootstrap import api_token, gateway_url
from worker.errors import StartError
from worker.logs import redact
from worker.policy_watcher import PolicyWatcher
from worker.settings import Settings
from worker.signals import reload_on_hangup, stop_on_signals
from worker.temporal import connect, make_runtime
from worker.this_machine import is_this_machine
from worker.watchdog_notifier import WatchdogNotifier

MAX_SPOOL_AGE = 120.0  # seconds that an item may wait in a gateway's spool
_NO_ANSWER = "the gateway does not answer"
_GATEWAY_CHECKS = frozenset({"spool", "stuck", "dedup_store", "arize", "policy", "conditions"})
"""Made through a gateway: while it does not answer, nobody knows whether their problems still exist."""
_TEMPORAL_CHECKS = frozenset(CHECKS) - {"temporal"} | {"stuck"}
"""Likewise of Temporal. What a gateway cannot deliver waits for Temporal then."""
TIMEOUT = 10.0  # seconds for a request to a gateway or to the heartbeat's URL

_log = structlog.get_logger()


async def run_watchdog(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM.

    Raises:
        PolicyError: the policy is not valid.
        StartError: the policy has no watchdog, or a secret is missing.
    """
    destinations = OpenDestinations(settings.environment)

    def accept(policy: Policy) -> None:
        destinations.update(policy)
        redact(destinations.secrets())

    try:
        policies = PolicyWatcher(settings, accept=accept)
    except LookupError as error:
        raise StartError(str(error.args[0])) from None
    if policies.policy.watchdog is None:
        raise StartError(
            f"{settings.policy} has no watchdog section with the destinations to notify: see docs/operations.md"
        )
    stop = stop_on_signals()
    reload_on_hangup(policies.request_reload)
    client = await connect(settings, lazy=True, runtime=make_runtime())
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The heartbeat's service may be behind a proxy; the gateway on this machine is not.
    direct = is_this_machine(gateway_url(settings))
    async with (
        httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as outside,
        httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=not direct) as http,
    ):
        notifier = WatchdogNotifier(settings.state_dir, destinations)
        health = HealthMonitor(client, settings.task_queue)
        checks = WatchdogLoop(settings, health, notifier, http, outside=outside)
        tasks = [
            asyncio.create_task(policies.watch()),
            asyncio.create_task(checks.run(lambda: policies.current().watchdog)),
        ]
        _log.info("watchdog_started")
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await destinations.close()


class WatchdogLoop:
    """Checks everything, runs drills, notifies people of problems, and sends the heartbeat."""

    def __init__(
        self,
        settings: Settings,
        health: HealthMonitor,
        notifier: WatchdogNotifier,
        http: httpx.AsyncClient,
        *,
        outside: httpx.AsyncClient | None = None,
    ) -> None:
        """``http`` asks the gateway; ``outside`` sends the heartbeat, and is the same by default."""
        self._settings, self._health, self._notifier, self._http = settings, health, notifier, http
        self._outside = outside or http
        self._last_heartbeat_at = 0.0
        self._drill_task: asyncio.Task[None] | None = None
        self._drill_problem = ""

    async def run(self, current: Callable[[], Watchdog | None]) -> None:
        """Check until cancelled. ``current`` returns the watchdog section of the policy in force."""
        interval = max(CHECK_INTERVAL / self._settings.speed, 1.0)
        while True:
            watchdog = current()
            if watchdog is not None:
                try:
                    await self.check(watchdog)
                except Exception:  # noqa: BLE001  # the loop must continue; without a check there is no heartbeat
                    _log.exception("watchdog_check_failed")
            await asyncio.sleep(interval)

    async def check(self, watchdog: Watchdog) -> None:
        """Check everything once. The heartbeat is sent if there is no problem, or somebody was notified of each."""
        health = {name: check.problems for name, check in (await self._health.check()).items() if check.problems}
        gateway = await self._gateway_problems(temporal_available="temporal" not in health)
        problems: dict[str, Sequence[str]] = {**health, **gateway}
        unknown = _TEMPORAL_CHECKS if "temporal" in health else frozenset[str]()
        if any(one.startswith(_NO_ANSWER) for one in problems.get("gateway", ())):
            unknown |= _GATEWAY_CHECKS
        if watchdog.drill is not None:
            self._start_drill_if_due(watchdog.drill)
            if self._drill_problem:
                problems["drill"] = (self._drill_problem,)
        if await self._notifier.update(problems, watchdog.notify, watchdog.after, unknown):
            await self._send_heartbeat(watchdog)

    async def _gateway_problems(self, *, temporal_available: bool) -> dict[str, tuple[str, ...]]:
        url, token = f"{gateway_url(self._settings)}/readyz", api_token(self._settings)
        try:
            answer = await self._http.get(url, headers={"Authorization": f"Bearer {token}"} if token else {})
            if answer.status_code in {401, 403, 429} and token:
                _log.warning("watchdog_token_refused", status=answer.status_code, remedy="check TOCSIN_TOKEN")
                answer = await self._http.get(url)  # the same without the errors' texts
            ready = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            return {"gateway": (f"{_NO_ANSWER}: {type(error).__name__}",)}
        problems: dict[str, str] = {}
        if not ready.get("ready"):
            problems["gateway"] = (
                f"the gateway accepts no alerts: spool {ready.get('spool')}, Temporal {ready.get('temporal')}"
            )
        if ready.get("dedup_store", "ok") != "ok":
            problems["dedup_store"] = f"the gateway cannot use the database: {ready['dedup_store']}"
        if ready.get("arize", "ok") not in {"ok", "not used"}:
            problems["arize"] = f"workers cannot use Arize's API: {ready['arize']}"
        if "rejected" in str(ready.get("policy")):
            problems["policy"] = f"the gateway decides by an earlier policy: {ready['policy']}"
        if "cannot be evaluated" in str(ready.get("policy")):
            problems["conditions"] = f"alerts are decided in doubt: {ready['policy']}"
        spool = self._spool_problem(ready, temporal_available=temporal_available)
        return {**{check: (text,) for check, text in problems.items()}, **spool}

    def _spool_problem(self, ready: Mapping[str, Any], *, temporal_available: bool) -> dict[str, tuple[str, ...]]:
        """An old item waits for Temporal, or is stuck although Temporal is available: then the gateway names it."""
        spooled: Mapping[str, Any] = ready.get("spooled") or {}
        if spooled.get("oldest_seconds", 0) <= MAX_SPOOL_AGE / self._settings.speed:
            return {}
        items = counted(spooled.get("items", 0), "item is spooled", "items are spooled")
        text = f"{items} (alerts and responder actions), the oldest for {spooled['oldest_seconds']:.0f} s"
        stuck: Sequence[str] = ready.get("stuck") or ()
        if not stuck and not temporal_available:
            return {"spool": (text,)}
        return {"stuck": (text, *stuck) if stuck else (f"{text}, and the gateway is delivering them",)}

    async def _send_heartbeat(self, watchdog: Watchdog) -> None:
        heartbeat = watchdog.heartbeat
        if heartbeat is None or time.time() - self._last_heartbeat_at < heartbeat.every:
            return
        url = heartbeat.url.resolve(self._settings.environment)
        if url is None:
            _log.error("heartbeat_not_configured", missing=heartbeat.url.name)
            return
        try:
            (await self._outside.get(url)).raise_for_status()
            self._last_heartbeat_at = time.time()
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # the text of the error may hold the URL, a secret
            _log.error("heartbeat_failed", error=type(error).__name__)

    # ── Drills ──────────────────────────────────────────────────────────────────────────────────────────

    def _start_drill_if_due(self, drill: Drill) -> None:
        if self._drill_task is not None and not self._drill_task.done():
            return
        # A failed drill is repeated soon: only a drill that succeeds ends the problem.
        interval = 2 * drill.within if self._drill_problem else drill.every
        if time.time() - self._notifier.last_drill_at >= interval:
            self._notifier.last_drill_at = time.time()
            self._drill_task = asyncio.create_task(self._run_drill(drill))

    async def _run_drill(self, drill: Drill) -> None:
        """Start a drill of the rule, wait for the receipt of its destination, and resolve the incident."""
        incident = ""
        try:
            incident = (await self._call("POST", "/api/drills", {"rule": drill.rule, "by": "watchdog"}))["incident"]
            async with asyncio.timeout(drill.within):
                while not (await self._call("GET", f"/api/incidents/{incident}"))["receipts"]:  # noqa: ASYNC110
                    await asyncio.sleep(min(1.0, drill.within / 10))
            await self._call(
                "POST", f"/api/incidents/{incident}/resolve", {"by": "watchdog", "note": "the drill succeeded"}
            )
        except TimeoutError:
            self._drill_problem = f"a drill of {drill.rule} notified nobody within {drill.within:g} s: {incident}"
        except (httpx.HTTPError, KeyError, ValueError) as error:
            reason = error.response.text[:200] if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
            self._drill_problem = f"a drill of {drill.rule} failed: {reason}"
        else:
            self._drill_problem = ""
            _log.info("drill_succeeded", rule=drill.rule, incident=incident)

    async def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {api_token(self._settings)}"}
        url = f"{gateway_url(self._settings)}{path}"
        response = await self._http.request(method, url, json=body, headers=headers)
        return response.raise_for_status().json()
