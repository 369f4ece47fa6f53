"""The code of a release, built from its commit: what the upgrade test starts its incidents with."""

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.waiting import SLOW_MACHINE

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("baseline.txt")
"""A tag or commit: the release whose incidents today's code must take over. ``HEAD`` until there is one; then the test
proves that workers of the same code can be rolled."""


def baseline() -> str:
    return BASELINE.read_text().strip()


def build_wheel(commit: str, folder: Path) -> Path:
    """Build the wheel of a commit. Skips the test if the clone does not have the commit.

    Args:
        commit: A tag, a commit, or HEAD.
        folder: An existing folder for the sources and the wheel.
    """
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", "--format=tar", commit], capture_output=True, check=False
    )
    if archive.returncode:
        reason = archive.stderr.decode(errors="replace").strip()
        pytest.skip(f"this clone does not have {commit}, the release in {BASELINE.name}: {reason}")
    sources = folder / "sources"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(sources, filter="data")
    uv = shutil.which("uv") or shutil.which("uv", path=str(REPOSITORY / ".tools" / "bin"))
    assert uv, "uv builds the release's wheel, and is not installed: `make acceptance` installs it into .tools"
    command = [uv, "build", "--wheel", "--python", sys.executable, "--out-dir", str(folder), str(sources)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=3 * SLOW_MACHINE, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def release_code(commit: str, folder: Path) -> Path:
    """A folder with the code of a commit, as its wheel would install it."""
    folder.mkdir(parents=True)
    wheel, code = build_wheel(commit, folder), folder / "code"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(code)
    return code
