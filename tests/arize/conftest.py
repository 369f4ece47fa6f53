"""What the tests of the stand-in tenant share: an endpoint that receives its webhooks."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.vendors import Request, Vendor


class Endpoint(Vendor):
    """Receives webhooks, and accepts all of them unless a fault is scripted."""

    def answer(self, request: Request) -> tuple[int, Any]:
        return 202, {"received": True}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as vendor:
        yield vendor
