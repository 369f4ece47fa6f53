"""The fault matrix: each type of destination × each fault of its vendor × the worker killed or not.

Each cell is one alert, whose rule notifies one destination, with a reliable receiver as its fallback. The outcome is
counted as a reader of the vendor sees it: exactly one message, or the fallback's. TOCSIN_WRITE_GOLDEN=1 writes the
tables into docs/reliability.md.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.vendors_table import SECRETS, VENDOR_CASES
from tests.processes import Tocsin
from tests.vendors import Fault, Receiver, Request, Vendor
from tests.vendors.mail import Mailbox
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-faults")]
DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- fault matrix -->", "<!-- /fault matrix -->"
ALWAYS = 1_000

FAULTS: dict[str, tuple[Fault, int]] = {
    "429": (Fault(status=429, headers={"Retry-After": "1"}), 1),
    "500": (Fault(status=500), 2),
    "503 once": (Fault(status=503), 1),
    "timeout": (Fault(delay=30), 1),
    "reset": (Fault(reset=True), 1),
    "reset after success": (Fault(reset=True, after=True), 1),
    "garbage after success": (Fault(status=200, body="<html>", after=True), 1),
    "401": (Fault(status=401), ALWAYS),
    "404": (Fault(status=404), ALWAYS),
}
"""Each fault, and how often it happens before the vendor works again."""
MAIL: dict[str, str] = {
    "429": "421 4.7.0 slow down",
    "500": "451 4.3.0 not now",
    "503 once": "450 4.2.1 busy",
    "timeout": "drop",
    "reset": "drop",
    "reset after success": "drop after",
    "garbage after success": "drop after",
    "401": "535 5.7.8 bad credentials",
    "404": "550 5.1.1 no such user",
}
"""The nearest faults in SMTP."""
NAMES = {fault: re.sub(r"[^a-z0-9]+", "-", fault) for fault in FAULTS}
TYPES = [*VENDOR_CASES, "email"]


@dataclass
class FaultPlan:
    """Chooses a request's fault by the cell that its content names, so that all cells run at once."""

    used: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, content: str) -> str | None:
        """The fault for a request with this content; None when it has happened often enough."""
        found = re.search(r"cell-([a-z0-9-]+)-end", content)
        if found is None:
            return None
        fault = next(name for name, slug in NAMES.items() if slug == found[1])
        with self.lock:
            if self.used[found[1]] >= FAULTS[fault][1]:
                return None
            self.used[found[1]] += 1
        return fault


@pytest.fixture
def harness(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Tocsin, dict[str, Any], Any]]:
    with ExitStack() as stack:
        vendors: dict[str, Any] = {name: stack.enter_context(case.vendor()) for name, case in VENDOR_CASES.items()}
        for vendor in vendors.values():
            plan = FaultPlan()
            vendor.choose = lambda one, plan=plan: _http(plan, one)
        mailbox = vendors["email"] = stack.enter_context(Mailbox())
        mail_wrongs = FaultPlan()
        mailbox.choose = lambda content: MAIL.get(mail_wrongs.of(content) or "", "")
        fallback = stack.enter_context(Receiver())
        file = tmp_path / "policy.yaml"
        file.write_text(_policy(vendors, fallback))
        tocsin = Tocsin(tmp_path, file, 1.0, **{**SECRETS, "SMTP": mailbox.url})
        tocsin.start()
        try:
            yield tocsin, vendors, fallback
        finally:
            tocsin.stop()
        assert [one for vendor in vendors.values() for one in getattr(vendor, "violations", [])] == []


def _http(plan: FaultPlan, request: Request) -> Fault | None:
    # Searches before a retry succeed: the fault is in sending itself.
    fault = plan.of(request.raw.decode()) if request.method == "POST" else None
    return FAULTS[fault][0] if fault else None


def _policy(vendors: dict[str, Any], fallback: Vendor) -> str:
    lines = ["version: 1", "destinations:", f"  other: {{type: webhook, url: '{fallback.base_url}'}}"]
    lines += [
        f"  {name.replace('_', '-')}: {case.config.format(vendors[name].base_url)}"
        for name, case in VENDOR_CASES.items()
    ]
    lines += [
        "  email: {type: email, smtp: {env: SMTP}, from: t@example.com, to: [ops@example.com]}",
        "tiers:",
        "  critical: {steps: [{notify: [pagerduty]}]}",
        "  high: {steps: [{notify: [other]}], fallback: [other]}",
        "  low: {digest: [other]}",
        "rules:",
    ]
    for name in TYPES:
        destination = name.replace("_", "-")
        is_ticket = name in VENDOR_CASES and VENDOR_CASES[name].activity == "ticket"
        action = f"notify: [], ticket: {destination}" if is_ticket else f"notify: [{destination}]"
        lines.append(f"  - {{name: {destination}, when: 'alert.metric == \"m_{name}\"', tier: high, {action}}}")
    return "\n".join(lines) + "\n"


