"""Finds the destination types and opens the destinations of a policy."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
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

    Raises LookupError where a secret is missing; ``with_console`` replaces such destinations before.
    """
    opened: dict[str, Destination] = {}
    for name, config in policy.destinations.items():
        secrets: dict[str, str] = {}
        for key, reference in config.secrets().items():
            secret = reference.resolve(environment)
            if secret is None:
                raise LookupError(f"destination {name}: {key} is to come from {reference.name}, which is not set")
            secrets[key] = secret
        opened[name] = cast("Any", _classes()[config.type])(name, config, secrets, public_url)
    return opened
