"""Dumps of the audit database's schema and rows as SQL, and databases that are created from such a dump."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

SCHEMAS = Path(__file__).parent / "schemas"
"""One dump a release and a database, with a few rows in each table: ``1.0.0.sqlite.sql``."""


def released_versions() -> list[str]:
    """The releases that have a dump."""
    return sorted({file.name.rsplit(".", 2)[0] for file in SCHEMAS.glob("*.sql")})


def dump_file(version: str, url: str) -> Path:
    return SCHEMAS / f"{version}.{make_url(url).get_backend_name()}.sql"


def dump(url: str, *, rows: bool = True) -> str:
    """The database as SQL. Two databases with the same schema, and the same rows, have equal dumps."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(address.database))) as connection:
            if rows:
                return "\n".join(connection.iterdump()) + "\n"
            query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
            return ";\n".join(row[0] for row in connection.execute(query))
    pg_dump = shutil.which("pg_dump")
    if not pg_dump:
        pytest.skip("PostgreSQL's client is not installed here: pg_dump is needed")
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    options = ["--inserts", "--no-owner", "--no-privileges", *([] if rows else ["--schema-only"])]
    done = subprocess.run([pg_dump, *options, plain], capture_output=True, text=True, check=True)
    # Comments name the server's version, and lines with a backslash are for psql alone.
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\"))]
    return re.sub(r"\n{2,}", "\n", "\n".join(lines)).strip() + "\n"


def restore(sql: str, url: str) -> None:
    """Execute a dump in an empty database."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(address.database))) as connection:
            connection.executescript(sql)
        return
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(sql)
    engine.dispose()