def _seen(name: str, vendor: Any, slug: str) -> int:
    """How many messages of the cell a reader sees."""
    mark = f"cell-{slug}-end"
    if name == "email":
        return sum(mark in str(one["Subject"]) for one in vendor.distinct_messages)
    # A link or a comment that is added to a ticket is no message of its own.
    accepted = [one for one in vendor.done if mark in one.raw.decode() and "/issue/" not in one.path]
    if not VENDOR_CASES[name].idempotent:
        return len(accepted)
    if name in {"pagerduty", "opsgenie", "splunk_oncall", "webhook"}:
        return len({_key(name, one) for one in accepted})  # the vendor folds repeats of a key
    return len(accepted)  # Tocsin searches for the others before it creates them again


def _key(name: str, one: Request) -> str:
    field_of = {"pagerduty": "dedup_key", "opsgenie": "alias", "splunk_oncall": "entity_id"}
    headers = {header.lower(): value for header, value in one.headers.items()}
    return str(one.body[field_of[name]]) if name in field_of else headers["webhook-id"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("killed", [False, True], ids=["worker-runs", "worker-killed"])
def test_one_message_is_seen_or_fallback_notified(harness: tuple[Tocsin, dict[str, Any], Any], killed: bool) -> None:
    tocsin, vendors, fallback = harness
    incidents: dict[tuple[str, str], str] = {}
    for name, fault in product(TYPES, FAULTS):
        alert = {
            "monitor_name": f"{name} cell-{NAMES[fault]}-end",
            "model": f"cell-{NAMES[fault]}-end",
            "metric": f"m_{name}",
            "metric_value": 1,
            "status": "TRIGGERED",
        }
        answer = tocsin.send(alert)
        assert answer.status_code == 202
        incidents[name, fault] = answer.json()["incident"]
    if killed:
        wait_for(lambda: len(vendors["pagerduty"].requests) > 3)
        tocsin.child("worker").kill()

    def outcome(name: str, fault: str) -> str:
        seen = _seen(name, vendors[name], NAMES[fault])
        # A worker killed after it notified the fallback notifies it again under the same id, which a reader drops.
        fallbacks = len(
            {_key("webhook", one) for one in fallback.requests if incidents[name, fault] in one.raw.decode()}
        )
        return {(1, 0): "one", (0, 1): "fallback"}.get((seen, fallbacks), f"{seen} seen, {fallbacks} fallbacks")

    def all_notified() -> bool:
        views = [tocsin.call("GET", f"/{one}").json() for one in incidents.values()]
        return all(one["receipts"] for one in views)

    wait_for(all_notified, 5 * SLOW_MACHINE, 1.0)
    found = {(name, fault): outcome(name, fault) for name, fault in product(TYPES, FAULTS)}
    table = _table(found)
    heading = f"The worker {'is killed while it sends' if killed else 'runs'}:"
    section = f"{heading}\n\n{table}"
    wrong = {pair: one for pair, one in found.items() if one not in {"one", "fallback"} and not _is_repeat(pair, one)}
    # A killed worker loses one more response than the fault does.
    wrong |= {pair: one for pair, one in found.items() if _is_repeat(pair, one) and _copies(one) > 2 + killed}
    assert wrong == {}, table
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        _write(heading, section)
    assert heading in DOCS.read_text()


def _is_repeat(pair: tuple[str, str], outcome: str) -> bool:
    """A Teams webhook has no key and no search: a message is sent again for each response that was lost."""
    return pair[0] == "teams" and outcome.endswith(" seen, 0 fallbacks") and _copies(outcome) > 1


def _copies(outcome: str) -> int:
    return int(outcome.split()[0])


def _table(found: dict[tuple[str, str], str]) -> str:
    shown = {**found, **{pair: "repeated, alike" for pair, one in found.items() if _is_repeat(pair, one)}}
    lines = [f"| | {' | '.join(TYPES)} |", f"| --- |{' --- |' * len(TYPES)}"]
    lines += [f"| {fault} | {' | '.join(shown[name, fault] for name in TYPES)} |" for fault in FAULTS]
    return "\n".join(lines)


def _write(heading: str, section: str) -> None:
    text = DOCS.read_text() if DOCS.exists() else f"# Reliability\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    sections = [one for one in re.split(r"\n\n(?=The worker )", inside.strip()) if one and not one.startswith(heading)]
    whole = "\n\n".join(sorted([*sections, section], key=lambda one: "killed" in one))
    DOCS.write_text(f"{before}{BEGIN}\n\n{whole}\n\n{END}{after}")
