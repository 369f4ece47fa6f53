"""What a command says whose database does not answer."""

from collections.abc import Generator
from contextlib import contextmanager

import typer


@contextmanager
def database_needed() -> Generator[None]:
    """For a command that reads the audit log's database: that it is away is said in a line, with exit code 3.

    It is not 1, by which ``tocsin audit verify`` says that somebody edited the log.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        typer.echo(f"the audit log's database, TOCSIN_DATABASE_URL, cannot be read: {why}", err=True)
        raise typer.Exit(3) from None
