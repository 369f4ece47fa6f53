"""Tests of a connection with Arize: signature, address, and a monitor's delivery.

Arize's own test delivery exists for BEARER only. So the two halves of a delivery are tested by themselves: a test event
that this command signs shows that the gateway has the secret, and a temporary webhook with BEARER, which the gateway
refuses, shows that Arize reaches it. A monitor that triggers tests both at once.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from alerts.values import moment
from cli.arize_scope import ArizeClients, plain
from cli.arize_webhook import TEST_MARK
from cli.send import signed
from worker.this_machine import is_this_machine

if TYPE_CHECKING:
    from integrations.arize.tenant_api import Named, TenantApi, TestResult

Outcome = Literal["ok", "warn", "fail", "skipped"]
_TIMEOUT = 10.0  # seconds
_POLL_INTERVAL = 1.0  # seconds
STALE_TEST = timedelta(minutes=10)
"""A temporary webhook that is older is what an interrupted run has left."""


class Probe(NamedTuple):
    """The result of one test, for people."""

    outcome: Outcome
    text: str


async def check_signature(urls: list[str], secret: str) -> Probe:
    """Post a signed test event to the first address that answers. Tocsin records it, and opens no incident."""
    import httpx

    body = json.dumps({"event": "webhook.test", "message": "tocsin arize connect checks the signature"}).encode()
    failures: list[str] = []
    for url in urls:
        headers = {**signed(body, secret), "X-Arize-Webhook-Event": "webhook.test"}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=not is_this_machine(url)) as client:
                answer = await client.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failures.append(f"{url} ({type(error).__name__})")
            continue
        return _signature_result(url, answer)
    return Probe("warn", f"the gateway could not be reached from here: {', '.join(failures)}; is it running?")


def _signature_result(url: str, answer: Any) -> Probe:
    if answer.status_code == 202:
        return Probe("ok", f"the gateway at {url} accepts the signature")
    detail = _detail(answer.text)
    if answer.status_code == 401:
        return Probe(
            "fail",
            f"the gateway at {url} refuses the signature ({detail}): give it the secret, by ARIZE_WEBHOOK_SECRET or "
            "ARIZE_WEBHOOK_SECRET_FILE, and start it again if it does not run with `tocsin up`",
        )
    return Probe("fail", f"{url} answers {answer.status_code} ({detail}): is it Tocsin's gateway?")


def _detail(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    detail = cast("Mapping[str, Any]", found).get("detail") if isinstance(found, dict) else ""
    return plain(str(detail or text or "empty body")[:200])


async def check_reachability(api: "TenantApi", organization: "Named", name: str, url: str) -> Probe:
    """Let Arize send a test event through a temporary webhook with BEARER, whose token nobody knows."""
    from integrations.base.errors import IntegrationError

    temporary = f"{name}-test-{secrets.token_hex(4)}"
    description = f"Temporary: tests whether Arize reaches the gateway. {TEST_MARK}"
    created, result, left = "", None, ""
    try:
        token = secrets.token_urlsafe(32)
        webhook, _ = await api.create_webhook(organization.id, temporary, url, description, token=token)
        created = str(webhook["id"])
        result = await api.test_webhook(created)
    except IntegrationError as error:
        left = f"Arize could not send a test event: {error.message}"
    finally:
        if created:
            try:
                await api.delete_webhook(created)
            except IntegrationError:
                left += f"; the temporary webhook {temporary} is left, and deleted by the next run"
    return _reachability(result, url, left) if result else Probe("fail", left)


def _reachability(result: "TestResult", url: str, left: str) -> Probe:
    error = plain(result.error[:200])
    if result.status == 401:
        text = "Arize reaches the gateway, which refuses an unsigned test event with 401, as it must"
        return Probe("ok", text + left)
    if 200 <= result.status < 300:
        text = f"Arize reaches {url}, which accepted a test event without authentication: is it the gateway?"
        return Probe("warn", text + left)
    if result.status == 502:
        return Probe("fail", f"Arize gets no answer from {url} ({error}): it must be a public HTTPS address{left}")
    return Probe("fail", f"Arize gets {result.status} from {url} ({error}): it must lead to the gateway{left}")


def stale_tests(webhooks: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """The ids of temporary webhooks that an interrupted run has left."""
    found: list[str] = []
    for one in webhooks:
        created = moment(one.get("created_at"))
        if TEST_MARK in str(one.get("description") or "") and (created is None or now - created > STALE_TEST):
            found.append(str(one.get("id")))
    return found


async def trigger(clients: ArizeClients, webhook_id: str, monitor: Mapping[str, Any], wait: float) -> Probe:
    """Let Arize evaluate a monitor that notifies the webhook, and wait for the delivery.

    Args:
        clients: Of the tenant.
        webhook_id: The webhook.
        monitor: The monitor object as it was before.
        wait: Seconds until the delivery must be in the list of attempts.
    """
    from integrations.arize.trigger import trigger_monitor
    from integrations.base.errors import IntegrationError

    name = plain(str(monitor.get("name")))
    before = {str(one.get("event_id")) for one in await clients.tenant.delivery_attempts(webhook_id)}
    try:
        evaluation = await trigger_monitor(clients.graphql, str(monitor.get("id")))
    except IntegrationError as error:
        return Probe("fail", f"{name} was not evaluated: {error.message}")
    value = "no value" if evaluation.value is None else f"{evaluation.value:g}"
    text = f"{name} was evaluated: {plain(evaluation.status) or 'no status'}, {value}"
    if evaluation.status.casefold() not in {"", "triggered"}:
        return Probe("warn", f"{text}; it is not past its threshold, so Arize delivers nothing")
    end = time.monotonic() + wait
    while True:
        attempts = await clients.tenant.delivery_attempts(webhook_id)
        new = next((one for one in attempts if str(one.get("event_id")) not in before), None)
        if new is not None:
            status = new.get("status_code")
            delivered = isinstance(status, int) and 200 <= status < 300
            return Probe(
                "ok" if delivered else "fail", f"{text}; Arize delivered it, and the gateway answered {status}"
            )
        if time.monotonic() >= end:
            break
        await asyncio.sleep(_POLL_INTERVAL)
    known = str(monitor.get("status")).casefold() == "triggered"
    why = "it was triggered before, and Arize delivers changes of the status" if known else "try a longer --wait"
    return Probe("warn", f"{text}; no delivery within {wait:g} s: {why}")
