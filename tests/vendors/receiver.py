"""A receiver of signed webhooks. It verifies signatures by its own code, as www.standardwebhooks.com specifies."""

import base64
import hashlib
import hmac
from typing import Any

from tests.vendors.server import Request, Vendor


class Receiver(Vendor):
    def __init__(self, key: bytes = b"") -> None:
        super().__init__()
        self.key = key
        self.webhook_ids: list[str] = []
        """The ids of the accepted webhooks, each once: a receiver drops a repeated id."""

    def answer(self, request: Request) -> tuple[int, Any]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if len(request.raw) > 256 * 1024:
            self.violations.append(f"a body of {len(request.raw)} bytes")
            return 413, {}
        missing = {"webhook-id", "webhook-timestamp"} - set(headers)
        self.violations += [f"{name} is missing" for name in missing]
        if self.key:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.raw
            expected = base64.b64encode(hmac.new(self.key, signed, hashlib.sha256).digest()).decode()
            if headers.get("webhook-signature") != f"v1,{expected}":
                self.violations.append("the signature does not match the body")
        name = headers.get("webhook-id", "")
        if name and name not in self.webhook_ids:
            self.webhook_ids.append(name)
        return 200, {}
