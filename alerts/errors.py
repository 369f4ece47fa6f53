"""What is wrong with what was sent."""


class AlertError(Exception):
    """The body is sound JSON, yet no alert can be made of it. ``reasons`` are sentences for its sender."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class BodyError(AlertError):
    """The body is not JSON that this side is willing to read."""


class TooLargeError(BodyError):
    """The body is over the size limit."""
