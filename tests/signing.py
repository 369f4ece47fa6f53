"""Signatures of Arize's webhook as a sender makes them that never signs a body twice in one second."""

import hashlib
import time

from cli.send import signed as signed_at

_used: set[tuple[bytes, str, int]] = set()


def signed(body: bytes, secret: str, event_id: str = "") -> dict[str, str]:
    """Headers whose signature no earlier ones have: equal ones are a replay, which is refused.

    A test that sends a body again would otherwise depend on how many seconds it takes between.
    """
    content, at = hashlib.sha256(body).digest(), int(time.time())
    while (content, secret, at) in _used:
        at -= 1
    _used.add((content, secret, at))
    return signed_at(body, secret, event_id, at)
