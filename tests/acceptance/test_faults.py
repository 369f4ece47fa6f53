"""The fault matrix, made and not written: each destination × what its vendor does wrong × the worker killed or not.

Each cell is one alert, whose rule tells one destination, with a reliable receiver as its fallback. What came of it is
counted as its reader sees it: exactly one message, or the fallback told. docs/reliability.md holds the table; it is
compared, so that it stays true. TOCSIN_WRITE_GOLDEN=1 writes it.
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

from tests.activities.places import KINDS
from tests.activities.sending import SECRETS
from tests.processes import Tocsin
from tests.vendors import Fault, Receiver, Request, Vendor
from tests.vendors.mail import Mailbox
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-faults")]
DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- fault matrix -->", "<!-- /fault matrix -->"
FOR_GOOD = 1_000

FAULTS: dict[str, tuple[Fault, int]] = {
    "429": (Fault(status=429, headers={"Retry-After": "1"}), 1),
    "500": (Fault(status=500), 2),
    "503 then fine": (Fault(status=503), 1),
    "timeout": (Fault(delay=30), 1),
    "reset": (Fault(reset=True), 1),
    "reset after it was taken": (Fault(reset=True, after=True), 1),
    "garbage after it was taken": (Fault(status=200, body="<html>", after=True), 1),
    "401": (Fault(status=401), FOR_GOOD),
    "404": (Fault(status=404), FOR_GOOD),
}
"""What goes wrong, and how often before it is well."""
MAIL: dict[str, str] = {
    "429": "421 4.7.0 slow down",
    "500": "451 4.3.0 not now",
    "503 then fine": "450 4.2.1 busy",
    "timeout": "drop",
    "reset": "drop",
    "reset after it was taken": "drop after",
    "garbage after it was taken": "drop after",
    "401": "535 5.7.8 bad credentials",
    "404": "550 5.1.1 no such user",
}
"""The same in SMTP, which knows no others."""
NAMES = {fault: re.sub(r"[^a-z0-9]+", "-", fault) for fault in FAULTS}
TYPES = [*KINDS, "email"]


@dataclass
class Wrongs:
    """Chooses the fault of a request by the cell that it names, so that all cells run side by side."""

    left: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, content: str) -> str | None:
        """The fault that is due for this content."""
        found = re.search(r"cell-([a-z0-9-]+)-end", content)
        if found is None:
            return None
        fault = next(name for name, slug in NAMES.items() if slug == found[1])
        with self.lock:
            if self.left[found[1]] >= FAULTS[fault][1]:
                return None
            self.left[found[1]] += 1
        return fault


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Tocsin, dict[str, Any], Any]]:
    with ExitStack() as stack:
        vendors: dict[str, Any] = {name: stack.enter_context(kind.vendor()) for name, kind in KINDS.items()}
        for vendor in vendors.values():
            wrongs = Wrongs()
            vendor.choose = lambda one, wrongs=wrongs: _http(wrongs, one)
        mailbox = vendors["email"] = stack.enter_context(Mailbox())
        mail_wrongs = Wrongs()
        mailbox.choose = lambda content: MAIL.get(mail_wrongs.of(content) or "", "")
        fallback = stack.enter_context(Receiver())
        file = tmp_path / "policy.yaml"
        file.write_text(_policy(vendors, fallback))
        tocsin = Tocsin(tmp_path / "world", file, 1.0, **{**SECRETS, "SMTP": mailbox.url})
        tocsin.start()
        try:
            yield tocsin, vendors, fallback
        finally:
            tocsin.stop()
        assert [one for vendor in vendors.values() for one in getattr(vendor, "violations", [])] == []


def _http(wrongs: Wrongs, request: Request) -> Fault | None:
    # A search is never the request that is meant: what is to go wrong is the sending itself.
    fault = wrongs.of(request.raw.decode()) if request.method == "POST" else None
    return FAULTS[fault][0] if fault else None


def _policy(vendors: dict[str, Any], fallback: Vendor) -> str:
    lines = ["version: 1", "destinations:", f"  other: {{type: webhook, url: '{fallback.base_url}'}}"]
    lines += [
        f"  {name.replace('_', '-')}: {kind.config.format(vendors[name].base_url)}" for name, kind in KINDS.items()
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
        tells = "ticket" if name in KINDS and KINDS[name].activity == "ticket" else "notify"
        where = name.replace("_", "-")
        told = f"notify: [], ticket: {where}" if tells == "ticket" else f"notify: [{where}]"
        lines.append(f"  - {{name: {where}, when: 'alert.metric == \"m_{name}\"', tier: high, {told}}}")
    return "\n".join(lines) + "\n"


def _seen(name: str, vendor: Any, slug: str) -> int:
    """How often a reader sees the cell's message."""
    mark = f"cell-{slug}-end"
    if name == "email":
        return sum(mark in str(one["Subject"]) for one in vendor.shown)
    # What is added to a ticket once it is there (a link, a comment) is no message of its own.
    taken = [one for one in vendor.done if mark in one.raw.decode() and "/issue/" not in one.path]
    if not KINDS[name].folds:
        return len(taken)
    if name in {"pagerduty", "opsgenie", "splunk_oncall", "webhook"}:
        return len({_key(name, one) for one in taken})  # the key that the vendor folds repeats by
    return len(taken)  # the others are looked up before they are made


def _key(name: str, one: Request) -> str:
    field_of = {"pagerduty": "dedup_key", "opsgenie": "alias", "splunk_oncall": "entity_id"}
    headers = {header.lower(): value for header, value in one.headers.items()}
    return str(one.body[field_of[name]]) if name in field_of else headers["webhook-id"]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("killed", [False, True], ids=["the worker lives", "the worker is killed"])
def test_one_message_is_seen_or_the_fallback_is_told(world: tuple[Tocsin, dict[str, Any], Any], killed: bool) -> None:
    tocsin, vendors, fallback = world
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
        wait_for(lambda: len(vendors["pagerduty"].requests) > 3, 30)
        tocsin.child("worker").kill()

    def told(name: str, fault: str) -> str:
        seen = _seen(name, vendors[name], NAMES[fault])
        # A worker that dies after the fallback was told tells it again, under the same id: a reader drops that.
        instead = len({_key("webhook", one) for one in fallback.requests if incidents[name, fault] in one.raw.decode()})
        return {(1, 0): "one", (0, 1): "fallback"}.get((seen, instead), f"{seen} seen, {instead} instead")

    def settled() -> bool:
        views = [tocsin.call("GET", f"/{one}").json() for one in incidents.values()]
        return all(one["receipts"] for one in views)

    wait_for(settled, 150, 1.0)
    found = {(name, fault): told(name, fault) for name, fault in product(TYPES, FAULTS)}
    table = _table(found)
    heading = f"The worker {'is killed while it sends' if killed else 'lives'}:"
    section = f"{heading}\n\n{table}"
    wrong = {pair: what for pair, what in found.items() if what not in {"one", "fallback"} and not _twice(pair, what)}
    assert wrong == {}, table
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        _write(heading, section)
    assert heading in DOCS.read_text()


def _twice(pair: tuple[str, str], what: str) -> bool:
    """A webhook of Teams knows no key: what it took, though its answer was lost, is shown once more."""
    return pair[0] == "teams" and what == "2 seen, 0 instead"


def _table(found: dict[tuple[str, str], str]) -> str:
    shown = {**found, **{pair: "two, alike" for pair, what in found.items() if _twice(pair, what)}}
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
