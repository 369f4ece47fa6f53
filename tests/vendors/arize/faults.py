"""Faults of one face of the tenant, REST or GraphQL, without touching the other."""

import json
from collections import deque
from dataclasses import dataclass, field

from tests.vendors.server import Fault

_JSON = {"Content-Type": "application/json"}


@dataclass
class Face:
    """What the next requests of one face meet: first what is scripted, then what is always so."""

    denied_body: str
    """The JSON that this face answers when it refuses a key or a permission."""
    faults: deque[Fault] = field(default_factory=deque[Fault])
    always: Fault | None = None

    def script(self, *faults: Fault) -> None:
        """The faults of the next requests of this face, one each."""
        self.faults.extend(faults)

    def next(self) -> Fault | None:
        return self.faults.popleft() if self.faults else self.always

    def meet(self, fault: Fault, times: int | None = None) -> None:
        """Let every request meet a fault, or only the next ones."""
        if times is None:
            self.always = fault
        else:
            self.script(*[fault] * times)

    def slow(self, seconds: float, times: int | None = None) -> None:
        """Responses come late, and are right."""
        self.meet(Fault(delay=seconds), times)

    def rate_limited(self, retry_after: float = 1, times: int | None = None) -> None:
        problem = {"title": "Too Many Requests", "status": 429, "detail": "rate limit exceeded"}
        self.meet(Fault(429, {**_JSON, "Retry-After": str(retry_after)}, json.dumps(problem)), times)

    def unauthorized(self, times: int | None = None) -> None:
        """The key is refused: revoked, or of another account."""
        self.meet(Fault(401, _JSON, self.denied_body), times)

    def permission_denied(self, times: int | None = None) -> None:
        """The key is known and may not do this. GraphQL says so in ``errors`` of a response with status 200."""
        graphql = '"errors"' in self.denied_body
        self.meet(Fault(200 if graphql else 403, _JSON, self.denied_body), times)

    def broken(self, status: int = 500, times: int | None = None) -> None:
        problem = {"title": "Internal Server Error", "status": status, "detail": "unexpected error"}
        self.meet(Fault(status, _JSON, json.dumps(problem)), times)

    def wrong_json(self, body: str = '{"unexpected": [1, null, "two"]}', times: int | None = None) -> None:
        """Status 200 with JSON of another shape."""
        self.meet(Fault(200, _JSON, body), times)

    def html(self, times: int | None = None) -> None:
        """Status 200 with a page, as a proxy's login form."""
        page = "<!doctype html><title>Sign in</title><p>Please sign in.</p>"
        self.meet(Fault(200, {"Content-Type": "text/html"}, page), times)

    def hang_up(self, times: int | None = None) -> None:
        """The connection ends in the middle of the response."""
        self.meet(Fault(200, _JSON, '{"id": "TW9u', cut=True), times)

    def outage(self, times: int | None = None) -> None:
        """The connection ends without a response."""
        self.meet(Fault(reset=True), times)

    def recover(self) -> None:
        self.faults.clear()
        self.always = None
