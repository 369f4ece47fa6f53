"""The worker's own metrics, beside those of Temporal's SDK."""

import subprocess
import sys
from importlib.metadata import version

from tests.ports import unused_port

SERVE = """
import sys
import httpx
from worker.temporal import make_runtime
from worker.worker import create_metrics
address = sys.argv[1]
count_reload = create_metrics(make_runtime(address))
count_reload("loaded")
count_reload("rejected")
print(httpx.get(f"http://{address}/metrics", timeout=60).text)
from cli.process_end import end_process
end_process(None)  # as commands end: the SDK's threads outlive the interpreter
"""


def test_build_and_policy_reloads_are_served() -> None:
    address = f"127.0.0.1:{unused_port()}"
    served = subprocess.run([sys.executable, "-c", SERVE, address], capture_output=True, text=True, timeout=120)
    assert served.returncode == 0, served.stderr
    (build,) = [line for line in served.stdout.splitlines() if line.startswith("tocsin_build_info{")]
    assert f'version="{version("tocsin")}"' in build
    assert build.endswith(" 1")
    reloads = [line for line in served.stdout.splitlines() if line.startswith("tocsin_policy_reloads_total{")]
    assert len(reloads) == 2
    assert any('outcome="rejected"' in line for line in reloads)
