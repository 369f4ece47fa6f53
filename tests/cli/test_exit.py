"""A process stops when it is asked to, also during a call to Temporal."""

import subprocess
import sys

import pytest

from tests import DEV_SERVER

STOP = """
import asyncio, sys
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from worker.logs import configure
from worker.temporal import make_runtime
configure("info", "test")

async def main():
    quiet = {"dev_server_existing_path": sys.argv[1], "dev_server_log_level": "never"}
    async with await WorkflowEnvironment.start_local(**quiet) as env:
        address = env.client.service_client.config.target_host
        client = await Client.connect(address, runtime=make_runtime())
    calls = [asyncio.create_task(client.count_workflows("")) for _ in range(30)]
    await asyncio.sleep(1)
    print("stopping", flush=True)

asyncio.run(main())
from cli.process_end import end_process
end_process(None)  # as commands end: the SDK's threads outlive the interpreter
"""


def test_exit_does_not_wait_for_temporal() -> None:
    command = [sys.executable, "-c", STOP, DEV_SERVER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "stopping"), done.stderr


FINALIZED = """
import atexit, sys
import cli.main
if sys.argv[1] == "loaded":
    import temporalio.client

atexit.register(print, "registered functions ran")
sys.argv = ["tocsin", *sys.argv[2:]]
cli.main.main()
"""


@pytest.mark.parametrize(("arguments", "code"), [(("--version",), 0), (("policy", "check", "nofile"), 2)])
@pytest.mark.parametrize("sdk", ["loaded", "not loaded"])
def test_interpreter_is_not_finalized_under_native_threads(sdk: str, arguments: tuple[str, ...], code: int) -> None:
    """A thread of the SDK that calls into a finalizing interpreter aborts the process: exit code 134."""
    command = [sys.executable, "-v", "-c", FINALIZED, sdk, *arguments]  # -v reports what the interpreter finalizes
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr[-2000:]
    assert "registered functions ran" in done.stdout
    assert ("# cleanup[2] removing sys" in done.stderr) == (sdk == "not loaded")
