"""The worker registers the search attributes; if it cannot, the log says what is to be done."""

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests import DEV_SERVER
from tests.tcp_proxy import TcpProxy
from worker.temporal import QUICK, register_search_attributes


async def test_silent_temporal_is_no_missing_permission(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands for an administrator are no remedy while Temporal does not answer."""
    async with (
        await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER, dev_server_log_level="error") as env,
        TcpProxy(env.client.service_client.config.target_host) as proxy,
    ):
        client = await Client.connect(proxy.address, retry_config=QUICK)
        proxy.drop_responses()
        await register_search_attributes(client)
    printed = capsys.readouterr().out
    assert "search_attributes_not_registered" in printed
    assert "Temporal did not answer" in printed
    assert "operator search-attribute create" not in printed
