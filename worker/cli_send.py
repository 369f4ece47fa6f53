"""``tocsin send``: a signed alert, as Arize would send it, to try things out."""

import hashlib
import hmac
import json
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from worker.cli_client import gateway_url
from worker.first_start import ARIZE_SECRET
from worker.settings import SHIPPED_POLICY, read_settings

SAMPLES = SHIPPED_POLICY.parent / "samples"


def send(
    alert: Annotated[str, typer.Argument(help="A file, - for standard input, or critical, high, low, regulated.")],
    cleared: Annotated[bool, typer.Option(help="Say that the monitor is well again.")] = False,
) -> None:
    """Sign an alert and post it to the gateway."""
    settings = read_settings(os.environ)
    body = sample(alert)
    if cleared:
        body |= {"status": "CLEARED", "event": "monitor.cleared", "triggered_at": None, "metric_value": None}
    secrets = settings.secrets("ARIZE_WEBHOOK_SECRET")
    file = settings.state_dir / ARIZE_SECRET
    if not secrets and file.exists():
        secrets = (file.read_text(encoding="utf-8").strip(),)
    if not secrets:
        typer.echo("ARIZE_WEBHOOK_SECRET is not set, and there is no state folder of `tocsin up` here", err=True)
        raise typer.Exit(2)
    url = f"{gateway_url(settings)}/webhooks/arize"
    content = json.dumps(body).encode()
    try:
        answer = httpx.post(url, content=content, headers=signed(content, secrets[0]), timeout=30)
    except httpx.HTTPError as error:
        typer.echo(f"{url} does not answer ({type(error).__name__})", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{answer.status_code} {answer.text}")
    raise typer.Exit(0 if answer.is_success else 1)


def sample(name: str) -> dict[str, Any]:
    """A shipped sample, freshly triggered, or a file as it is."""
    shipped = SAMPLES / f"{name}.json"
    if shipped.exists():
        return {
            **json.loads(shipped.read_text(encoding="utf-8")),
            "triggered_at": datetime.now(UTC).isoformat(),
        }
    text = typer.get_text_stream("stdin").read() if name == "-" else Path(name).read_text(encoding="utf-8")
    return json.loads(text)


def signed(body: bytes, secret: str, event_id: str = "") -> dict[str, str]:
    """The headers of a delivery that Arize signs with HMAC_SHA256."""
    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Arize-Webhook-Id": event_id or f"evt_{uuid.uuid4().hex}",
        "X-Arize-Webhook-Timestamp": stamp,
        "X-Arize-Webhook-Signature": f"v1={digest}",
    }
