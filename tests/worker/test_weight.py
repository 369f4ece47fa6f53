"""What a process carries that it does not use is memory that nobody gets back."""

import subprocess
import sys

SAY = """
import sys
import worker.worker_role
from activities.destinations import destination_types
destination_types()
print([name for name in ("matplotlib", "numpy", "uvicorn") if name in sys.modules])
"""


def test_a_worker_that_draws_no_chart_loads_no_library_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
