"""The databases that every test of the audit log runs on: SQLite, and a real PostgreSQL server."""

import itertools
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from audit import AuditLog
from tests.postgres import postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Generator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Returns the URL of another empty database at each call."""

    def create() -> str:
        name = f"audit_{next(_numbers)}"
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path}/{name}.db"
        server: str = request.getfixturevalue("postgres_server")
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return make_url(server).set(database=name).render_as_string(hide_password=False)

    return create


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def log(url: str) -> Generator[AuditLog]:
    log = AuditLog(url)
    yield log
    log.close()
