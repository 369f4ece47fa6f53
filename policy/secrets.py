"""Finds what looks like a secret written into a policy, which anyone who may read the repository would then have."""

import re
from collections.abc import Iterator
from typing import Any, cast

from policy.yaml_file import KeyPath

_LIKE = (
    (re.compile(r"\bxox[a-z]-[\w-]{8,}|\bxapp-[\w-]{8,}"), "a Slack token"),
    (re.compile(r"hooks\.slack\.com/services/\w"), "a Slack webhook's address"),
    (re.compile(r"\b(ghp|gho|ghs|github_pat|glpat)[_-]\w{12,}"), "a token of a code host"),
    (re.compile(r"\b(sk|pk|rk)-[\w-]{16,}"), "an API key"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an AWS key"),
    (re.compile(r"\bwhsec_\w{8,}"), "a webhook's signing secret"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\."), "a signed token"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"^(Bearer|Basic|Token) [\w+/=.-]{8,}$", re.IGNORECASE), "an Authorization header"),
    (re.compile(r"^[a-z]+://[^/\s:@]+:[^/\s@]+@"), "a password in an address"),
    (re.compile(r"^[0-9a-fA-F]{32}$|^[0-9a-fA-F]{40}$|^[0-9a-fA-F]{64}$"), "a key"),
    (re.compile(r"^R0[0-9A-Z]{30}$"), "a PagerDuty routing key"),
)


def looks_like(text: str) -> str:
    """What kind of secret a text looks like, or nothing."""
    return next((what for pattern, what in _LIKE if pattern.search(text)), "")


def written_secrets(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Each text that looks like a secret: where it stands, and what it looks like. The text itself is not repeated."""
    if isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            yield from written_secrets(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from written_secrets(item, (*path, index))
    elif isinstance(value, str):
        what = looks_like(value)
        if what:
            yield path, what
