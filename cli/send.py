"""``tocsin send``: a signed alert, as Arize would send it, for experiments."""

import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import UNUSABLE, exit_with_error
from worker.locations import SHIPPED_POLICY

if TYPE_CHECKING:
    import httpx

    from worker.settings import Settings

SAMPLES = SHIPPED_POLICY.parent / "samples"


def send(
    alert: Annotated[
        str, typer.Argument(help="A JSON file, - for standard input, or a sample: critical, high, low, regulated.")
    ],
    cleared: Annotated[bool, typer.Option("--cleared", help="Send that the monitor has cleared.")] = False,
) -> None:
    """Sign an alert and post it to the gateway."""
    from cli.client import request
    from gateway.security.secret_file import read_secret_file
    from worker.bootstrap import ARIZE_SECRET, gateway_url
    from worker.settings import read_settings

    body = sample(alert)
    settings = read_settings(os.environ)
    if cleared:
        body = _cleared(body)
    secrets = settings.secrets("ARIZE_WEBHOOK_SECRET")
    if not secrets:
        secrets = read_secret_file(settings.arize_webhook_secret_file or settings.state_dir / ARIZE_SECRET)
    if not secrets:
        exit_with_error(
            f"no signing secret: set ARIZE_WEBHOOK_SECRET, or TOCSIN_STATE_DIR to the state folder of `tocsin up` "
            f"({settings.state_dir} has none)",
            UNUSABLE,
        )
    content = json.dumps(body, ensure_ascii=False).encode()  # as large as the file, whatever its characters
    url = f"{gateway_url(settings)}/webhooks/arize"
    answer = request("POST", url, content=content, headers=signed(content, secrets[0]))
    if answer.is_success:
        typer.echo(f"{answer.status_code} {answer.text.strip()}")
        return
    remedy = f"; check ARIZE_WEBHOOK_SECRET{_secret_file(settings)}" if answer.status_code == 401 else ""
    exit_with_error(f"{url} answers {answer.status_code} {_detail(answer)}{remedy}")


def _detail(answer: "httpx.Response") -> str:
    """Why the gateway refuses; the beginning of the answer, in one line, if another program answers."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return " ".join(answer.text[:200].split())


def _secret_file(settings: "Settings") -> str:
    return f" and {settings.arize_webhook_secret_file}" if settings.arize_webhook_secret_file else ""


def sample(name: str) -> dict[str, Any]:
    """A shipped sample, triggered now; or the content of a file or of standard input, unchanged."""
    shipped = SAMPLES / f"{name}.json"
    if shipped.is_file():
        content = json.loads(shipped.read_text(encoding="utf-8"))
        return {**content, "monitor": {**content["monitor"], "evaluated_at": datetime.now(UTC).isoformat()}}
    from alerts import AlertError, read_body

    try:
        return read_body(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in SAMPLES.glob("*.json")))
        exit_with_error(f"{name}: no such file, and no sample; the samples are {known}", UNUSABLE)
    except AlertError as error:  # the gateway would refuse it, for the same reason
        exit_with_error(f"{name}: {error}", UNUSABLE)


def _cleared(body: dict[str, Any]) -> dict[str, Any]:
    """The body as Arize would send it after the monitor has cleared."""
    monitor = body.get("monitor")
    if isinstance(monitor, dict):
        changed = {"status": "CLEARED", "latest_computed_value": None, "evaluated_at": datetime.now(UTC).isoformat()}
        return {**body, "event": "monitor.status.changed", "previous_status": "TRIGGERED", "monitor": monitor | changed}
    return {**body, "status": "CLEARED", "event": "monitor.cleared", "triggered_at": None, "metric_value": None}


def signed(body: bytes, secret: str, event_id: str = "", at: int | None = None) -> dict[str, str]:
    """The headers of a delivery that Arize signs with HMAC_SHA256, now or at a Unix time in seconds."""
    import hashlib
    import hmac

    timestamp = str(int(time.time()) if at is None else at)
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Arize-Webhook-Id": event_id or f"evt_{uuid.uuid4().hex}",
        "X-Arize-Webhook-Timestamp": timestamp,
        "X-Arize-Webhook-Signature": f"v1={digest}",
    }
