"""Finds integrations: the folders here, and the packages that others install.

An integration is a package with one or more of these modules:

- ``config.py``: one subclass of ``DestinationConfig``, the keys that a policy may write for the type
- ``destination.py``: one subclass of ``Destination``, which sends
- ``callback.py``: one ``Callback``, which reads what the vendor's webhooks report

The folder's name is the ``type`` that a policy writes. Another distribution adds a package by the entry point group
``tocsin.integrations``: ``<type> = <package>``.

Reading a policy imports only the ``config`` modules. ``destination`` is imported when one of the type is opened.
"""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import integrations
from alerts import TocsinError
from policy import DestinationConfig

if TYPE_CHECKING:
    from integrations.base.callback import Callback
    from integrations.base.destination import Destination

ENTRY_POINT_GROUP = "tocsin.integrations"
T = TypeVar("T")


class InvalidIntegrationError(TocsinError):
    """An integration's module does not define what its name promises."""

    code = "invalid_integration"


@cache
def packages() -> Mapping[str, str]:
    """The import path of every integration, by its type. Tocsin's own types cannot be replaced."""
    own = {one.name: f"integrations.{one.name}" for one in pkgutil.iter_modules(integrations.__path__) if one.ispkg}
    own.pop("base")
    return {**{point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}, **own}


@cache
def destination_types() -> Mapping[str, type[DestinationConfig]]:
    """The types that a policy may use, with the schema of each one's configuration. Imports no vendor's library."""
    return {name: _only_class(module, DestinationConfig) for name, module in _modules("config")}


@cache
def destination_class(type_name: str) -> "type[Destination]":
    """The class that sends to destinations of a type. Imports the vendor's library."""
    from integrations.base.destination import Destination

    with _import_errors(type_name):
        module = importlib.import_module(f"{packages()[type_name]}.destination")
    return _only_class(module, Destination)


@cache
def callbacks() -> "tuple[Callback, ...]":
    """The callbacks of all vendors, sorted by name."""
    from integrations.base.callback import Callback

    found: list[Callback] = []
    for _, module in _modules("callback"):
        defined = [one for one in vars(module).values() if isinstance(one, Callback)]
        if len(defined) != 1:
            raise InvalidIntegrationError(f"{module.__name__} must define one Callback, and defines {len(defined)}")
        found += defined
    return tuple(sorted(found, key=lambda callback: callback.name))


def _modules(name: str) -> Iterator[tuple[str, ModuleType]]:
    """The module of that name of every integration that has it, with the integration's type."""
    for type_name, package in packages().items():
        with _import_errors(type_name):
            found = importlib.util.find_spec(f"{package}.{name}")
            module = importlib.import_module(f"{package}.{name}") if found else None
        if module is not None:
            yield type_name, module


@contextmanager
def _import_errors(type_name: str) -> Generator[None]:
    """Name the integration whose module cannot be imported: it may be another distribution's."""
    try:
        yield
    except Exception as error:
        text = f"the integration {type_name} cannot be imported from {packages()[type_name]}: {error}"
        raise InvalidIntegrationError(f"{text}; repair or uninstall that package") from error


def _only_class(module: ModuleType, base: type[T]) -> type[T]:
    """The one concrete subclass that a module defines itself."""
    defined = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and not inspect.isabstract(member) and member.__module__ == module.__name__
    ]
    if len(defined) != 1:
        raise InvalidIntegrationError(f"{module.__name__} must define one {base.__name__}, and defines {len(defined)}")
    return defined[0]
