"""What the documentation mentions exists: links, paths, make targets, commands, metrics, endpoints."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, anchors, code_lines, code_spans, page_id
from tests.docs.sources import PRODUCT, ROOT, commands, endpoints, metrics, modules

FOLDERS = (*PRODUCT, "policies", "tests", "benchmarks", "docs", ".ci")
METRIC = r"(tocsin_[a-z_]+)(?:\{.*\})?"
pages = pytest.mark.parametrize("page", PAGES, ids=page_id)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def texts_in_the_code() -> Iterator[str]:
    """Docstrings, messages and help."""
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


# ── Links, paths and targets ────────────────────────────────────────────────────────────────────────────────────────


@pages
def test_relative_links_exist(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(text_of(file)), f"{target}#{anchor}"


@pages
def test_mentioned_paths_exist(page: Path) -> None:
    assert [path for path in mentioned_paths(text_of(page)) if not (ROOT / path).exists()] == []


def test_paths_in_the_code_exist() -> None:
    paths = {path for text in texts_in_the_code() for path in mentioned_paths(text)}
    assert len(paths) > 3
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def mentioned_paths(text: str) -> Iterator[str]:
    """Code spans that are a path in one of the checkout's folders. ``VERSION`` and ``<vendor>`` stand for any name.

    A path with a colon before a block is a file that the reader writes.
    """
    for span in code_spans(re.sub(r"^`[^`]+`:\n\n```", "\n```", text, flags=re.MULTILINE)):
        if re.fullmatch(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*", span):
            yield re.split(r"/[A-Z]+(?:/|$)", span)[0]


@pages
def test_mentioned_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    mentioned = {
        found[1] for line in code_lines(text_of(page)) if (found := re.match(r"(?:\w+=\S+ )*make ([a-z]+)", line))
    }
    assert mentioned <= targets


def test_targets_of_the_makefile_are_documented() -> None:
    makefile = text_of(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) - {"clean"}
    documented = {line.split()[1] for line in code_lines(text_of(ROOT / "CONTRIBUTING.md")) if line.startswith("make ")}
    assert targets <= documented


# ── Commands, metrics, endpoints ────────────────────────────────────────────────────────────────────────────────────


@pages
def test_mentioned_commands_exist(page: Path) -> None:
    assert [fault for line in code_lines(text_of(page)) for fault in command_faults(line)] == []


def test_commands_in_the_code_exist() -> None:
    """Messages, help and docstrings name commands in backticks, too."""
    spans = {
        span
        for text in texts_in_the_code()
        for span in code_spans(text)
        if span.startswith("tocsin ") and "|" not in span
    }
    assert len(spans) > 10
    assert [fault for span in spans for fault in command_faults(span)] == []


def command_faults(line: str) -> Iterator[str]:
    """What a line of code says of ``tocsin`` and its options that is not so."""
    for _, call in re.findall(r"(^|[\s/(])tocsin((?: [^\s`|;&]+)+)", line.partition(" #")[0]):
        words = call.split()
        if not re.fullmatch(r"[a-z]+|--[a-z-]+", words[0]):
            continue  # a program's argument, or a placeholder
        path = "tocsin"
        while words and commands()[path].is_group and f"{path} {words[0]}" in commands():
            path += f" {words.pop(0)}"
        if commands()[path].is_group and words and re.match(r"[a-z]", words[0]):
            yield f"there is no command {path} {words[0]}"
        for option in words:
            if option.startswith("--") and option.partition("=")[0] not in commands()[path].options:
                yield f"{path} has no option {option}"


@pages
def test_mentioned_metrics_exist(page: Path) -> None:
    mentioned = {found[1] for span in code_spans(text_of(page)) if (found := re.fullmatch(METRIC, span))}
    assert mentioned <= metrics().keys()


@pages
def test_mentioned_endpoints_exist(page: Path, tmp_path: Path) -> None:
    known = endpoints(tmp_path)
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", r"[^/\\s]+", re.escape(one))) for one in known]
    for line in code_spans(text_of(page)):
        if re.match(r"(GET|POST|PUT|PATCH|DELETE) /", line):
            assert any(pattern.fullmatch(line) for pattern in patterns), line
        elif re.match(r"/(webhooks|api|codec|incidents)/|/[a-z]+z$", line):
            assert any(pattern.fullmatch(f"{method} {line}") for pattern in patterns for method in ("GET", "POST")), (
                line
            )


# ── Examples, and the version ───────────────────────────────────────────────────────────────────────────────────────


def test_example_of_the_testing_page_is_a_test() -> None:
    example = text_of(ROOT / "tests" / "workflows" / "test_example.py")
    assert example.partition("\n\n")[2] in text_of(ROOT / "docs" / "testing.md")


def test_version_stands_in_one_place() -> None:
    version = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["version"]
    repeated = [
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.strip("v") == version
    ]
    assert repeated == []
    # Compose cannot read pyproject.toml: the tag of the image that it builds must follow.
    assert set(re.findall(r"image: tocsin:(\S+)", text_of(ROOT / "docker-compose.yml"))) == {version}


def test_body_of_the_webhook_destination_is_complete() -> None:
    page = text_of(ROOT / "docs" / "destinations.md")
    block = page.split("\n## Webhook\n")[1].split("```json\n")[1].split("```")[0]
    golden = json.loads((ROOT / "tests" / "integrations" / "golden" / "webhook.json").read_text(encoding="utf-8"))
    sent, shown = golden[0]["body"]["data"], json.loads(block)["data"]
    assert shown == {**sent, "facts": sent["facts"][:1], "links": sent["links"][:1]}
