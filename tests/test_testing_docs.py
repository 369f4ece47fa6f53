"""docs/testing.md is correct: its example is a test that runs, and the files and targets that it names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")


def test_example_in_docs_is_a_test() -> None:
    example = (ROOT / "tests" / "workflows" / "test_example.py").read_text(encoding="utf-8")
    assert example.partition("\n\n")[2] in DOCS


def test_paths_in_testing_docs_exist() -> None:
    paths = {path for path in re.findall(r"`((?:tests|benchmarks|docs)/[\w./]+)`", DOCS) if "VERSION" not in path}
    assert len(paths) > 15
    # Histories exist from the first release on.
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert [path for path in missing if not path.startswith("tests/workflows/histories")] == []


def test_targets_in_testing_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", DOCS)) <= targets
