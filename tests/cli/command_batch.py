"""Runs many commands, each in a process of its own: a fork of one that has loaded the code.

Hundreds of commands would otherwise load it hundreds of times. ``run_batch`` starts this module; everything that a
command can see is as in a process that a shell starts: arguments, environment, folder, descriptors, encoding.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.cli.harness import REPOSITORY

LIMIT = 120
"""Seconds for one command: it ends a command that would never end, and measures nothing."""


@dataclass(frozen=True)
class Line:
    """One command. ``stdout`` is a ``file``, ``closed`` or a ``pipe`` without a reader."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    encoding: str = "utf-8"
    stdout: str = "file"


@dataclass(frozen=True)
class Ended:
    """How it ended: its exit code, or a signal as a negative number."""

    code: int
    stdout: str
    stderr: str


def run_batch(lines: Sequence[Line], environment: Mapping[str, str], folder: Path) -> list[Ended]:
    """Run the lines one after another, each with the environment and its own on top."""
    asked = [{**asdict(line), "environment": {**environment, **line.environment}} for line in lines]
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.command_batch", str(folder)],
        input=json.dumps(asked),
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=LIMIT * 10,
    )
    assert done.returncode == 0, done.stderr
    return [Ended(**one) for one in json.loads(done.stdout)]


def _child(line: Mapping[str, Any], folder: str, output: int, errors: int) -> None:
    """Become the command, and end as it ends."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(line["environment"])
    with open(os.devnull) as null:
        os.dup2(null.fileno(), 0)
    os.dup2(errors, 2)
    if line["stdout"] == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
    else:
        os.dup2(output, 1)
    for name, number in (("stdout", 1), ("stderr", 2)):
        handling = "backslashreplace" if name == "stderr" else "strict"
        setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w"), line["encoding"], handling))
    if line["stdout"] == "closed":
        os.close(1)
        sys.stdout = None
    sys.argv = ["tocsin", *line["arguments"]]
    signal.alarm(LIMIT)
    from cli.main import main

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
        code = 1
    with contextlib.suppress(BrokenPipeError):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _run(line: Mapping[str, Any], folder: str) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            try:
                _child(line, folder, output.fileno(), errors.fileno())
            finally:
                os._exit(70)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        errors.seek(0)
        texts = [file.read().decode("utf-8", "replace") for file in (output, errors)]
    return {"code": code, "stdout": texts[0], "stderr": texts[1]}


def main() -> None:
    from cli.main import Commands

    for module in (*(entry.module for entry in Commands.entries.values()), "worker.supervisor", "worker.worker"):
        import_module(module)
    lines = json.loads(sys.stdin.read())
    print(json.dumps([_run(line, sys.argv[1]) for line in lines]))


if __name__ == "__main__":
    main()
