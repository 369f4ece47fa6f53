"""The command line's HTTP client for the gateway: its address, and the API token."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cli.errors import UNUSABLE, exit_with_error

if TYPE_CHECKING:
    import httpx

_TIMEOUT = 30.0  # seconds


def call(
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    params: dict[str, str] | None = None,
    *,
    remedies: Mapping[int, str] | None = None,
) -> Any:
    """Call the API and return the decoded answer. Ends the command if the gateway refuses, with its reasons.

    The token is TOCSIN_TOKEN, or the local one that ``tocsin up`` created in the state folder.

    Args:
        remedies: what a person can do, by the status of a refusal.
    """
    from worker.bootstrap import api_token, gateway_url
    from worker.settings import read_settings

    settings = read_settings(os.environ)
    token = api_token(settings).strip()
    if not token:
        exit_with_error(
            f"no API token: set TOCSIN_TOKEN, or TOCSIN_STATE_DIR to the state folder of `tocsin up` "
            f"({settings.state_dir} has none)",
            UNUSABLE,
        )
    if not (token.isascii() and token.isprintable()):
        exit_with_error("TOCSIN_TOKEN holds characters that no token has: copy it again", UNUSABLE)
    url = f"{gateway_url(settings)}{path}"
    answer = request(method, url, json=body, params=params, headers={"Authorization": f"Bearer {token}"})
    content = _decoded(answer, url)
    if answer.is_error:
        _refuse(answer.status_code, content, (remedies or {}).get(answer.status_code, ""))
    return content


def request(method: str, url: str, **options: Any) -> "httpx.Response":
    """Send one request. Ends the command if nothing answers. Proxies are ignored for this machine's own addresses."""
    import httpx

    from worker.this_machine import is_this_machine

    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=not is_this_machine(url)) as client:
            return client.request(method, url, **options)
    except httpx.HTTPError as error:
        reason = f"{url} does not answer ({type(error).__name__})"
        exit_with_error(f"{reason}: is `tocsin up` running? {_address_setting()} is its address", UNUSABLE)
    except (httpx.InvalidURL, ValueError, ImportError) as error:  # ImportError: a SOCKS proxy without its package
        exit_with_error(f"{url} cannot be requested: {error}; check {_address_setting()} and HTTP_PROXY", UNUSABLE)


class _Object(dict[str, Any]):
    """An object of an answer. Another program's answer, which lacks a key, ends the command, and is no KeyError."""

    def __missing__(self, key: str) -> NoReturn:
        _not_the_gateway(f"the answer has no {key!r}")


def _decoded(answer: "httpx.Response", url: str) -> "_Object":
    try:
        content = answer.json(object_hook=_Object)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, _Object):
        _not_the_gateway(f"{url} answers {answer.status_code} without JSON")
    return content


def _not_the_gateway(reason: str) -> NoReturn:
    exit_with_error(f"{reason}: is it Tocsin's gateway? {_address_setting()} is its address", UNUSABLE)


def _address_setting() -> str:
    """The setting that the address comes from."""
    return "TOCSIN_GATEWAY_URL" if os.environ.get("TOCSIN_GATEWAY_URL") else "TOCSIN_PUBLIC_URL"


def _refuse(status: int, content: _Object, remedy: str) -> NoReturn:
    remedy = "check TOCSIN_TOKEN" if status == 401 else remedy
    remedy = f"; {remedy}" if remedy else ""
    reasons: list[str] = content.get("reasons", [])
    if len(reasons) == 1:
        remedy, reasons = f": {reasons[0]}{remedy}", []
    typer.echo(f"tocsin: {status} {content.get('detail', '')}{remedy}", err=True)
    for reason in reasons:
        typer.echo(f"  {reason}", err=True)
    raise typer.Exit(1)
