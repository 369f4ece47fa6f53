"""Errors that keep a process from starting."""

from typing import ClassVar

from alerts import TocsinError


class StartError(TocsinError):
    """A process cannot start. The text names the problem and the remedy; the command prints it and exits with 1."""

    code: ClassVar[str] = "start_failed"


class SettingError(StartError):
    """A setting has an invalid value. The text names the setting, its value (never a secret) and the valid ones."""

    code: ClassVar[str] = "invalid_setting"
