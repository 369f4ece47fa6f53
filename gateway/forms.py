"""Reads the fields of a form that a browser posts."""

from urllib.parse import parse_qs

from alerts import BodyError
from gateway.problems import Problem

MAX_FIELDS = 100


def form_fields(body: bytes) -> dict[str, str]:
    """The first value of each field of an ``application/x-www-form-urlencoded`` body.

    Raises:
        Problem: 400, the body is not in UTF-8 or has more than 100 fields.
    """
    try:
        fields = parse_qs(body.decode(), max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:  # also UnicodeDecodeError
        reason = "it is not in UTF-8" if isinstance(error, UnicodeDecodeError) else f"it has over {MAX_FIELDS} fields"
        raise Problem(400, f"the body is not a form that can be read: {reason}", code=BodyError.code) from None
    return {name: values[0] for name, values in fields.items()}
