"""What an author probably meant where YAML cannot be read, or is read as something else."""

import re
from collections.abc import Sequence

_COMMENT = re.compile(r"(?:[:,\[]|^\s*-)\s+(#[^\s#][^\s,}\]]*)")
"""A ``#`` where a value begins: YAML reads everything after it as a comment."""
_INDICATORS = {
    "\t": "a tab: YAML is indented with spaces only",
    "@": "a text that begins with @ must be quoted",
    "`": "a text that begins with ` must be quoted",
    "%": "a text that begins with % must be quoted",
}


def comment_slip(line: str) -> str:
    """The remedy for a value that is lost in a comment, as in ``channel: #ops``; empty if there is none."""
    found = _COMMENT.search(line)
    return f'everything from # on is a comment: quote it, "{found[1]}"' if found else ""


def yaml_slip(problem: str, lines: Sequence[str], first: int, last: int) -> tuple[str, int | None]:
    """What is meant by text that is not YAML.

    Args:
        problem: the reader's message.
        lines: of the file.
        first, last: the lines, counted from 0, in which the reader was when it gave up.

    Returns:
        The message, empty if nothing is known, and the line that it is about, if that is another one.
    """
    for number in range(max(first, 0), min(last, len(lines) - 1) + 1):
        if message := comment_slip(lines[number]):
            return message, number
    if indicator := re.search(r"found character '(\\t|.)' that cannot start", problem):
        return _INDICATORS.get(indicator[1].replace("\\t", "\t"), ""), None
    if key := re.match(r'found duplicate key "([^"]{1,63})"', problem):
        return f"the key {key[1]!r} stands here twice; remove or rename one", None
    if "constructor for the tag" in problem:
        return "a text that begins with ! must be quoted; a condition too", None
    if "alias" in problem or "anchor" in problem or "but found '<anchor>'" in problem:
        return "a text that begins with & or * must be quoted; a condition too", None
    if "mapping values are not allowed" in problem:
        return "a text that contains a colon and a space must be quoted", None
    line = lines[last] if 0 <= last < len(lines) else ""
    if re.search(r"\bwhen:\s*[^'\">|\s]", line):
        return "put the condition in single quotes, or after when: > on lines of its own", None
    if re.search(r"\bwhen:\s*\"", line):
        return "put the whole condition in single quotes: it ends at its second double quote", None
    if "unexpected end of stream" in problem:
        return "a quote or a bracket that begins here is not closed", first
    return "", None
