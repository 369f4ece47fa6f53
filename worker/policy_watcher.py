"""The policy in force: validated as a whole, reloaded when its files change, and never replaced by an invalid one."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from integrations.base.console_fallback import with_console_fallback
from integrations.base.registry import destination_types
from policy import Policy, PolicyError, PolicySource, load_policy, parse_policy
from worker.settings import Settings

POLL_INTERVAL = 1.0  # seconds; a change is loaded when two polls in a row see the same files
STATE_FILE = "policy-in-force.json"
"""In the state folder: the last valid policy, for a start that finds an invalid one."""
MAX_SHOWN_PROBLEMS = 3

_log = structlog.get_logger()

Fingerprint = tuple[tuple[str, int, int, int], ...]
Accept = Callable[[Policy], None]
"""Prepares a validated policy for use. If it raises, the previous policy stays in force."""
Outcome = Literal["loaded", "unchanged", "rejected"]


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy, and the names of the secrets that are not set, by the destination that needs them."""

    policy: Policy
    missing_secrets: dict[str, str]
    problems: tuple[str, ...] = ()
    """Errors in the policy's files, if an earlier policy is in force instead."""


@dataclass(frozen=True)
class PolicyStatus:
    """The digest of the policy in force, and the problems of a newer one that was rejected."""

    digest: str
    rejected: str = ""
    failures: str = ""
    """What could not be evaluated lately; the alerts were decided in doubt."""

    def __str__(self) -> str:
        rejected = f"a change is rejected: {self.rejected}" if self.rejected else ""
        return "; ".join(part for part in (self.digest, rejected, self.failures) if part)


def load_configured_policy(settings: Settings) -> LoadedPolicy:
    """The policy in the configured files. If the settings allow it, the console replaces destinations without secrets.

    Raises:
        PolicyError: the files hold no valid policy.
    """
    return _apply_settings(load_policy(settings.policy, destination_types(), settings.environment), settings)


def load_policy_at_start(settings: Settings) -> LoadedPolicy:
    """The policy in the configured files or, if they are invalid, the one that was last in force.

    A process that is restarted while an invalid change lies on the disk therefore decides as before.

    Raises:
        PolicyError: the files are invalid, and no policy was in force before with the same ``TOCSIN_POLICY`` and state
            folder.
    """
    try:
        return load_configured_policy(settings)
    except PolicyError as error:
        last = _last_in_force(settings)
        if last is None:
            raise
        loaded = _apply_settings(last, settings)
        return LoadedPolicy(loaded.policy, loaded.missing_secrets, tuple(_errors(error)))


def _last_in_force(settings: Settings) -> Policy | None:
    try:
        state = json.loads((settings.state_dir / STATE_FILE).read_text(encoding="utf-8"))
        if state["path"] != str(settings.policy.absolute()):
            return None
        return parse_policy(PolicySource.from_json(state["source"]), destination_types(), settings.environment)
    except (OSError, ValueError, TypeError, KeyError, PolicyError):
        return None


def _save(settings: Settings, policy: Policy) -> None:
    file = settings.state_dir / STATE_FILE
    part = file.with_suffix(f".{os.getpid()}")
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        state = {"path": str(settings.policy.absolute()), "source": policy.source.to_json()}
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        _log.warning("policy_not_saved", file=str(file), error=str(error))


def _errors(error: PolicyError) -> list[str]:
    return [str(one) for one in error.problems if one.severity == "error"]


def _apply_settings(policy: Policy, settings: Settings) -> LoadedPolicy:
    if settings.speed != 1.0:
        policy = policy.scaled(settings.speed)
    replaced, missing_secrets = with_console_fallback(policy, settings.environment)
    return LoadedPolicy(replaced if settings.console_fallback else policy, missing_secrets)


