"""The gateway's secret file, and how ``tocsin arize connect`` writes it."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.security.secret_file import SecretFile, read_secret_file
from worker.bootstrap import ARIZE_SECRET
from worker.settings import read_settings
from worker.webhook_secret import WebhookSecrets


def secrets_of(folder: Path, **environment: str) -> WebhookSecrets:
    return WebhookSecrets(read_settings({"TOCSIN_STATE_DIR": str(folder), **environment}))


def test_replaced_file_counts_at_once(tmp_path: Path) -> None:
    kept = secrets_of(tmp_path)
    kept.keep("whsec_first")
    file = SecretFile(tmp_path / ARIZE_SECRET)
    assert file() == ("whsec_first",)
    with capture_logs() as logs:
        kept.keep("whsec_second")
        assert file() == ("whsec_second", "whsec_first")
        kept.keep("whsec_third", without={"whsec_first"})
        assert file() == ("whsec_third", "whsec_second")
    assert [(one["event"], one["secrets"]) for one in logs] == [("webhook_secrets_reloaded", 2)] * 2
    assert "whsec" not in str(logs)


def test_lost_or_empty_file_keeps_the_last_secrets(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("a, b,\n")
    file = SecretFile(path)
    path.unlink()
    assert file() == ("a", "b")
    path.write_text("")
    assert file() == ("a", "b")
    path.write_bytes(b"\xff\xfe")
    assert file() == ("a", "b")
    path.write_text("c")
    assert file() == ("c",)
    assert read_secret_file(tmp_path / "nowhere") == ()


def test_file_that_appears_later_is_read(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "secret")
    assert file() == ()
    (tmp_path / "secret").write_text("late")
    assert file() == ("late",)


def test_kept_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    kept = secrets_of(tmp_path / "state")
    kept.check_writable()
    assert not kept.file.exists()
    kept.keep("whsec_x")
    kept.keep("whsec_x")
    assert (kept.file.read_text(), kept.file.stat().st_mode & 0o777) == ("whsec_x\n", 0o600)
    assert [one.name for one in kept.file.parent.iterdir()] == [ARIZE_SECRET]


@pytest.mark.parametrize(
    ("hint", "found"),
    [("whsec_…abcd", "whsec_1abcd"), ("…wxyz", "whsec_2wxyz"), ("whsec_…0000", ""), ("", ""), ("…", ""), ("…d", "")],
)
def test_secret_is_found_by_its_hint(tmp_path: Path, hint: str, found: str) -> None:
    kept = secrets_of(tmp_path, ARIZE_WEBHOOK_SECRET="whsec_1abcd")
    kept.keep("whsec_2wxyz")
    assert kept.find(hint) == found


def test_file_is_the_one_that_the_gateway_reads(tmp_path: Path) -> None:
    assert secrets_of(tmp_path).file == tmp_path / ARIZE_SECRET
    assert secrets_of(tmp_path, ARIZE_WEBHOOK_SECRET_FILE="/run/secrets/arize").file == Path("/run/secrets/arize")
    assert secrets_of(tmp_path, ARIZE_WEBHOOK_SECRET="s").unread
    assert not secrets_of(tmp_path).unread


def test_interruption_is_noted(tmp_path: Path) -> None:
    kept = secrets_of(tmp_path / "state")
    assert kept.pending() == {}
    kept.begin({"name": "tocsin"})
    assert kept.pending() == {"name": "tocsin"}
    kept.end()
    kept.end()
    assert kept.pending() == {}
