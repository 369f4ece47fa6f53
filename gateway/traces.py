"""Where an exception was raised, for the log: types and places, never messages or arguments.

A message may quote what a request contained, a person's text or a secret among it, and may be as long as the request.
"""

import traceback

MAX_FRAMES = 12
MAX_CAUSES = 4


def trace(error: BaseException) -> list[str]:
    """The last frames of an exception, the innermost last, and of the exceptions behind it.

    Returns:
        Lines such as ``ValueError`` and ``gateway/routes/drills.py:41 start_drill``.
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < MAX_CAUSES:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)[-MAX_FRAMES:]
        lines += [type(current).__name__, *(f"{_short(one.filename)}:{one.lineno} {one.name}" for one in frames)]
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return lines


def _short(file: str) -> str:
    """The last three parts of a path."""
    return "/".join(file.split("/")[-3:])
