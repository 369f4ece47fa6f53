"""``tocsin token new``."""

import os
from pathlib import Path

from gateway.security.tokens import Tokens
from tests.cli.harness import tocsin


def test_token_is_printed_and_stored_as_hash(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "tokens"
    environment = {**os.environ, "TOCSIN_API_TOKENS": str(file)}
    first = tocsin("token", "new", "responder", "rosa@example.com", environment=environment)
    assert first.returncode == 0, first.stderr
    second = tocsin("token", "new", "viewer", "vera", environment=environment)
    assert "its hash is in" in second.stderr
    tokens = Tokens.read(file)
    shown = [done.stdout.strip() for done in (first, second)]
    assert [(caller.name, caller.role) for one in shown if (caller := tokens.caller(f"Bearer {one}"))] == [
        ("rosa@example.com", "responder"),
        ("vera", "viewer"),
    ]
    assert tokens.in_clear == ()
    assert not any(one in file.read_text() for one in shown)
    assert file.stat().st_mode & 0o077 == 0


def test_invalid_tokens_file_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("hello")
    done = tocsin("token", "new", "viewer", "vera", "--file", str(file), environment=os.environ)
    assert (done.returncode, "tokens:1: expected <role>" in done.stderr) == (1, True)
    assert file.read_text() == "hello"


def test_name_with_a_space_is_refused(tmp_path: Path) -> None:
    done = tocsin("token", "new", "viewer", "vera v", "--file", str(tmp_path / "t"), environment=os.environ)
    assert (done.returncode, (tmp_path / "t").exists()) == (2, False)


def test_plain_tokens_are_reported_by_name(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("viewer vera in-the-clear\nadmin ada sha256:" + "0" * 64)
    assert Tokens.read(tmp_path / "tokens").in_clear == ("vera",)
