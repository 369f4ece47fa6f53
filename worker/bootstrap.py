"""Secrets and tokens that a first start generates in the state folder, so that nothing runs without authentication."""

import hashlib
import secrets
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path

from worker.settings import Settings

ARIZE_SECRET = "arize-webhook-secret"  # noqa: S105  # the name of a file
PAGERDUTY_SECRET = "pagerduty-webhook-secret"  # noqa: S105
LINK_SECRET = "link-secret"  # noqa: S105
TOKENS = "api-tokens"
LOCAL_TOKEN = "local-token"  # noqa: S105  # the name of a file
ADDRESS = "address"
"""The file with the gateway's address of the running ``tocsin up``, for the commands that call it."""
GENERATED = {
    "ARIZE_WEBHOOK_SECRET": ARIZE_SECRET,
    "PAGERDUTY_WEBHOOK_SECRET": PAGERDUTY_SECRET,
    "TOCSIN_LINK_SECRET": LINK_SECRET,
}
"""The file of each generated secret, by its setting."""


def ensure_secrets(environment: MutableMapping[str, str], state_dir: Path) -> list[str]:
    """Set the secrets that are not set from files in the state folder, which are generated if they do not exist.

    Returns:
        One sentence for each setting that was taken from a file and that a user may have to know.
    """
    # Databases are created in this folder later; all of it is readable by its owner only.
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    notices: list[str] = []
    for name, file in GENERATED.items():
        if environment.get(name) or (name == "ARIZE_WEBHOOK_SECRET" and environment.get("ARIZE_WEBHOOK_TOKEN")):
            continue
        prefix = "whsec_" if name == "ARIZE_WEBHOOK_SECRET" else ""
        environment[name] = _read_or_create(state_dir / file, partial(_secret, prefix))
        if name != "TOCSIN_LINK_SECRET":  # nobody outside needs to know it
            notices.append(f"{name} is not set: using {state_dir / file}")
    if not environment.get("TOCSIN_API_TOKENS"):
        path = state_dir / TOKENS
        if not (state_dir / LOCAL_TOKEN).exists():
            existing = _read_or_create(path, lambda: "# <role> <name> <sha256:HEX of a token>")
            line = token_line("admin", "local-admin", _read_or_create(state_dir / LOCAL_TOKEN, new_token))
            path.write_text(f"{existing}\n{line}\n", encoding="utf-8")
        environment["TOCSIN_API_TOKENS"] = str(path)
        notices.append(f"TOCSIN_API_TOKENS is not set: using {path}")
    return notices


def local_token(state_dir: Path) -> str:
    """The token that ``tocsin up`` generated for the commands on this machine; empty if it did not."""
    try:
        return (state_dir / LOCAL_TOKEN).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def new_token() -> str:
    return secrets.token_urlsafe(24)


def token_line(role: str, name: str, token: str) -> str:
    """A line of the tokens file. It holds the token's hash, from which the token cannot be recovered."""
    return f"{role} {name} sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def gateway_url(settings: Settings) -> str:
    """The gateway's address for callers on the inside.

    TOCSIN_GATEWAY_URL or TOCSIN_PUBLIC_URL, otherwise the address that the running ``tocsin up`` wrote down: it takes
    another port if the configured one is in use.
    """
    if settings.gateway_url:
        return settings.gateway_url
    file = settings.state_dir / ADDRESS
    if settings.is_set("public_url") or not file.exists():
        return settings.public_url
    return file.read_text(encoding="utf-8").strip()


def api_token(settings: Settings) -> str:
    """TOCSIN_TOKEN, otherwise the local token of ``tocsin up``; empty without either."""
    return settings.token.get_secret_value() or local_token(settings.state_dir)


def _secret(prefix: str) -> str:
    return prefix + secrets.token_hex(24)


def _read_or_create(path: Path, create: Callable[[], str]) -> str:
    """The text of the file, which is created with the text of ``create``, for its owner only, if it does not exist."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(create() + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
