"""The standard streams as a command finds them: one may be closed, or use an encoding that lacks a character."""

import codecs
import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Make the standard streams safe to use: no output of a command fails because of the terminal's encoding.

    A closed stream is replaced by the null device. ASCII is what a locale that is not set means: UTF-8 is used
    instead. In other encodings, ``?`` replaces what they lack.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for the process's life
        elif name != "stdin" and isinstance(stream, TextIOWrapper):
            encoding = codecs.lookup(stream.encoding).name
            stream.reconfigure(encoding="utf-8" if encoding == "ascii" else encoding, errors="replace")


def stdout_is_utf8() -> bool:
    """Whether standard output can show every character."""
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
