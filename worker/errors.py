"""Why a process does not start."""


class StartError(Exception):
    """The text names what is wrong and what helps; the command prints it and ends with exit code 1."""
