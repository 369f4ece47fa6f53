"""A receiver of signed webhooks, which checks the signature as www.standardwebhooks.com says, by itself."""

import base64
import hashlib
import hmac
from typing import Any

from tests.vendors.server import Request, Vendor


class Receiver(Vendor):
    def __init__(self, key: bytes = b"") -> None:
        super().__init__()
        self.key = key
        self.taken: list[str] = []
        """The ids of what was taken, each once: that is what the id is for."""

    def answer(self, request: Request) -> tuple[int, Any]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        missing = {"webhook-id", "webhook-timestamp"} - set(headers)
        self.violations += [f"{name} is missing" for name in missing]
        if self.key:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.raw
            expected = base64.b64encode(hmac.new(self.key, signed, hashlib.sha256).digest()).decode()
            if headers.get("webhook-signature") != f"v1,{expected}":
                self.violations.append("the signature is not that of the body")
        name = headers.get("webhook-id", "")
        if name and name not in self.taken:
            self.taken.append(name)
        return 200, {}
