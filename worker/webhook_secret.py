"""Where ``tocsin arize connect`` keeps the signing secret of Arize's webhook, which Arize shows only once."""

import json
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from gateway.security.secret_file import read_secret_file
from worker.bootstrap import ARIZE_SECRET
from worker.settings import Settings

PENDING = "arize-webhook-pending"
"""The file that exists while a webhook is being created, so that the next run knows of an interruption."""


class WebhookSecrets:
    """The signing secrets that the gateway of these settings reads, and the file to which one can be added."""

    def __init__(self, settings: Settings, file: Path | None = None) -> None:
        """
        Args:
            settings: Of the gateway.
            file: Keep secrets in this file instead of the gateway's, for a gateway elsewhere.
        """
        self._stated = settings.secrets("ARIZE_WEBHOOK_SECRET")
        self.state_dir = settings.state_dir
        self.file = (file or settings.arize_webhook_secret_file or settings.state_dir / ARIZE_SECRET).absolute()
        self.elsewhere = file is not None
        """Whether the file is not the one that the gateway reads."""
        self.unread = bool(self._stated) and settings.arize_webhook_secret_file is None and not self.elsewhere
        """Whether ARIZE_WEBHOOK_SECRET is set, so that ``tocsin up`` does not read the file."""

    def find(self, hint: str) -> str:
        """The known secret that a hint such as ``whsec_…abcd`` is for; empty if there is none."""
        tail = re.search(r"[A-Za-z0-9+/=_-]*$", hint)
        end = tail[0] if tail else ""
        known = (*self._stated, *read_secret_file(self.file))
        return next((one for one in known if len(end) >= 2 and one.endswith(end)), "")

    def check_writable(self) -> None:
        """Raises OSError if a secret could not be kept: then none must be created."""
        temporary = self._write("")
        temporary.unlink()

    def keep(self, secret: str, without: Collection[str] = ()) -> None:
        """Add a secret to the file, for its owner only. Secrets of other webhooks stay valid.

        Args:
            secret: Becomes the first one in the file.
            without: Secrets that are not valid any more.
        """
        others = [one for one in read_secret_file(self.file) if one != secret and one not in without]
        os.replace(self._write(",".join([secret, *others]) + "\n"), self.file)

    def _write(self, text: str) -> Path:
        """A new file beside the one with the secrets, on the disk."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    # ── A creation that may be interrupted ──────────────────────────────────────────────────────────────────

    def begin(self, webhook: Mapping[str, Any]) -> None:
        """Note that a webhook is being created."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.state_dir / PENDING).write_text(json.dumps(dict(webhook)), encoding="utf-8")

    def pending(self) -> dict[str, Any]:
        """What ``begin`` noted; empty if no creation was interrupted."""
        with suppress(OSError, ValueError):
            found: Any = json.loads((self.state_dir / PENDING).read_text(encoding="utf-8"))
            return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        return {}

    def end(self) -> None:
        (self.state_dir / PENDING).unlink(missing_ok=True)
