"""Finds the destination types and opens the destinations of a policy."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, cast

import activities.destinations
from activities.destinations.base import Destination
from policy import DestinationConfig, Policy

ENTRY_POINT = "tocsin.destinations"


@cache
def _classes() -> Mapping[str, type[Destination]]:
    found: dict[str, type[Destination]] = {}
    for module in pkgutil.iter_modules(activities.destinations.__path__):
        loaded = importlib.import_module(f"activities.destinations.{module.name}")
        for _, member in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(member, Destination) and not inspect.isabstract(member):
                found[member.type_name] = member
    for point in entry_points(group=ENTRY_POINT):
        loaded_class = point.load()
        found.setdefault(loaded_class.type_name, loaded_class)
    return found


def destination_types() -> Mapping[str, type[DestinationConfig]]:
    """The types that a policy may use, with the schema of each one's configuration."""
    return {name: member.config for name, member in _classes().items()}


def with_console(policy: Policy, environment: Mapping[str, str]) -> tuple[Policy, dict[str, str]]:
    """Put the console in the place of every destination that lacks a secret.

    Returns the policy and, by the destination's name, what it lacks.
    """
    lacking: dict[str, str] = {}
    console = _classes()["console"].config
    for name, config in policy.destinations.items():
        missing = [ref.name for ref in config.secrets().values() if ref.resolve(environment) is None]
        if missing:
            lacking[name] = ", ".join(missing)
    replaced = {
        name: console(
            type="console",
            schedule=policy.destinations[name].schedule,
            timezone=policy.destinations[name].timezone,
        )
        for name in lacking
    }
    return policy.with_destinations(replaced), lacking


def open_destinations(policy: Policy, environment: Mapping[str, str], public_url: str) -> dict[str, Destination]:
    """One open destination for each that the policy names.

    Raises LookupError where a secret is missing, naming every one; ``with_console`` replaces such destinations before.
    """
    opened = OpenDestinations(environment, public_url)
    opened.take(policy)
    return dict(opened)


def open_destination(
    name: str, config: DestinationConfig, environment: Mapping[str, str], public_url: str
) -> Destination:
    """One destination by itself. Raises LookupError where a secret is missing."""
    secrets: dict[str, str] = {}
    for key, reference in config.secrets().items():
        secret = reference.resolve(environment)
        if secret is None:
            raise LookupError(f"destination {name}: {key} is to come from {reference.name}, which is not set")
        secrets[key] = secret
    return cast("Any", _classes()[config.type])(name, config, secrets, public_url)


class OpenDestinations(Mapping[str, Destination]):
    """The open destinations of the policy in force, and those of earlier ones, which open incidents may still name."""

    def __init__(self, environment: Mapping[str, str], public_url: str) -> None:
        self._environment = environment
        self._public_url = public_url
        self._open: dict[str, tuple[DestinationConfig, Mapping[str, str], Destination]] = {}
        self._replaced: list[Destination] = []

    def take(self, policy: Policy) -> None:
        """Open what is new in a policy, and keep what is as it was. Raises LookupError, with nothing changed."""
        missing: list[str] = []
        resolved: dict[str, dict[str, str]] = {}
        for name, config in policy.destinations.items():
            resolved[name] = {}
            for key, reference in config.secrets().items():
                secret = reference.resolve(self._environment)
                if secret is None:
                    missing.append(f"destination {name}: {key} is to come from {reference.name}, which is not set")
                else:
                    resolved[name][key] = secret
        if missing:
            raise LookupError("\n".join(missing))
        for name, config in policy.destinations.items():
            there = self._open.get(name)
            if there is not None and there[:2] == (config, resolved[name]):
                continue
            if there is not None:
                self._replaced.append(there[2])  # a delivery may be under way in it
            opened = cast("Any", _classes()[config.type])(name, config, resolved[name], self._public_url)
            self._open[name] = (config, resolved[name], opened)

    def __getitem__(self, name: str) -> Destination:
        return self._open[name][2]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def secrets(self) -> Iterator[str]:
        """What no log line may hold."""
        for _, resolved, _ in self._open.values():
            yield from resolved.values()

    async def close(self) -> None:
        """Let go of every connection."""
        for destination in (*self._replaced, *self.values()):
            await destination.close()
