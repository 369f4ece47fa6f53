"""What a first start makes for itself in the state folder, so that nothing ever runs open to anyone."""

import hashlib
import secrets
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path

ARIZE_SECRET = "arize-webhook-secret"  # noqa: S105  # a file's name
PAGERDUTY_SECRET = "pagerduty-webhook-secret"  # noqa: S105
LINK_SECRET = "link-secret"  # noqa: S105
TOKENS = "api-tokens"
LOCAL_TOKEN = "local-token"  # noqa: S105  # a file's name
ADDRESS = "address"
"""Where the gateway of the running ``tocsin up`` is, for the commands that talk to it."""
_MADE = {
    "ARIZE_WEBHOOK_SECRET": ARIZE_SECRET,
    "PAGERDUTY_WEBHOOK_SECRET": PAGERDUTY_SECRET,
    "TOCSIN_LINK_SECRET": LINK_SECRET,
}


def complete(environment: MutableMapping[str, str], state_dir: Path) -> list[str]:
    """Set what is needed and not set, from files that are made where they are not there yet.

    Returns a line for each setting that came from a file.
    """
    # What is made in it later, databases too, is for its owner only.
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    told: list[str] = []
    for name, file in _MADE.items():
        if environment.get(name) or (name == "ARIZE_WEBHOOK_SECRET" and environment.get("ARIZE_WEBHOOK_TOKEN")):
            continue
        prefix = "whsec_" if name == "ARIZE_WEBHOOK_SECRET" else ""
        environment[name] = _kept(state_dir / file, partial(_secret, prefix))
        if name != "TOCSIN_LINK_SECRET":  # nobody outside has to know it
            told.append(f"{name} is not set: using {state_dir / file}")
    if not environment.get("TOCSIN_API_TOKENS"):
        path = state_dir / TOKENS
        if not (state_dir / LOCAL_TOKEN).exists():
            there = _kept(path, lambda: "# <role> <name> <sha256:HEX of a token>")
            line = token_line("admin", "local-admin", _kept(state_dir / LOCAL_TOKEN, new_token))
            path.write_text(f"{there}\n{line}\n", encoding="utf-8")
        environment["TOCSIN_API_TOKENS"] = str(path)
        told.append(f"TOCSIN_API_TOKENS is not set: using {path}")
    return told


def local_token(state_dir: Path) -> str:
    """The token that ``tocsin up`` made for the commands on this machine, or nothing."""
    try:
        return (state_dir / LOCAL_TOKEN).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def new_token() -> str:
    return secrets.token_urlsafe(24)


def token_line(role: str, name: str, token: str) -> str:
    """How a token stands in the tokens' file: its hash, from which nobody gets the token back."""
    return f"{role} {name} sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def _secret(prefix: str) -> str:
    return prefix + secrets.token_hex(24)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The file's text; where it is not there, what ``make`` gives, kept readable for its owner only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make() + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
