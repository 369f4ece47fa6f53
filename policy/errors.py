"""What is wrong with a policy, with the place of each fault."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault. ``line`` and ``column`` count from 1; ``path`` is the key's, such as ``rules[2].when``."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class PolicyError(Exception):
    """The policy cannot be used. Holds every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
