"""What is wrong with a policy, with the place of each fault."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """One fault. ``line`` and ``column`` count from 1; ``path`` is the key's, such as ``rules[2].when``.

    An ``error`` makes the policy unusable; a ``warning`` is for the eyes of whoever changes it.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        parts = [
            f"{self.file}:{self.line}:{self.column}",
            "warning" if self.severity == "warning" else "",
            self.path,
            self.message,
        ]
        return ": ".join(part for part in parts if part)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By place, and each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda one: (one.file, one.line, one.column)))


class PolicyError(Exception):
    """The policy cannot be used. Holds every problem found, not only the first, and the warnings too."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
