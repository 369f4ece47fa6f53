"""What a first start makes for itself in the state folder, so that nothing ever runs open to anyone."""

import secrets
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path

ARIZE_SECRET = "arize-webhook-secret"  # noqa: S105  # a file's name
PAGERDUTY_SECRET = "pagerduty-webhook-secret"  # noqa: S105
LINK_SECRET = "link-secret"  # noqa: S105
TOKENS = "api-tokens"
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
    state_dir.mkdir(parents=True, exist_ok=True)
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
        _kept(path, _tokens)
        environment["TOCSIN_API_TOKENS"] = str(path)
        told.append(f"TOCSIN_API_TOKENS is not set: using {path}")
    return told


def local_token(path: Path, role: str = "admin") -> str:
    """The plain token of a role in a tokens' file, or nothing where only its hash is there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        parts = line.split()
        if len(parts) == 3 and parts[0] == role and not parts[2].startswith("sha256:"):
            return parts[2]
    return ""


def _secret(prefix: str) -> str:
    return prefix + secrets.token_hex(24)


def _tokens() -> str:
    lines = [
        f"{role} local-{role} {secrets.token_urlsafe(24)}" for role in ("viewer", "responder", "compliance", "admin")
    ]
    return "# <role> <name> <token, or sha256:HEX of it>\n" + "\n".join(lines)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The file's text; where it is not there, what ``make`` gives, kept readable for its owner only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make() + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