class PolicyWatcher:
    """Holds the policy in force, and replaces it when its files change to another valid policy."""

    def __init__(
        self,
        settings: Settings,
        *,
        accept: Accept | None = None,
        count: Callable[[Outcome], None] | None = None,
        count_failure: Callable[[str], None] | None = None,
    ) -> None:
        """Load the policy.

        Args:
            accept: called before a policy comes into force.
            count: called with the outcome of each reload.
            count_failure: called with the place of each condition that cannot be evaluated, such as ``rules.slow``.

        Raises:
            PolicyError: there is no valid policy. Whatever ``accept`` raises is raised, too.
        """
        self._settings = settings
        self._accept: Accept = accept or _ignore
        self._count: Callable[[Outcome], None] = count or _ignore
        self._count_failure: Callable[[str], None] = count_failure or _ignore
        self._rejected = ""
        self._fingerprint = fingerprint(settings.policy)
        self._reload_requested = asyncio.Event()
        loaded = load_policy_at_start(settings)
        self.policy: Policy = self._watched(loaded.policy)
        self.missing_secrets: dict[str, str] = loaded.missing_secrets
        self._accept(self.policy)
        if loaded.problems:
            self._reject(list(loaded.problems))
        else:
            _save(settings, self.policy)

    def current(self) -> Policy:
        return self.policy

    def status(self) -> PolicyStatus:
        return PolicyStatus(self.policy.digest, self._rejected, str(self.policy.failures))

    def request_reload(self) -> None:
        """Load the files now, whether or not they changed: the meaning of SIGHUP."""
        self._reload_requested.set()

    async def watch(self) -> None:
        """Poll the files until cancelled."""
        previous = self._fingerprint
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reload_requested.wait(), POLL_INTERVAL)
            found = await asyncio.to_thread(fingerprint, self._settings.policy)
            is_stable = found == previous  # otherwise an editor may still be writing
            if self._reload_requested.is_set() or (found != self._fingerprint and is_stable):
                self._reload_requested.clear()
                self._fingerprint = found
                await self.reload()
            previous = found

    async def reload(self) -> None:
        """Validate the files, and put their policy in force if it is valid. Never raises for an invalid policy."""
        try:
            loaded = await asyncio.to_thread(load_configured_policy, self._settings)
            self._accept(loaded.policy)  # also if it is unchanged: the file of a secret may have changed
            if loaded.policy.digest == self.policy.digest and not self._rejected:
                _log.info("policy_unchanged", policy=loaded.policy.digest)
                self._count("unchanged")
                return
        except PolicyError as error:
            self._reject(_errors(error))
        except LookupError as error:
            self._reject([str(error.args[0])])
        except Exception as error:  # noqa: BLE001  # the policy in force keeps deciding, and the error is reported
            _log.exception("policy_reload_failed")
            self._reject([f"{type(error).__name__}: {error}"])
        else:
            before = self.policy.digest
            self.policy, self._rejected = self._watched(loaded.policy), ""
            self.missing_secrets = loaded.missing_secrets
            _log.warning("policy_loaded", policy=self.policy.digest, before=before, rules=len(self.policy.rules))
            self._count("loaded")
            await asyncio.to_thread(_save, self._settings, self.policy)

    def _watched(self, policy: Policy) -> Policy:
        """The policy, whose failures are logged and counted."""

        def failed(place: str, reason: str, is_first: bool) -> None:
            self._count_failure(place)
            if is_first:
                _log.error("condition_failed", place=place, error=reason, policy=policy.digest)

        policy.failures.listener = failed
        return policy

    def _reject(self, problems: list[str]) -> None:
        hidden = len(problems) - MAX_SHOWN_PROBLEMS
        self._rejected = "; ".join(problems[:MAX_SHOWN_PROBLEMS]) + (f" (and {hidden} more)" if hidden > 0 else "")
        _log.error("policy_rejected", in_force=self.policy.digest, problems=problems[:50])
        self._count("rejected")


def _ignore(_: object) -> None:
    pass


def fingerprint(path: Path) -> Fingerprint:
    """A value that changes when the policy's files change, computed without reading them."""
    found: list[tuple[str, int, int, int]] = []
    try:
        files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        for file in files:
            status = file.stat()  # follows links: a mounted ConfigMap is changed by replacing links
            found.append((file.name, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError as error:
        found.append((str(error.filename), 0, 0, error.errno or 0))
    return tuple(found)
