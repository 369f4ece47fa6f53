"""The checks of ``tocsin arize doctor``, each with its result and a remedy."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from alerts.values import moment
from cli.arize_probe import Outcome, check_signature
from cli.arize_scope import ArizeClients, arize_clients, chosen
from integrations.arize.notifications import WEBHOOK_PATH, attached_webhooks, is_tocsin_url
from integrations.base.errors import IntegrationError
from policy import format_duration
from worker.settings import Settings
from worker.this_machine import is_this_machine

if TYPE_CHECKING:
    from integrations.arize.tenant_api import Named

CLOCK_WARN, CLOCK_FAIL = 30.0, 240.0
"""Seconds. The gateway refuses signed webhooks whose timestamp differs by more than 300."""
STALE = timedelta(days=2)
"""The reconcile schedule describes a monitor again after a day."""
_KEY_REMEDY = "create a key of a user who may read all spaces, in Arize under Settings, API keys, and set ARIZE_API_KEY"
_NETWORK_REMEDY = "check ARIZE_API_URL, ARIZE_APP_URL, the proxy and the firewall; then Arize's status page"
_GRAPHQL_REMEDY = (
    "let an admin give the key's user developer permission; without it Tocsin knows neither custom metrics' names nor "
    "the numbers of dynamic thresholds, and decides in doubt"
)
_CLOCK_REMEDY = "synchronise it with NTP: the gateway refuses signed webhooks that are 300 s apart from its clock"
_CONNECT = "run `tocsin arize connect`"


class Check(NamedTuple):
    """The result of one check."""

    check: str
    outcome: Outcome
    text: str
    remedy: str = ""


@dataclass
class Doctor:
    """Runs the checks one after the other; a check that needs what an earlier one did not get is left out."""

    settings: Settings
    address: str
    organization: str
    checks: list[Check] = field(default_factory=list[Check])
    _organizations: "list[Named]" = field(default_factory=list[Any])
    _monitors: list[dict[str, Any]] = field(default_factory=list[Any])

    async def run(self) -> list[Check]:
        async with arize_clients(self.settings) as clients:
            readable = await self._guarded("REST API", self._rest, clients)
            readable = readable and await self._guarded("rights", self._rights, clients)
            await self._guarded("GraphQL", self._graphql, clients, _NETWORK_REMEDY)
            if readable:
                await self._guarded(
                    "webhook", self._webhook, clients, "let an admin give the key the right to webhooks"
                )
        await self._gateway()
        await self._descriptions()
        return self.checks

    def _add(self, check: str, outcome: Outcome, text: str, remedy: str = "") -> None:
        self.checks.append(Check(check, outcome, text, remedy))

    async def _guarded(
        self, name: str, work: Callable[[ArizeClients], Awaitable[None]], clients: ArizeClients, remedy: str = ""
    ) -> bool:
        """Whether a check ended without an error of Arize, which is a failure otherwise."""
        try:
            await work(clients)
        except IntegrationError as error:
            self._add(name, "fail", error.message, remedy or (_KEY_REMEDY if error.permanent else _NETWORK_REMEDY))
            return False
        return True

    # ── Arize ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _rest(self, clients: ArizeClients) -> None:
        probe = await clients.tenant.probe()
        place = urlsplit(self.settings.arize_api_url).netloc
        self._add("REST API", "ok", f"{place} accepts the key, and answers in {probe.seconds:.1f} s")
        difference = probe.clock_difference
        if difference is None:
            self._add("clock", "warn", "Arize's response has no Date, so the clocks were not compared", _CLOCK_REMEDY)
            return
        side = "ahead of" if difference > 0 else "behind"
        text = f"this machine's clock is {abs(difference):.0f} s {side} Arize's"
        if abs(difference) >= CLOCK_FAIL:
            self._add("clock", "fail", text, _CLOCK_REMEDY)
        elif abs(difference) >= CLOCK_WARN:
            self._add("clock", "warn", text, _CLOCK_REMEDY)
        else:
            self._add("clock", "ok", "this machine's clock agrees with Arize's")

    async def _rights(self, clients: ArizeClients) -> None:
        every = await clients.tenant.organizations()
        self._organizations = [chosen("organization", self.organization, every)] if self.organization else every
        spaces = [space for one in self._organizations for space in await clients.tenant.spaces(one.id)]
        if wanted := self.settings.arize_space_id:
            spaces = [chosen("space", wanted, spaces)]
        projects = [project for space in spaces for project in await clients.tenant.projects(space.id)]
        self._monitors = [monitor for space in spaces for monitor in await clients.tenant.monitors(space.id)]
        counts = (
            (self._organizations, "organization"),
            (spaces, "space"),
            (projects, "project"),
            (self._monitors, "monitor"),
        )
        text = ", ".join(f"{len(found)} {name}{'' if len(found) == 1 else 's'}" for found, name in counts)
        if self._monitors:
            self._add("rights", "ok", f"the key reads {text}")
        else:
            self._add("rights", "warn", f"the key reads {text}", _KEY_REMEDY)

    async def _graphql(self, clients: ArizeClients) -> None:
        monitor_id = str(self._monitors[0].get("id")) if self._monitors else ""
        place = urlsplit(self.settings.arize_app_url).netloc
        try:
            if monitor_id:
                data = await clients.graphql.execute("query($id: ID!) { node(id: $id) { id } }", {"id": monitor_id})
                readable = bool(data.get("node"))
            else:
                await clients.graphql.execute("{ account { organizations(first: 1) { edges { node { id } } } } }", {})
                readable = True
        except IntegrationError as error:
            if not error.permanent:
                raise
            self._add("GraphQL", "warn", error.message, _GRAPHQL_REMEDY)
            return
        if readable:
            self._add("GraphQL", "ok", f"{place} accepts the key")
        else:
            self._add("GraphQL", "warn", f"{place} does not show a monitor that REST shows", _GRAPHQL_REMEDY)

    async def _webhook(self, clients: ArizeClients) -> None:
        from cli.arize_webhook import is_test

        listed = [one for each in self._organizations for one in await clients.tenant.webhooks(each.id)]
        ours = [one for one in listed if is_tocsin_url(str(one.get("url"))) and not is_test(one)]
        here = [one for one in ours if not self.address or str(one.get("url")).rstrip("/") == self.address.rstrip("/")]
        if not here:
            text = f"no webhook posts to {self.address or f'an address with {WEBHOOK_PATH}'}"
            elsewhere = f"; {_named(ours[0])} posts to {ours[0].get('url')}" if ours else ""
            self._add("webhook", "fail", text + elsewhere, _CONNECT)
            return
        for one in here:
            await self._one_webhook(clients, one)

    async def _one_webhook(self, clients: ArizeClients, webhook: Mapping[str, Any]) -> None:
        from worker.webhook_secret import WebhookSecrets

        signed = webhook.get("auth_type") == "HMAC_SHA256"
        text = f"{_named(webhook)} posts to {webhook.get('url')} with {webhook.get('auth_type')}"
        if urlsplit(str(webhook.get("url"))).scheme != "https":
            self._add("webhook", "warn", f"{text}, which is not HTTPS", "use the gateway's public HTTPS address")
        elif not signed:
            self._add("webhook", "warn", text, f"HMAC signs the body: {_CONNECT}, and attach its webhook instead")
        else:
            self._add("webhook", "ok", text)
        if signed:
            secret = WebhookSecrets(self.settings).find(str(webhook.get("signing_secret_hint") or ""))
            if secret:
                result = await check_signature(self._gateway_urls(str(webhook.get("url"))), secret)
                self._add("secret", result.outcome, result.text)
            else:
                hint = webhook.get("signing_secret_hint")
                self._add("secret", "warn", f"the signing secret {hint} is not known on this machine", _CONNECT)
        self._attached(webhook)
        self._delivered(await clients.tenant.delivery_attempts(str(webhook.get("id")), 100))

    def _gateway_urls(self, url: str) -> list[str]:
        from worker.bootstrap import gateway_url

        return list(dict.fromkeys([f"{gateway_url(self.settings)}{WEBHOOK_PATH}", url]))

    def _attached(self, webhook: Mapping[str, Any]) -> None:
        attached = [one for one in self._monitors if webhook.get("id") in {each for each, _ in attached_webhooks(one)}]
        muted = [one for one in attached if one.get("notifications_enabled") is False]
        text = f"{len(attached)} of {len(self._monitors)} monitors notify {webhook.get('name')}"
        if muted:
            text += f", and {len(muted)} of them have their notifications switched off"
        if len(attached) == len(self._monitors) and not muted:
            self._add("monitors", "ok", text)
        else:
            self._add("monitors", "warn", text, f"{_CONNECT}: it lists the clicks that are left")

    def _delivered(self, attempts: Sequence[Mapping[str, Any]]) -> None:
        if not attempts:
            self._add("deliveries", "warn", "Arize has delivered nothing yet", f"{_CONNECT} with --trigger MONITOR")
            return
        latest: dict[str, Mapping[str, Any]] = {}
        for one in attempts:  # the newest first
            latest.setdefault(str(one.get("event_id")), one)
        failed = [one for one in latest.values() if not _succeeded(one)]
        newest = next(iter(latest.values()))
        text = (
            f"{len(latest) - len(failed)} of the latest {len(latest)} events were accepted; the newest {_age(newest)}"
        )
        if not failed:
            self._add("deliveries", "ok", text)
            return
        status = failed[0].get("status_code")
        why = f"answered {status}" if status else f"without an answer ({failed[0].get('error_message')})"
        outcome: Outcome = "warn" if _succeeded(newest) else "fail"
        self._add(
            "deliveries", outcome, f"{text}; the newest failure {_age(failed[0])}, {why}", _delivery_remedy(status)
        )

    # ── Tocsin ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _gateway(self) -> None:
        import httpx

        from worker.bootstrap import gateway_url

        url = gateway_url(self.settings)
        remedy = "start it with `tocsin up` or `tocsin gateway`; TOCSIN_GATEWAY_URL or TOCSIN_PUBLIC_URL is its address"
        try:
            async with httpx.AsyncClient(timeout=10.0, trust_env=not is_this_machine(url)) as client:
                answer = await client.get(f"{url}/readyz")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._add("gateway", "fail", f"{url} does not answer: {type(error).__name__}", remedy)
            return
        if answer.status_code == 200:
            self._add("gateway", "ok", f"{url} is ready")
        else:
            detail = f"{url}/readyz answers {answer.status_code}: {answer.text[:300]}"
            self._add("gateway", "fail", detail, "see its reasons, and docs/operations.md")

    async def _descriptions(self) -> None:
        """The cache of descriptions, as this machine's settings find it. It is not created."""
        from sqlalchemy.engine import make_url

        from gateway.security.encryption import SETTING, Keyring
        from integrations.arize.description_cache import DescriptionCache

        remedy = (
            "a worker with ARIZE_API_KEY describes every monitor within TOCSIN_RECONCILE_INTERVAL of its start; "
            "check that one runs"
        )
        database = make_url(self.settings.dedup_store_url)
        if database.get_backend_name() == "sqlite" and not _exists(database.database):
            self._add("descriptions", "warn", f"there are none yet in {database.database}", remedy)
            return
        cache = DescriptionCache(self.settings.dedup_store_url, Keyring.read(self.settings.secrets(SETTING)))
        try:
            if not await cache.load():
                self._add("descriptions", "fail", "their database does not answer", "check TOCSIN_DATABASE_URL")
                return
            found = [one for each in cache.ids if (one := cache.get(each))]
            reported = cache.problems
        finally:
            cache.close()
        for text in reported.values():
            self._add("worker", "warn", f"a worker reports: {text}", _NETWORK_REMEDY)
        if not found:
            self._add("descriptions", "warn", "no monitor is described yet", remedy)
            return
        age = datetime.now(UTC) - max(one.described_at for one in found)
        incomplete = sum(bool(one.missing) for one in found)
        count = "1 monitor is" if len(found) == 1 else f"{len(found)} monitors are"
        text = f"{count} described, the newest {_ago(age)}"
        text += f"; {incomplete} incompletely" if incomplete else ""
        self._add("descriptions", "warn" if age > STALE or incomplete else "ok", text, remedy if age > STALE else "")


def _exists(file: str | None) -> bool:
    return bool(file) and Path(file or "").exists()


def _named(webhook: Mapping[str, Any]) -> str:
    return f"{webhook.get('name')} ({webhook.get('id')})"


def _succeeded(attempt: Mapping[str, Any]) -> bool:
    status = attempt.get("status_code")
    return isinstance(status, int) and 200 <= status < 300


def _age(attempt: Mapping[str, Any]) -> str:
    created = moment(attempt.get("created_at"))
    return "at an unknown time" if created is None else _ago(datetime.now(UTC) - created)


def _ago(age: timedelta) -> str:
    seconds = max(int(age.total_seconds()), 0)
    for unit in (86_400, 3600, 60):
        if seconds >= unit:
            return f"{format_duration(seconds // unit * unit)} ago"
    return f"{seconds}s ago"


def _delivery_remedy(status: object) -> str:
    if status == 401:
        return f"the gateway has another secret: {_CONNECT}, and start the gateway again"
    if isinstance(status, int) and status:
        return "see the gateway's log for that time; a proxy before it may answer, too"
    return "the address must be a public HTTPS one that leads to the gateway"
