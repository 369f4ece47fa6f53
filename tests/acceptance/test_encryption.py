"""With a key, Temporal's own database holds nothing that an alert, a vendor or a person said."""

import base64
import json
import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import DEV_SERVER
from tests.acceptance.conftest import World
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-encryption")]

KEY = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
CUSTOMER = "Erika-Mustermann-asked-about-her-credit"
VENDOR = "channel-said-no-to-erika"
PERSON = "called-erika-back"


@pytest.fixture(params=["with a key", "without one"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> Generator[tuple[World, bool]]:
    sealed = request.param == "with a key"
    world = World(tmp_path / "world", pagerduty, slack, jira)
    if sealed:
        world.tocsin.environment["TOCSIN_ENCRYPTION_KEY"] = KEY
    world.tocsin.start()
    yield world, sealed
    if world.tocsin.process and world.tocsin.process.poll() is None:
        world.tocsin.stop()


def stored(folder: Path) -> bytes:
    """Whatever the server wrote, its log included."""
    return b"".join(file.read_bytes() for file in folder.glob("temporal*"))


def data(history: str) -> bytes:
    """The payloads of a history as the CLI prints it: base64 in JSON."""
    return b"".join(base64.b64decode(found) for found in re.findall(r'"data": "([^"]*)"', history))


def test_the_database_shows_nothing(world: tuple[World, bool]) -> None:
    one, sealed = world
    tocsin = one.tocsin
    alert = one.alert(notes=CUSTOMER, segment={"customer": CUSTOMER})
    incident = tocsin.open(alert)
    one.paged(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    tocsin.send({**alert, "metric_value": 0.5, "notes": f"{CUSTOMER} again"})
    tocsin.until(incident, lambda one: one["alerts"] == 2)
    one.pagerduty.script(Fault(status=400, body=json.dumps({"status": "invalid event", "message": VENDOR})))
    second = tocsin.open(one.alert(notes=CUSTOMER))
    tocsin.until(second, lambda one: any(VENDOR in entry["text"] for entry in one["timeline"]))
    tocsin.call("POST", f"/{incident}/annotate", json={"by": "rosa", "note": PERSON})
    shown = tocsin.until(incident, lambda one: any(PERSON in entry["text"] for entry in one["timeline"]))
    assert CUSTOMER in json.dumps(shown["alert"])
    server = tocsin.child("server").cmdline()
    address = f"127.0.0.1:{server[server.index('--port') + 1]}"
    show = [DEV_SERVER, "workflow", "show", "--address", address, "-w", incident, "-o", "json"]
    codec = ["--codec-endpoint", f"{tocsin.url}/codec", "--codec-auth"]
    plain = subprocess.run(show, capture_output=True, text=True, timeout=30, check=True).stdout
    assert (CUSTOMER.encode() in data(plain)) is not sealed
    if sealed:
        assert "YmluYXJ5L2VuY3J5cHRlZA==" in plain, "which is base64 for binary/encrypted"
        read = [*show, *codec, "Bearer v-token"]
        clear = subprocess.run(read, capture_output=True, text=True, timeout=30, check=True).stdout
        assert CUSTOMER.encode() in data(clear)
        denied = subprocess.run(
            [*show, *codec, "Bearer wrong"], capture_output=True, text=True, timeout=30, check=False
        )
        assert CUSTOMER.encode() not in data(denied.stdout) + denied.stderr.encode()
    else:
        assert tocsin.http.get(f"{tocsin.url}/codec").status_code == 404
    tocsin.stop()
    content = stored(tocsin.folder / "state")
    assert len(content) > 100_000
    assert (CUSTOMER.encode() in content) is not sealed
    assert (PERSON.encode() in content) is not sealed
    assert (VENDOR.encode() in content) is not sealed
    for secret in SECRETS.values():
        assert secret.encode() not in content, "a destination's secret is in no history at all"
