"""Bearer tokens as people type them into a vendor's settings."""

import pytest

from integrations.base.callback import bearer_token

AUTHENTICATE = bearer_token("ACME_WEBHOOK_SECRET")


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret", "BEARER s3cret", "Bearer  s3cret ", "s3cret"])
@pytest.mark.parametrize("secret", ["s3cret", "Bearer s3cret"])
def test_token_in_any_form_is_accepted(header: str, secret: str) -> None:
    assert AUTHENTICATE({"authorization": header}, b"", ["another", secret]) is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "bearer  "])
def test_missing_token_is_named(header: str) -> None:
    for secrets in (["s3cret"], ["Bearer "], []):
        assert "is missing" in str(AUTHENTICATE({"authorization": header}, b"", secrets))


@pytest.mark.parametrize("header", ["Bearer other", "Basic s3cret", "Bearers3cret", "s3cret s3cret"])
def test_other_token_is_refused(header: str) -> None:
    assert "ACME_WEBHOOK_SECRET" in str(AUTHENTICATE({"authorization": header}, b"", ["s3cret"]))
