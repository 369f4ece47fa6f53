"""Secrets and tokens that a first start generates in the state folder, so that nothing runs without authentication."""

import hashlib
import os
import secrets
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path

from worker.errors import StartError
from worker.setting_types import default_public_url
from worker.settings import Settings

ARIZE_SECRET = "arize-webhook-secret"  # noqa: S105  # the name of a file
PAGERDUTY_SECRET = "pagerduty-webhook-secret"  # noqa: S105
LINK_SECRET = "link-secret"  # noqa: S105
CHANGES_SECRET = "changes-secret"  # noqa: S105
TOKENS = "api-tokens"
LOCAL_TOKEN = "local-token"  # noqa: S105  # the name of a file
LOCAL_ADMIN = "local-admin"
"""The owner of that token."""
ADDRESS = "address"
"""The file with the gateway's address of the running ``tocsin up``, for the commands that call it."""
GENERATED = {
    "ARIZE_WEBHOOK_SECRET": ARIZE_SECRET,
    "PAGERDUTY_WEBHOOK_SECRET": PAGERDUTY_SECRET,
    "TOCSIN_LINK_SECRET": LINK_SECRET,
    "TOCSIN_CHANGES_SECRET": CHANGES_SECRET,
}
"""The file of each generated secret, by its setting."""
_INSTEAD = ("ARIZE_WEBHOOK_TOKEN", "ARIZE_WEBHOOK_SECRET_FILE")
"""Settings without which Arize's webhooks need a signing secret."""


def ensure_secrets(environment: MutableMapping[str, str], state_dir: Path) -> list[str]:
    """Set the secrets that are not set from files in the state folder, which are generated if they do not exist.

    Of the secret of Arize's webhook, the file itself is set.

    Args:
        environment: the variables, which are changed.
        state_dir: the folder, which is created.

    Returns:
        One sentence for each setting that was taken from a file and that a user may have to know.

    Raises:
        StartError: a file cannot be read or written.
    """
    # Databases are created in this folder later; all of it is readable by its owner only.
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    notices: list[str] = []
    for name, file in GENERATED.items():
        if environment.get(name) or (name == "ARIZE_WEBHOOK_SECRET" and any(map(environment.get, _INSTEAD))):
            continue
        # 48 hexadecimal digits are also base64, of 36 bytes, as Standard Webhooks expects it after the prefix.
        prefix = "whsec_" if name in {"ARIZE_WEBHOOK_SECRET", "TOCSIN_CHANGES_SECRET"} else ""
        secret = _read_or_create(state_dir / file, partial(_secret, prefix))
        if name == "ARIZE_WEBHOOK_SECRET":  # `tocsin arize connect` replaces it while the gateway runs
            environment["ARIZE_WEBHOOK_SECRET_FILE"] = str(state_dir / file)
        else:
            environment[name] = secret
        if name != "TOCSIN_LINK_SECRET":  # nobody outside needs to know it
            notices.append(f"{name} is not set: using {state_dir / file}")
    if not environment.get("TOCSIN_API_TOKENS"):
        path = state_dir / TOKENS
        if not (state_dir / LOCAL_TOKEN).exists():
            _add_local_token(path, state_dir / LOCAL_TOKEN)
        environment["TOCSIN_API_TOKENS"] = str(path)
        notices.append(f"TOCSIN_API_TOKENS is not set: using {path}")
    return notices


def _add_local_token(tokens: Path, file: Path) -> None:
    """Create the token of the commands on this machine. Its hash is in the tokens file before the token is anywhere."""
    token = new_token()
    lines = _read(tokens).splitlines() if tokens.exists() else ["# <role> <name> <sha256:HEX of a token>"]
    # An earlier one's token was never written, or is lost.
    kept = [line for line in lines if line.split()[:2] != ["admin", LOCAL_ADMIN]]
    _write(tokens, "\n".join([*kept, token_line("admin", LOCAL_ADMIN, token)]))
    _write(file, token)


def local_token(state_dir: Path) -> str:
    """The token that ``tocsin up`` generated for the commands on this machine; empty if it did not.

    Raises:
        StartError: its file cannot be read.
    """
    file = state_dir / LOCAL_TOKEN
    return _read(file) if file.exists() else ""


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
    return _read(file)


def local_url(settings: Settings) -> str:
    """The gateway's address on this machine, as it listens there; never a proxy's or the public one."""
    return default_public_url({"host": settings.host, "port": settings.port})


def api_token(settings: Settings) -> str:
    """TOCSIN_TOKEN, otherwise the local token of ``tocsin up``; empty without either."""
    return settings.token.get_secret_value() or local_token(settings.state_dir)


def _secret(prefix: str) -> str:
    return prefix + secrets.token_hex(24)


def _read_or_create(path: Path, create: Callable[[], str]) -> str:
    """The text of the file, which is created with the text of ``create``, for its owner only, if it has none.

    Raises:
        StartError: it cannot be read or written.
    """
    if not path.exists() or not _read(path):
        _write(path, create())
    return _read(path)


def _read(path: Path) -> str:
    """The text of a file, without space around it. Raises StartError."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise StartError(f"{path} cannot be read: it is not UTF-8 text; delete it, and `tocsin up` makes one") from None
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}; check who may read the state folder") from None


def _write(path: Path, text: str) -> None:
    """Write a file for its owner only: the whole text or, if the process is killed meanwhile, none. StartError"""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(new, "w", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise StartError(
            f"{path} cannot be written: {error.strerror}; check who may write to the state folder, and its disk"
        ) from None
