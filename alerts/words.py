"""Words of a monitor's notes that say what the monitor object has no field for: ``owner:growth-ml``."""

import re
from collections.abc import Mapping

from alerts import values

KEYS = (
    "environment",
    "env",
    "kind",
    "team",
    "owner",
    "service",
    "runbook",
    "baseline",
    "region",
    "model",
    "serious_incident",
)
"""The keys that are read; any other word with a colon is text."""
_ENVIRONMENT = frozenset({"env", "deployment.environment", "deployment.environment.name"})
"""Other names of the environment; the dotted ones are OpenTelemetry's."""
_WORD = re.compile(rf"(?<![\w:/])({'|'.join(KEYS)})[:=]\s?(\"[^\"]{{1,255}}\"|[^\s,;]+)", re.IGNORECASE)
_BEFORE = 60  # characters before a word that are read
_NEGATED = re.compile(
    r"\b(?:not|no|never|except|excluding|excludes?|without|but|unless|ignore[sd]?|skip(?:s|ped)?|non|isn't|don't|doesn't)"
    r"(?: \w+){0,3}[ ([\"'-]*$",
    re.IGNORECASE,
)
"""Words before a word with a colon that say the opposite: ``not for env:staging``."""


def words_of(notes: str) -> dict[str, str]:
    """The ``key:value`` words of notes. A value with spaces stands in double quotes; the first of equal keys counts."""
    found: dict[str, str] = {}
    for word in _WORD.finditer(notes):
        if not _NEGATED.search(notes[max(0, word.start() - _BEFORE) : word.start()]):
            value = values.clean(word[2].strip('"').rstrip(".,;)"), values.NAME_CHARS)
            found.setdefault(_named(word[1]), value)
    return {key: value for key, value in found.items() if value}


def with_usual_keys(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels, and those of ``Env``, ``Team``, … also under the names of ``KEYS`` that Tocsin reads."""
    usual = {name: value for key, value in labels.items() if value and key != (name := _named(key)) and name in KEYS}
    return {**usual, **labels}


def _named(key: str) -> str:
    folded = key.casefold()
    return "environment" if folded in _ENVIRONMENT else folded
