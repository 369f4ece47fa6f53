"""Finds texts in a policy that look like secrets. A policy is kept in a repository, where many people can read it."""

import re
from collections.abc import Iterator
from typing import Any, cast

from policy.yaml_file import KeyPath

_PATTERNS = (
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


def secret_kind(text: str) -> str:
    """The kind of secret that a text looks like; empty if it looks like none."""
    return next((kind for pattern, kind in _PATTERNS if pattern.search(text)), "")


def find_secrets(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """The path and the kind of each text that looks like a secret. The text itself is not returned."""
    if isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            yield from find_secrets(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from find_secrets(item, (*path, index))
    elif isinstance(value, str):
        kind = secret_kind(value)
        if kind:
            yield path, kind
