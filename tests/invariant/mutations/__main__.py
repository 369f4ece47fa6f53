"""``python -m tests.invariant.mutations``: a line for each mutation; exits with 1 if the search misses one."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.invariant.mutations.table import MUTATIONS, Mutation

REPOSITORY = Path(__file__).resolve().parents[3]


class StaleMutationError(Exception):
    """The code has changed: the text that a mutation replaces is not there, or is there twice."""


def mutated_files(mutation: Mutation) -> dict[str, str]:
    """The texts of the files that a mutation changes, changed, by their paths in the repository.

    Raises:
        StaleMutationError: the mutation does not apply.
    """
    texts: dict[str, str] = {}
    for edit in mutation.edits:
        file = REPOSITORY / edit.file
        text = texts.get(edit.file) or (file.read_text(encoding="utf-8") if file.exists() else "")
        if text.count(edit.old) != 1:
            raise StaleMutationError(f"{edit.file} has {edit.old.strip()!r} {text.count(edit.old)} times")
        texts[edit.file] = text.replace(edit.old, edit.new)
    return texts


def mutated_copy(mutation: Mutation, folder: Path) -> None:
    """Copy what git knows of the checkout into a folder, and apply a mutation there.

    Raises:
        StaleMutationError: the mutation does not apply.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    for name, text in mutated_files(mutation).items():
        (folder / name).write_text(text, encoding="utf-8")


def check(mutation: Mutation, examples: int) -> tuple[bool, str]:
    """Whether the search finds a mutation, and what it says."""
    with tempfile.TemporaryDirectory(prefix="tocsin-mutation-") as folder:
        try:
            mutated_copy(mutation, Path(folder))
        except StaleMutationError as error:
            return False, f"does not apply: {error}"
        command = [sys.executable, "-m", "tests.invariant.mutations.hunt", "--examples", str(examples)]
        done = subprocess.run(
            [*command, *(["--large"] if mutation.large else [])],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return False, f"missed: {done.stdout.strip()}"
    lines = done.stdout.splitlines()
    if not lines or not lines[0].startswith("found"):
        return False, f"the search itself failed: {done.stderr.strip()[-300:]}"
    return True, lines[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="Streams for each mutation, at most.")
    parser.add_argument("--only", help="Mutations whose kind or name contains this.")
    options = parser.parse_args()
    unchanged = [Mutation("no change", "order", (), large) for large in (False, True)]
    for one in unchanged:
        found, text = check(one, options.examples)
        if found:
            print(f"the code as it is shows a violation, so no mutation can be judged: {text}")
            return 1
    missed = 0
    for mutation in MUTATIONS:
        if options.only and options.only not in f"{mutation.kind} {mutation.name}":
            continue
        found, text = check(mutation, options.examples)
        missed += not found
        print(f"{'ok  ' if found else 'MISS'} {mutation.kind}: {mutation.name}: {text}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
