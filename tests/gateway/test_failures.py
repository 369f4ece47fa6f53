"""Errors of the gateway's own: a 500 that says nothing of the request in the log, and that is limited by source."""

import httpx
import pytest
from fastapi import Request, Response
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.security.rates import Rates
from tests.gateway.conftest import GatewayHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")
SENT = "what a customer said " * 5_000


async def fail(request: Request) -> Response:
    """An endpoint with a fault: the error quotes the body, as many do."""
    body = (await request.body()).decode()
    try:
        int(body)
    except ValueError as error:
        raise RuntimeError(f"cannot use {body}") from error
    return Response()


async def fail_fast(request: Request, services: object) -> Response:
    del services
    return await fail(request)


@pytest.fixture
def failing(gateway: GatewayHarness) -> httpx.AsyncClient:
    app = create_app(gateway.settings(rates=Rates(refused="3/minute")), gateway.client)
    app.add_api_route("/api/fails", fail, methods=["POST"])
    app.add_fast_route("POST", "/webhooks/fails", fail_fast)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.mark.parametrize("path", ["/api/fails", "/webhooks/fails"])
async def test_failure_is_logged_without_the_request(failing: httpx.AsyncClient, path: str) -> None:
    with capture_logs() as logs:
        answers = [await failing.post(path, content=SENT[:100_000]) for _ in range(10)]
    assert [one.status_code for one in answers] == [500] * 3 + [429] * 7
    assert {one.headers["content-type"] for one in answers} == {"application/problem+json"}
    assert answers[0].json()["detail"] == "the gateway failed on this request; its log has the details"
    assert [one["event"] for one in logs] == ["request_failed"] * 3, "a limited source writes no log"
    assert (logs[0]["error"], logs[0]["path"], logs[0]["method"]) == ("RuntimeError", path, "POST")
    trace = logs[0]["trace"]
    assert any(line.startswith("tests/gateway/test_failures.py:") and line.endswith(" fail") for line in trace)
    assert {"RuntimeError", "ValueError"} <= set(trace), "the cause is named, too"
    assert "customer" not in str(logs)
    assert len(str(logs[0])) < 5_000


async def test_failure_of_a_page_is_a_page(gateway: GatewayHarness) -> None:
    app = create_app(gateway.settings(), gateway.client)
    app.add_api_route("/incidents/fails/now", fail, methods=["POST"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        answer = await http.post("/incidents/fails/now", content=SENT)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "customer" not in answer.text
