"""Where a policy may take secrets from.

A policy is text that many people may change, and whatever it names is sent out: Tocsin's own variables and files are
never a destination's secret.
"""

from collections.abc import Mapping
from pathlib import Path

FOLDERS_VARIABLE = "TOCSIN_SECRET_DIRS"
DEFAULT_FOLDERS = ("/run/secrets", "/var/run/secrets", "/etc/tocsin/secrets")
OWN_PREFIXES = ("TOCSIN_", "ARIZE_", "TEMPORAL_", "OTEL_")
"""Of the variables that Tocsin, Temporal's client and the exporter of traces read."""
OWN_NAMES = frozenset({"PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSSLKEY", "PGSSLPASSWORD"})
"""Of the variables that PostgreSQL's client library reads."""
_SERVICE_ACCOUNT = "kubernetes.io"  # Kubernetes mounts the pod's own token in /var/run/secrets/kubernetes.io
_MAX_BYTES = 64 * 1024


def is_own(variable: str) -> bool:
    """Whether Tocsin itself reads this environment variable."""
    return variable.upper().startswith(OWN_PREFIXES) or variable.upper() in OWN_NAMES


def secret_folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders that may hold secrets, by ``TOCSIN_SECRET_DIRS``."""
    stated = [part.strip() for part in environment.get(FOLDERS_VARIABLE, "").split(",") if part.strip()]
    return tuple(Path(one).resolve() for one in stated or DEFAULT_FOLDERS)


def file_fault(file: str, environment: Mapping[str, str]) -> str:
    """Why a file may not be a destination's secret; empty if it may. Links are followed."""
    try:
        path = Path(file).resolve()
        folders = secret_folders(environment)
        if not any(path.is_relative_to(folder) for folder in folders):
            listed = " or ".join(dict.fromkeys(map(str, folders)))
            return f"is not in a folder for secrets, {listed}; {FOLDERS_VARIABLE} names the folders"
        if _SERVICE_ACCOUNT in path.parts or _is_own_file(path, environment):
            return "is a secret of Tocsin itself, which no destination may receive"
    except (OSError, ValueError, RuntimeError) as error:  # a null byte; links in a circle
        return f"is no path of a file: {error}"
    return ""


def _is_own_file(path: Path, environment: Mapping[str, str]) -> bool:
    state = environment.get("TOCSIN_STATE_DIR") or ".tocsin"
    if path.is_relative_to(Path(state).resolve()):
        return True
    named = [value for name, value in environment.items() if is_own(name) and name != FOLDERS_VARIABLE and value]
    return any(path == Path(value).resolve() for value in named if len(value) < 4096 and "\0" not in value)


def read_secret_file(file: str, environment: Mapping[str, str]) -> str | None:
    """The secret; None if the file may not be one, cannot be read, is empty or is no text."""
    if file_fault(file, environment):
        return None
    try:
        path = Path(file)
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None
