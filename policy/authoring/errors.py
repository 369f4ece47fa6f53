"""Problems of a policy, each with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from alerts import TocsinError


@dataclass(frozen=True)
class Problem:
    """One problem. ``line`` and ``column`` count from 1; ``path`` is that of the key, such as ``rules[2].when``.

    An error makes the policy unusable; a warning does not.
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


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order of their places, without duplicates."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line, problem.column)))


class PolicyError(TocsinError):
    """The policy cannot be used. ``problems`` holds all errors and warnings, not only the first."""

    code: ClassVar[str] = "invalid_policy"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sort_problems(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
