"""The command line's figures: CPU time of short commands, beside that of an interpreter that does nothing.

Commands run with compiled bytecode, as after an installation, in a cache of their own.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure
from cli.process_end import end_process

REPOSITORY = Path(__file__).resolve().parent.parent
TURNS = 11
_TOCSIN = ("-m", "cli.main")


@dataclass(frozen=True)
class Command:
    """A command, and how many times the CPU of an idle interpreter it may take."""

    name: str
    arguments: Sequence[str]
    bound: float
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def completion(shell: str, **environment: str) -> Command:
    return Command(f"TAB in {shell}", (), 12, {"_TOCSIN_COMPLETE": f"complete_{shell}", **environment})


COMMANDS = (
    Command("tocsin --help", ("--help",), 12),
    Command("tocsin --version", ("--version",), 12),
    completion("bash", COMP_WORDS="tocsin inc", COMP_CWORD="1"),
    completion("zsh", _TYPER_COMPLETE_ARGS="tocsin inc"),
    completion("fish", _TYPER_COMPLETE_ARGS="tocsin inc", _TYPER_COMPLETE_FISH_ACTION="get-args"),
    Command("tocsin policy check", ("policy", "check"), 30),
    Command("tocsin policy explain", ("policy", "explain", "policies/samples/critical.json"), 30),
)


def figures(scale: float) -> Iterator[Figure]:
    """(c) Each command's CPU time by the interpreter's, as medians of alternating runs."""
    turns = max(int(TURNS * scale), 3)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-cli-") as folder:
        environment = clean_environment(folder)
        for command in COMMANDS:
            _cpu_seconds((*_TOCSIN, *command.arguments), {**environment, **command.environment})  # compiles
        idle: list[float] = []
        taken: dict[str, list[float]] = {command.name: [] for command in COMMANDS}
        for _ in range(turns):
            for command in COMMANDS:
                idle.append(_cpu_seconds(("-c", "pass"), environment))
                arguments = (*_TOCSIN, *command.arguments)
                taken[command.name].append(_cpu_seconds(arguments, {**environment, **command.environment}))
    base = median(idle)
    yield Figure("(c) python -c pass", f"{base * 1000:.0f} ms of CPU")
    for command in COMMANDS:
        seconds = median(taken[command.name])
        ratio = seconds / base
        got = f"{ratio:.1f} times · {seconds * 1000:.0f} ms"
        yield Figure(f"(c) {command.name}", got, f"≤ {command.bound:g} times", ratio <= command.bound)


def clean_environment(cache: str) -> dict[str, str]:
    """This process's environment without Tocsin's settings, with a bytecode cache in a folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TOCSIN_", "_TOCSIN", "COMP_", "PYTHONDONTWRITEBYTECODE"))
    }
    return {**kept, "PYTHONPYCACHEPREFIX": cache, "PYTHONPATH": str(REPOSITORY)}


def _cpu_seconds(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """User and system time of one run of Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=dict(environment), cwd=REPOSITORY, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """``python -m benchmarks.cli``: these figures alone."""
    found = list(figures(1.0))
    for figure in found:
        verdict = "" if not figure.bound else "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.what:<32} {figure.got:<24} {figure.bound:<12} {verdict}")
    return 0 if all(figure.holds for figure in found) else 1


if __name__ == "__main__":
    code = main()
    end_process(SystemExit(code))
    sys.exit(code)
