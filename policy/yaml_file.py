"""YAML with the line and column of every key, read so that no file can harm the reader.

Duplicate keys, bombs of anchors, anchors that contain themselves, and files over 1 MiB are refused.
"""
# ruamel.yaml carries no types: what comes from it is checked here and nowhere else.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
from collections.abc import Iterator
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from policy.errors import PolicyError, Problem

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000  # after aliases are written out: a bomb of anchors ends here

Place = tuple[str, int, int]
"""File, line and column, both counted from 1."""
KeyPath = tuple[str | int, ...]


def read_yaml(name: str, source: bytes) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """The sections of a file, and where each key stands. Raises PolicyError."""

    def refuse(message: str, line: int = 0, column: int = 0) -> PolicyError:
        return PolicyError([Problem(name, line + 1, column + 1, "", message)])

    if len(source) > MAX_BYTES:
        raise refuse(f"the file has {len(source):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse(f"the file is not UTF-8: {error.reason}", source[: error.start].count(b"\n")) from None
    reader = YAML(typ="safe", pure=True)
    try:
        root = cast("Node | None", reader.compose(io.StringIO(text)))
        if root is None:
            raise refuse("the file is empty")
        if _size(root, {}, ()) > MAX_NODES:
            raise refuse(f"anchors and aliases blow it up to over {MAX_NODES:,} values")
        content: Any = reader.load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise refuse(f"not YAML: {_one_line(error.problem or error.context or 'unreadable')}", line, column) from None
    except RecursionError:
        raise refuse("the file is nested too deeply, or an anchor contains itself") from None
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise refuse(f"not YAML: {_one_line(str(error))}") from None
    if not isinstance(content, dict):
        raise refuse("a policy is a map of sections: version, destinations, tiers, models, rules, …")
    sections = {str(key): value for key, value in cast("dict[Any, Any]", content).items()}
    return sections, dict(_marks(name, root, ()))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _size(node: Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    if id(node) in above:
        raise RecursionError
    if id(node) not in known:
        children: list[Node] = []
        if isinstance(node, MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            children = list(node.value)
        known[id(node)] = 1 + sum(_size(child, known, (*above, id(node))) for child in children)
    return known[id(node)]


def _marks(file: str, node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Place]]:
    yield path, (file, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield from _marks(file, value, here)
            yield here, (file, key.start_mark.line + 1, key.start_mark.column + 1)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _marks(file, item, (*path, index))
