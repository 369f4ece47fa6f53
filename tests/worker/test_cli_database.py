"""Commands whose database is away, or is none: a line that says so, and no password."""

import os

import pytest

from tests.processes import tocsin

READERS = [
    ("audit", "verify"),
    ("audit", "show", "incident-x"),
    ("audit", "export", os.devnull),
    ("policy", "show", "0123456789ab"),
    ("policy", "show", "--list"),
    ("policy", "diff", "policies/tocsin.yaml", "policies/tocsin.yaml"),
]


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_that_it_is_away_is_said_in_a_line(command: tuple[str, ...]) -> None:
    url = "postgresql://tocsin:geheim@127.0.0.1:1/tocsin"
    done = tocsin(*command, environment={**os.environ, "TOCSIN_DATABASE_URL": url})
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("the audit log's database, TOCSIN_DATABASE_URL, cannot be read: connection failed")
    assert len(done.stderr.splitlines()) == 1
    assert "geheim" not in done.stderr


@pytest.mark.parametrize("command", [("audit", "verify"), ("worker",), ("incidents", "list")], ids=" ".join)
def test_a_setting_that_cannot_be_meant_is_said_in_a_line(command: tuple[str, ...]) -> None:
    done = tocsin(*command, environment={**os.environ, "TOCSIN_DATABASE_URL": "mysql://tocsin:geheim@db/tocsin"})
    assert done.returncode == 1
    assert done.stderr.startswith("tocsin: TOCSIN_DATABASE_URL is not sqlite:"), done.stderr
    assert len(done.stderr.splitlines()) == 1
