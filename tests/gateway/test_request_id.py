"""The request id: in the answer, in log lines, and bound while Temporal is called."""

import asyncio
from typing import Any

import httpx
import pytest
import structlog
from temporalio import client as temporal_client
from temporalio.client import Client, WorkflowHandle

from gateway.app import create_app
from gateway.request_id import HEADER
from tests.gateway.conftest import TOKEN, GatewayHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")
AUTHORIZATION = {"Authorization": TOKEN}


class Recorder(temporal_client.Interceptor):
    """Records the request id that is bound at each start and signal; a start waits for ``resume``."""

    def __init__(self) -> None:
        self.request_ids: list[str] = []
        self.started, self.resume = asyncio.Event(), asyncio.Event()

    def intercept_client(self, next: temporal_client.OutboundInterceptor) -> temporal_client.OutboundInterceptor:  # noqa: A002
        return _RecordingOutbound(next, self)

    def record(self) -> None:
        self.request_ids.append(structlog.contextvars.get_contextvars().get("request_id", ""))


class _RecordingOutbound(temporal_client.OutboundInterceptor):
    def __init__(self, next: temporal_client.OutboundInterceptor, recorder: Recorder) -> None:  # noqa: A002
        super().__init__(next)
        self._recorder = recorder

    async def start_workflow(self, input: temporal_client.StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        self._recorder.record()
        self._recorder.started.set()
        await self._recorder.resume.wait()
        return await super().start_workflow(input)

    async def signal_workflow(self, input: temporal_client.SignalWorkflowInput) -> None:  # noqa: A002
        self._recorder.record()
        await super().signal_workflow(input)


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
async def test_answer_has_new_request_id(gateway: GatewayHarness, path: str) -> None:
    first, second = await gateway.http.get(path), await gateway.http.get(path)
    assert len(first.headers[HEADER]) == 32
    assert first.headers[HEADER] != second.headers[HEADER]


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("01HV-trace_1.2", True),
        ("x" * 64, True),
        ("short", False),
        ("x" * 65, False),
        ("two words", False),
        ('quo"ted', False),
        ("new\x0bline", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"], ids=["framework", "fast route"])
async def test_valid_request_id_is_kept(gateway: GatewayHarness, method: str, sent: str, is_kept: bool) -> None:
    answer = await gateway.http.request(method, "/webhooks/arize", headers={HEADER: sent})
    assert (answer.headers.get_list(HEADER) == [sent]) is is_kept


async def test_log_lines_have_request_id(gateway: GatewayHarness) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        headers = AUTHORIZATION | {HEADER: "request-of-the-log"}
        answer = await gateway.http.post("/webhooks/arize", json=gateway.alert(), headers=headers)
    logged = next(line for line in lines if line["event"] == "alert_accepted")
    assert (logged["request_id"], logged["incident"]) == ("request-of-the-log", answer.json()["incident"])
    assert not structlog.contextvars.get_contextvars().get("request_id"), "nothing stays bound"


async def test_temporal_is_called_with_request_id(gateway: GatewayHarness) -> None:
    """The alerts of one incident share a background task; each batch has the id of its first alert."""
    recorder = Recorder()
    config: dict[str, Any] = {**gateway.client.config(), "interceptors": [recorder]}
    client = Client(**config)
    app = create_app(gateway.settings(), client)
    alert = gateway.alert()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:

        async def send(number: int, **changes: Any) -> httpx.Response:
            headers = AUTHORIZATION | {HEADER: f"request-{number}"}
            return await http.post("/webhooks/arize", json=alert | changes, headers=headers)

        first = asyncio.create_task(send(0))
        await recorder.started.wait()
        others = [asyncio.create_task(send(number, metric_value=0.3 + number / 100)) for number in (1, 2)]
        for _ in range(100):  # until both wait behind the first
            await asyncio.sleep(0)
        recorder.resume.set()
        assert [(await answer).json()["state"] for answer in (first, *others)] == ["started", "joined", "joined"]
        incident = (await first).json()["incident"]
        headers = {"Authorization": "Bearer r-token", HEADER: "request-of-action"}
        await http.post(f"/api/incidents/{incident}/acknowledge", json={}, headers=headers)
    assert recorder.request_ids == ["request-0", "request-1", "request-of-action"], "two alerts go in one signal"
