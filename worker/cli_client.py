"""How the terminal reaches the gateway: its address, and a token."""

import os
from typing import Any

import httpx
import typer

from worker.first_start import ADDRESS, local_token
from worker.settings import Settings, read_settings


def gateway_url(settings: Settings) -> str:
    """TOCSIN_GATEWAY_URL or TOCSIN_PUBLIC_URL, or where ``tocsin up`` said it is, which may have taken another port."""
    if inside := settings.environment.get("TOCSIN_GATEWAY_URL"):
        return inside.rstrip("/")
    file = settings.state_dir / ADDRESS
    if settings.environment.get("TOCSIN_PUBLIC_URL") or not file.exists():
        return settings.public_url
    return file.read_text(encoding="utf-8").strip()


def call(method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, str] | None = None) -> Any:
    """Call the API. Ends the command with the gateway's own words where it refuses.

    The token is TOCSIN_TOKEN, or the local one that ``tocsin up`` made in the state folder.
    """
    settings = read_settings(os.environ)
    token = os.environ.get("TOCSIN_TOKEN") or local_token(settings.state_dir)
    url = f"{gateway_url(settings)}{path}"
    try:
        answer = httpx.request(
            method, url, json=body, params=params, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
    except httpx.HTTPError as error:
        typer.echo(
            f"{url} does not answer ({type(error).__name__}): is `tocsin up` running? TOCSIN_PUBLIC_URL says where",
            err=True,
        )
        raise typer.Exit(2) from None
    content = answer.json()
    if answer.is_error:
        typer.echo(f"{answer.status_code} {content.get('detail', '')}", err=True)
        for reason in content.get("reasons", []):
            typer.echo(f"  {reason}", err=True)
        raise typer.Exit(1)
    return content
