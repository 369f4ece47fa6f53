"""A policy's text as it was read: what its digest is made of, and what is kept of every policy that decided."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from policy.errors import PolicyError, Problem

DIGEST_CHARS = 12
MOST_FILES = 200


@dataclass(frozen=True)
class PolicySource:
    """The files by name, in the order of their names."""

    files: tuple[tuple[str, bytes], ...]

    @cached_property
    def digest(self) -> str:
        """Names the content: the same files, the same digest, whatever their names and place."""
        whole = hashlib.sha256()
        for _, content in self.files:
            whole.update(content)
        return whole.hexdigest()[:DIGEST_CHARS]

    def to_json(self) -> str:
        return json.dumps([[name, base64.b64encode(text).decode()] for name, text in self.files])

    @classmethod
    def from_json(cls, text: str) -> "PolicySource":
        """Raises ValueError, TypeError or KeyError where it is none."""
        return cls(tuple((str(name), base64.b64decode(content)) for name, content in json.loads(text)))


def read_source(path: Path) -> PolicySource:
    """Read a policy file, or a folder of ``*.yaml`` files. Raises PolicyError."""
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    if not files:
        raise PolicyError([Problem(str(path), 1, 1, "", "the folder holds no *.yaml file")])
    if len(files) > MOST_FILES:
        raise PolicyError([Problem(str(path), 1, 1, "", f"the folder holds {len(files)} files; at most {MOST_FILES}")])
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
