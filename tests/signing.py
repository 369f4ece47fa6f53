"""Signatures of Arize's webhook as a sender makes them that never signs a body twice in one second."""

import hashlib
import time

from cli.send import signed as signed_at


class Signer:
    """Signs what one gateway gets."""

    def __init__(self) -> None:
        self._used: set[tuple[bytes, str, int]] = set()

    def signed(self, body: bytes, secret: str, event_id: str = "") -> dict[str, str]:
        """Headers whose signature no earlier ones have: equal ones are a replay, which is refused.

        A test that sends a body again would otherwise depend on how many seconds it takes between.
        """
        content, at = hashlib.sha256(body).digest(), int(time.time())
        while (content, secret, at) in self._used:
            at -= 1
        self._used.add((content, secret, at))
        return signed_at(body, secret, event_id, at)


SIGNER = Signer()
"""For all gateways of a process."""
signed = SIGNER.signed
