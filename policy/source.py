"""A policy's files as they were read. The digest is computed from them, and the archive stores them."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from policy.authoring.errors import PolicyError, Problem

SHOWN_DIGITS = 12
MAX_FILES = 200


def short_digest(digest: str) -> str:
    """A policy's digest as people read it: its first digits, which commands accept too. Records keep all of them."""
    digits, slash, speed = digest.partition("/")
    return f"{digits[:SHOWN_DIGITS]}{slash}{speed}"


@dataclass(frozen=True)
class PolicySource:
    """The files, by name and in the order of their names."""

    files: tuple[tuple[str, bytes], ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files, one after another; independent of their names and folder. 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for _, content in self.files:
            digest.update(content)
        return digest.hexdigest()

    def to_json(self) -> str:
        return json.dumps([[name, base64.b64encode(text).decode()] for name, text in self.files])

    @classmethod
    def from_json(cls, text: str) -> "PolicySource":
        """Raises ValueError, TypeError or KeyError if the text was not made by ``to_json``."""
        return cls(tuple((str(name), base64.b64decode(content)) for name, content in json.loads(text)))


def read_source(path: Path) -> PolicySource:
    """Read a policy file, or all ``*.yaml`` files of a folder. Raises PolicyError."""
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    if not files:
        raise PolicyError([Problem(str(path), 1, 1, "", "the folder contains no *.yaml file")])
    if len(files) > MAX_FILES:
        raise PolicyError(
            [Problem(str(path), 1, 1, "", f"the folder contains {len(files)} files; at most {MAX_FILES} are read")]
        )
    content: list[tuple[str, bytes]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            content.append((file.name, file.read_bytes()))
        except OSError as error:
            problems.append(Problem(str(file), 1, 1, "", f"cannot be read: {error.strerror}"))
    if problems:
        raise PolicyError(problems)
    return PolicySource(tuple(content))
