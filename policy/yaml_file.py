"""Reads YAML with the line and column of every key, and protects against malicious files.

Duplicate keys, exponential aliases, anchors that contain themselves, and files over 1 MiB are rejected.
"""
# ruamel.yaml is untyped: its results are checked in this file only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from policy.authoring.errors import PolicyError, Problem
from policy.authoring.yaml_slips import yaml_slip

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000  # after aliases are expanded: limits exponential aliases

Place = tuple[str, int, int]
"""File, line and column, both counted from 1."""
KeyPath = tuple[str | int, ...]


def format_path(path: KeyPath) -> str:
    """``rules[2].when``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass
class Places:
    """The place of each key in one or more files, and of each character of a text."""

    keys: dict[KeyPath, Place] = field(default_factory=dict[KeyPath, Place])
    _texts: dict[KeyPath, tuple[Place, ScalarNode, list[str]]] = field(
        default_factory=dict[KeyPath, tuple[Place, ScalarNode, list[str]]]
    )

    _lines: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def of(self, path: KeyPath, otherwise: str) -> Place:
        """The place of a key, or of its nearest parent that exists; ``otherwise`` is the file's name."""
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path, (otherwise, 1, 1))

    def within(self, path: KeyPath, offset: int) -> Place | None:
        """The place of a character of a text, counted from 0; None if escapes or folding make it uncertain."""
        if path not in self._texts:
            return None
        (file, line, column), node, lines = self._texts[path]
        quoted = node.style in {"'", '"'}
        if node.style in {"|", ">"}:
            return _in_block(file, line, lines, node.value, offset)
        single = lines[line - 1][column - 1 + quoted :]
        if single.startswith(node.value):  # on one line, without escapes
            return file, line, column + quoted + offset
        return None

    def line(self, path: KeyPath) -> str:
        """The line of the file in which a key stands; empty if there is no such key."""
        file, number, _ = self.keys.get(path, ("", 0, 0))
        lines = self._lines.get(file, [])
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def merge(self, other: "Places") -> None:
        """Add the places of another file; known ones are kept."""
        self.keys = {**other.keys, **self.keys}
        self._texts = {**other._texts, **self._texts}
        self._lines |= other._lines

    def add(self, name: str, root: Node, text: str) -> None:
        lines = self._lines[name] = text.split("\n")
        for path, place, node in _marks(name, root, ()):
            if isinstance(node, ScalarNode):
                self._texts.setdefault(path, (place, node, lines))
            else:
                self.keys.setdefault(path, place)


def _in_block(file: str, line: int, lines: list[str], value: str, offset: int) -> Place | None:
    """A place in a block scalar, where each line break is one character, kept (``|``) or folded (``>``)."""
    left = offset
    first = next((text for text in lines[line:] if text.strip()), "")
    indent = len(first) - len(first.lstrip(" "))
    read = value.replace("\n", " ")
    for index, text in enumerate(lines[line:], line + 1):
        content = text[indent:]
        if not read.startswith(content):
            return None  # blank or deeper lines are folded by other rules
        if left <= len(content):
            return file, index, indent + left + 1
        left -= len(content) + 1
        read = read[len(content) + 1 :]
    return None


_POLICY_SHAPE = "a policy is a map of sections: version, destinations, tiers, models, rules, …"


def read_yaml(name: str, source: bytes, places: Places, shape: str = _POLICY_SHAPE) -> dict[str, Any]:
    """Read the sections of a file, and add its places to ``places``. Raises PolicyError.

    Args:
        name: The file's name.
        source: Its content.
        places: Receives the place of every key.
        shape: What the file should be: the error for a file that is no map of sections.
    """

    def rejected(message: str, line: int = 0, column: int = 0) -> PolicyError:
        return PolicyError([Problem(name, line + 1, column + 1, "", message)])

    if len(source) > MAX_BYTES:
        raise rejected(f"the file has {len(source):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise rejected(f"the file is not UTF-8: {error.reason}", source[: error.start].count(b"\n")) from None
    reader = YAML(typ="safe", pure=True)
    try:
        root = cast("Node | None", reader.compose(io.StringIO(text)))
        if root is None:
            raise rejected("the file is empty")
        if _size(root, {}, ()) > MAX_NODES:
            raise rejected(f"anchors and aliases expand it to over {MAX_NODES:,} values")
        content: Any = reader.constructor.construct_document(root)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        problem = _one_line(error.problem or error.context or "unreadable")
        began = min(error.context_mark.line, line) if error.context_mark else line
        slip, at = yaml_slip(problem, text.split("\n"), began, line)
        where = (line, column) if at is None else (at, 0)
        # The reader's own words repeat what it found, which may be a secret.
        raise rejected(f"not YAML: {slip or problem.partition(' with value ')[0]}", *where) from None
    except RecursionError:
        raise rejected("the file is nested too deeply, or an anchor contains itself") from None
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise rejected(f"not YAML: {_one_line(str(error))}") from None
    if not isinstance(content, dict):
        raise rejected(shape)
    places.add(name, root, text)
    return {str(key): value for key, value in cast("dict[Any, Any]", content).items()}


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


def _marks(file: str, node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Place, Node | None]]:
    """The places of all values, with their nodes, and of all keys, without."""
    place = (file, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, ScalarNode):
        yield path, place, node
    if isinstance(node, MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield here, (file, key.start_mark.line + 1, key.start_mark.column + 1), None
            yield from _marks(file, value, here)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _marks(file, item, (*path, index))
    yield path, place, None
