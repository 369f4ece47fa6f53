"""How a command fails: one line on standard error, and an exit code.

Exit codes of every command:

- 0: success.
- 1: the command ran, and the answer is no: a check failed, the gateway refused, a setting or a policy is not valid, a
  long-running process could not start.
- 2: the command could not run: wrong usage, a file that is missing or cannot be read, no token, no gateway.
- 3: the audit log's database cannot be read. ``tocsin audit verify`` reports an edited log with 1, and this with 3.
- 130: interrupted by Ctrl-C.
"""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

import typer

FAILED = 1
UNUSABLE = 2
DATABASE = 3


def exit_with_error(message: str, code: int = FAILED, *, located: bool = False) -> NoReturn:
    """Print one error and end the command.

    Args:
        message: the problem and its remedy.
        code: the exit code.
        located: the message starts with ``file:line:column:``, which editors and CI systems parse; no prefix is added.
    """
    typer.echo(message if located else f"tocsin: {message}", err=True)
    raise typer.Exit(code)


@contextmanager
def reported_errors(*, silent: bool = False) -> Generator[None]:
    """Report what a user can cause as one line. Any other exception is a bug and keeps its traceback.

    Args:
        silent: report nothing, for shell completion: its standard error is the line that a person is typing on.
    """
    try:
        yield
    except Exception as error:
        if silent:
            sys.exit(FAILED)
        described = _describe(error)
        if described is None:
            raise
        message, code = described
        typer.echo(message, err=True)
        sys.exit(code)


def _describe(error: Exception) -> tuple[str, int] | None:
    """The text and the exit code of an expected error, or None."""
    if isinstance(error, typer.TyperException):
        text = error.format_message().replace("Value error, ", "")
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command prints its help
            return text, error.exit_code
        text = re.sub(r"[:,]?\s*\n\s*", lambda found: ": " if found[0][0] == ":" else ", ", text)
        command = getattr(getattr(error, "ctx", None), "command_path", "tocsin")
        return f"tocsin: {text.rstrip('.')}; see {command} --help", error.exit_code
    found = _reason(error)
    return (f"tocsin: {found[0]}", found[1]) if found else None


def _reason(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, typer.Abort):
        return "aborted", FAILED
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}", UNUSABLE
    if isinstance(error, UnicodeDecodeError):
        return f"the file is not UTF-8 text: {error.reason} at byte {error.start}", UNUSABLE
    if _is(error, "audit.errors", "SchemaError"):
        return str(error), DATABASE
    if _is(error, "alerts.errors", "TocsinError") or _is(error, "worker.errors", "StartError"):
        return str(error), FAILED
    if _is(error, "policy.authoring.errors", "PolicyError"):
        return f"the policy is not valid:\n{error}", FAILED
    if _is(error, "sqlalchemy.exc", "SQLAlchemyError"):
        # Only the driver's own text: SQLAlchemy's repeats the statement.
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return f"the audit log's database, TOCSIN_DATABASE_URL, cannot be read: {reason}", DATABASE
    return None


def _is(error: Exception, module: str, name: str) -> bool:
    """Whether an exception is of a class, without importing its module: an error cannot come from one not loaded."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)
