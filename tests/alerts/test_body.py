"""Bodies that are refused: no JSON, ambiguous JSON, or too large."""

import sys

import pytest

from alerts import Alert, AlertError, BodyError, read_alert, read_body


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON: .* at line 1, column 2"),
        (b'{"a": 1} x', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"\xff\xfe{", "not UTF-16"),
        (b'{"a": "\xc3\x28"}', "not UTF-8"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b"true", "a boolean"),
        (b"7", "a number"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b'{"x": {"monitor": 1, "monitor": 2}}', "'monitor' appears twice"),
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_unicode_encodings_are_read(encoding: str) -> None:
    sent = '{"monitor_name": "Ausfall \u00fcber 5 \u20ac", "x": "\U0001f525"}'
    assert read_alert(sent.encode(encoding)).monitor == "Ausfall \u00fcber 5 \u20ac"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json; charset=iso-8859-1", "latin-1"),
        ('application/json;charset="Windows-1252"', "cp1252"),
        ("application/json; charset=UTF-8", "utf-8"),
        ("application/json; charset=utf-16", "utf-16"),
        ("application/json; charset=iso-8859-1", "utf-8"),
        ("text/plain; charset=gbk", "gbk"),
    ],
)
def test_stated_charset_is_read(content_type: str, encoding: str) -> None:
    assert read_body('{"a": "\u00e9"}'.encode(encoding), content_type) == {"a": "\u00e9"}


@pytest.mark.parametrize("charset", ["rot13", "hex", "unicode_escape", "utf-7", "none", "zlib"])
def test_other_codecs_are_not_used(charset: str) -> None:
    with pytest.raises(BodyError, match="not UTF-8"):
        read_body(b'{"a": "\xe9"}', f"application/json; charset={charset}")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("100000000000000000000", 1e20),
        ("1" * 308, float("1" * 308)),
        ("9" * 400, sys.float_info.max),
        ("9" * 100_000, sys.float_info.max),
        ("1e999", sys.float_info.max),
        ("-1e999999999999999999999", -sys.float_info.max),
        ("1e-999", 0.0),
        ("Infinity", sys.float_info.max),
        ("-Infinity", -sys.float_info.max),
        ("NaN", None),
        ("0.1234567890123456789", 0.1234567890123456789),
    ],
    ids=lambda value: str(value)[:30],
)
def test_every_number_is_read(written: str, value: float | None) -> None:
    sent = f'{{"monitor_name": "m", "metric_value": {written}, "other": [{written}]}}'.encode()
    alert = read_alert(sent)
    assert alert.value == value
    assert Alert.model_validate_json(alert.model_dump_json()).value == value


def test_key_twice_with_one_value_is_read() -> None:
    assert read_body(b'{"a": 1, "b": {"c": [2]}, "b": {"c": [2]}}') == {"a": 1, "b": {"c": [2]}}
