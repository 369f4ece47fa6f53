"""The base of Tocsin's exceptions, and the errors of webhooks' bodies."""

from typing import ClassVar


class TocsinError(Exception):
    """The base of all of Tocsin's own exceptions. ``code`` is stable: logs, metrics and clients may rely on it."""

    code: ClassVar[str] = "tocsin_error"


class AlertError(TocsinError):
    """The body is valid JSON, but no alert can be read from it. ``reasons`` are sentences for its sender."""

    code: ClassVar[str] = "invalid_alert"

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class BodyError(AlertError):
    """The body is not JSON that Tocsin reads. ``fault`` is the kind of fault: the same for every body that has it."""

    code: ClassVar[str] = "invalid_body"

    def __init__(self, reason: str, fault: str = "invalid JSON") -> None:
        super().__init__(reason)
        self.fault = fault


class TooLargeError(BodyError):
    """The body is over the size limit."""

    code: ClassVar[str] = "body_too_large"
