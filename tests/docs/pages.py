"""The documentation's pages, and what they mention."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.sources import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
POLICY_REFERENCE = (ROOT / "docs" / "policy-reference.md").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)([^`]+)\1(?!`)")


def page_id(page: Path) -> str:
    return page.name


def table(title: str) -> dict[str, list[str]]:
    """The rows of a section's table in docs/reference.md: the further cells, by the name in the first one."""
    section = REFERENCE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|(.*) \|$", section, re.MULTILINE)
    found = {name: [cell.strip() for cell in re.split(r"(?<!\\)\|", rest)] for name, rest in rows}
    assert len(found) == len(rows) == len(re.findall(r"^\| `", section, re.MULTILINE)), f"{title}: a row is malformed"
    return found


def names(cell: str) -> set[str]:
    """What stands in backticks in a cell."""
    return set(re.findall(r"`([^`]+)`", cell))


def code_spans(text: str) -> list[str]:
    """What stands in single or double backticks outside of blocks, each as one line."""
    return [" ".join(code.split()) for _, code in _SPAN.findall(_BLOCK.sub("", text))]


def code_lines(text: str) -> Iterator[str]:
    """All code spans, and all lines of code blocks."""
    yield from code_spans(text)
    for block in _BLOCK.findall(text):
        yield from block.splitlines()[1:-1]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
