"""With a key, Temporal's database contains no text of an alert, a vendor or a person in the clear."""

import base64
import json
import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import DEV_SERVER
from tests.acceptance.conftest import AcceptanceHarness
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import SLOW_MACHINE

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-encryption")]

KEY = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
CUSTOMER = "Erika-Mustermann-asked-about-her-credit"
VENDOR = "channel-rejected-erika"
PERSON = "called-erika-back"


@pytest.fixture(params=["with a key", "without one"])
def harness(
    request: pytest.FixtureRequest, tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> Generator[tuple[AcceptanceHarness, bool]]:
    encrypted = request.param == "with a key"
    harness = AcceptanceHarness(tmp_path, pagerduty, slack, jira)
    if encrypted:
        harness.tocsin.environment["TOCSIN_ENCRYPTION_KEY"] = KEY
    harness.tocsin.start()
    yield harness, encrypted
    harness.stop()


def stored(folder: Path) -> bytes:
    """Everything that the server wrote, its log included."""
    return b"".join(file.read_bytes() for file in folder.glob("temporal*"))


def payloads(history: str) -> bytes:
    """The payloads of a history as the CLI prints it: base64 in JSON."""
    return b"".join(base64.b64decode(found) for found in re.findall(r'"data": "([^"]*)"', history))


def test_temporal_database_is_encrypted(harness: tuple[AcceptanceHarness, bool]) -> None:
    running, encrypted = harness
    tocsin = running.tocsin
    alert = running.alert(notes=CUSTOMER, segment={"customer": CUSTOMER})
    incident = tocsin.open(alert)
    running.wait_for_page(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    tocsin.send({**alert, "metric_value": 0.5, "notes": f"{CUSTOMER} again"})
    tocsin.until(incident, lambda one: one["alert_count"] == 2)
    running.pagerduty.script(Fault(status=400, body=json.dumps({"status": "invalid event", "message": VENDOR})))
    second = tocsin.open(running.alert(notes=CUSTOMER))
    tocsin.until(second, lambda one: any(VENDOR in entry["text"] for entry in one["timeline"]))
    tocsin.call("POST", f"/{incident}/annotate", json={"by": "rosa", "note": PERSON})
    shown = tocsin.until(incident, lambda one: any(PERSON in entry["text"] for entry in one["timeline"]))
    assert CUSTOMER in json.dumps(shown["alert"])
    server = tocsin.child("server").cmdline()
    address = f"127.0.0.1:{server[server.index('--port') + 1]}"
    show = [DEV_SERVER, "workflow", "show", "--address", address, "-w", incident, "-o", "json"]
    codec = ["--codec-endpoint", f"{tocsin.url}/codec", "--codec-auth"]
    plain = subprocess.run(show, capture_output=True, text=True, timeout=SLOW_MACHINE, check=True).stdout
    assert (CUSTOMER.encode() in payloads(plain)) is not encrypted
    if encrypted:
        assert "YmluYXJ5L2VuY3J5cHRlZA==" in plain, "base64 for binary/encrypted"
        read = [*show, *codec, "Bearer v-token"]
        clear = subprocess.run(read, capture_output=True, text=True, timeout=SLOW_MACHINE, check=True).stdout
        assert CUSTOMER.encode() in payloads(clear)
        denied = subprocess.run(
            [*show, *codec, "Bearer wrong"], capture_output=True, text=True, timeout=SLOW_MACHINE, check=False
        )
        assert CUSTOMER.encode() not in payloads(denied.stdout) + denied.stderr.encode()
    else:
        assert tocsin.http.get(f"{tocsin.url}/codec").status_code == 404
    tocsin.stop()
    content = stored(tocsin.folder / "state")
    assert len(content) > 100_000
    assert (CUSTOMER.encode() in content) is not encrypted
    assert (PERSON.encode() in content) is not encrypted
    assert (VENDOR.encode() in content) is not encrypted
    for secret in SECRETS.values():
        assert secret.encode() not in content, "no history contains a destination's secret"
