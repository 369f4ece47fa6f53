"""The policy as the processes use it: checked whole, reloaded when it changes, and never replaced by a bad one."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from activities.destinations import destination_types, with_console
from policy import Policy, PolicyError, PolicySource, load_policy, parse_policy
from worker.settings import Settings

LOOK_EVERY = 1.0  # seconds; a change is loaded when two looks in a row see the same
IN_FORCE = "policy-in-force.json"
"""In the state folder: the last good policy, for a start that finds a bad one."""
_SHOWN = 3  # problems of a refused policy, in one line

_log = structlog.get_logger()

Stamp = tuple[tuple[str, int, int, int], ...]
Accept = Callable[[Policy], None]
"""Takes a checked policy into use; raises where it cannot, and then the old one stays."""


def policy_in_force(settings: Settings) -> tuple[Policy, dict[str, str]]:
    """The policy, and the destinations that lack a secret, with what each lacks.

    Where the settings say so, the console stands in for those. Raises PolicyError.
    """
    return _as_settings_say(load_policy(settings.policy, destination_types(), settings.environment), settings)


def policy_at_start(settings: Settings) -> tuple[Policy, dict[str, str], list[str]]:
    """The same, and what is wrong with the file where the policy that was last in force stands in for it.

    A process that dies while a bad change lies on the disk comes up again and decides as it did. Raises PolicyError
    where nothing good was in force before, under the same ``TOCSIN_POLICY`` and in the same state folder.
    """
    try:
        return (*policy_in_force(settings), [])
    except PolicyError as error:
        last = _last_in_force(settings)
        if last is None:
            raise
        return (*_as_settings_say(last, settings), _errors(error))


def _last_in_force(settings: Settings) -> Policy | None:
    try:
        kept = json.loads((settings.state_dir / IN_FORCE).read_text(encoding="utf-8"))
        if kept["of"] != str(settings.policy.absolute()):
            return None
        return parse_policy(PolicySource.from_json(kept["source"]), destination_types(), settings.environment)
    except (OSError, ValueError, TypeError, KeyError, PolicyError):
        return None


def _remember(settings: Settings, policy: Policy) -> None:
    """For a start that finds the file bad."""
    file = settings.state_dir / IN_FORCE
    part = file.with_suffix(f".{os.getpid()}")
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        kept = {"of": str(settings.policy.absolute()), "source": policy.source.to_json()}
        part.write_text(json.dumps(kept), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        _log.warning("policy in force could not be noted", file=str(file), error=str(error))


def _errors(error: PolicyError) -> list[str]:
    return [str(one) for one in error.problems if one.severity == "error"]


def _as_settings_say(policy: Policy, settings: Settings) -> tuple[Policy, dict[str, str]]:
    if settings.speed != 1.0:
        policy = policy.sped_up(settings.speed)
    replaced, lacking = with_console(policy, settings.environment)
    return (replaced if settings.console_fallback else policy), lacking


@dataclass(frozen=True)
class Standing:
    """The digest of the policy that decides, and what is wrong with a newer one that was refused."""

    digest: str
    refused: str = ""

    def __str__(self) -> str:
        return f"{self.digest}; a change is refused: {self.refused}" if self.refused else self.digest


class PolicyInForce:
    """Holds the policy that decides; looks after its files, and replaces it by a checked one only."""

    def __init__(
        self, settings: Settings, *, accept: Accept | None = None, count: Callable[[str], None] | None = None
    ) -> None:
        """Load it. ``accept`` is asked before a policy comes into force; ``count`` is told of each reload's outcome.

        Raises PolicyError, and whatever ``accept`` raises.
        """
        self._settings = settings
        self._accept: Accept = accept or _nothing
        self._count: Callable[[str], None] = count or _nothing
        self._refused = ""
        self._stamp = stamp(settings.policy)
        self._hangup = asyncio.Event()
        self.policy, self.lacking, problems = policy_at_start(settings)
        self._accept(self.policy)
        if problems:
            self._refuse(problems)
        else:
            _remember(settings, self.policy)

    def current(self) -> Policy:
        return self.policy

    def standing(self) -> Standing:
        return Standing(self.policy.digest, self._refused)

    def hang_up(self) -> None:
        """Load it again now, changed or not: what SIGHUP asks."""
        self._hangup.set()

    async def watch(self) -> None:
        """Look after the files for ever."""
        before = self._stamp
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hangup.wait(), LOOK_EVERY)
            seen = await asyncio.to_thread(stamp, self._settings.policy)
            settled = seen == before  # an editor may be in the middle of writing it
            if self._hangup.is_set() or (seen != self._stamp and settled):
                self._hangup.clear()
                self._stamp = seen
                await self.reload()
            before = seen

    async def reload(self) -> None:
        """Check the files whole, and take them into force where they are good. Never raises for a bad policy."""
        try:
            policy, lacking = await asyncio.to_thread(policy_in_force, self._settings)
            self._accept(policy)  # also an unchanged one: the file of a secret may have another content
            if policy.digest == self.policy.digest and not self._refused:
                _log.info("policy is unchanged", policy=policy.digest)
                self._count("unchanged")
                return
        except PolicyError as error:
            self._refuse(_errors(error))
        except LookupError as error:
            self._refuse([str(error.args[0])])
        except Exception as error:  # noqa: BLE001  # whatever it is, the old policy goes on deciding, and it is heard
            _log.exception("policy could not be loaded")
            self._refuse([f"{type(error).__name__}: {error}"])
        else:
            before, self.policy, self.lacking, self._refused = self.policy.digest, policy, lacking, ""
            _log.warning("policy in force", policy=policy.digest, before=before, rules=len(policy.rules))
            self._count("loaded")
            await asyncio.to_thread(_remember, self._settings, policy)

    def _refuse(self, problems: list[str]) -> None:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        self._refused = "; ".join(problems[:_SHOWN]) + more
        _log.error("policy refused", still_deciding=self.policy.digest, problems=problems[:50])
        self._count("refused")


def _nothing(_: object) -> None:
    pass


def stamp(path: Path) -> Stamp:
    """What changes when a policy's files change, without reading them."""
    found: list[tuple[str, int, int, int]] = []
    try:
        files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        for file in files:
            status = file.stat()  # of what a link leads to: a mounted ConfigMap is changed by its links
            found.append((file.name, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError as error:
        found.append((str(error.filename), 0, 0, error.errno or 0))
    return tuple(found)
