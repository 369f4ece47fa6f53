"""Bodies that are refused: no JSON, ambiguous JSON, or too large."""

import pytest

from alerts import AlertError, BodyError, read_alert, read_body


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON: .* at line 1, column 2"),
        (b'{"a": 1} x', "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a": "\xc3\x28"}', "not UTF-8"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"true", "a boolean"),
        (b"7", "a number"),
        (b'{"a": NaN}', "NaN is not a number in JSON"),
        (b'{"a": [-Infinity]}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b'{"x": {"monitor": 1, "monitor": 2}}', "'monitor' appears twice"),
        (b'{"a": 123456789012345678901234567890}', "30 digits"),
        (b'{"a": -' + b"9" * 5000 + b"}", "digits; at most 19"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested deeper than 32"),
        (b"[" * 100_000, "nested deeper than 32|not JSON"),
        (b'{"a": "' + b"x" * 262_144 + b'"}', "262,153 bytes; at most 262,144"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value[:20],
)
def test_invalid_body_is_refused_with_reason(sent: bytes, reason: str) -> None:
    with pytest.raises(BodyError, match=reason):
        read_body(sent)
    with pytest.raises(AlertError):
        read_alert(sent)


def test_thirty_two_levels_are_accepted() -> None:
    assert read_body(b'{"a":' * 32 + b"1" + b"}" * 32)


def test_lone_surrogate_is_replaced() -> None:
    assert read_body(b'{"a": "\\ud800"}') == {"a": "\ufffd"}


def test_largest_body_is_accepted() -> None:
    filler = 262_144 - len(b'{"monitor_name": "m", "x": ""}')
    assert read_alert(b'{"monitor_name": "m", "x": "' + b"x" * filler + b'"}').monitor == "m"


def test_byte_order_mark_is_ignored() -> None:
    assert read_body(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
