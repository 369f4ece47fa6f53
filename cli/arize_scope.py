"""The part of a tenant that a command is about: which organization, spaces, projects and monitors; read from Arize."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.errors import UNUSABLE, exit_with_error
from worker.settings import Settings, read_settings

if TYPE_CHECKING:
    from alerts import Description
    from integrations.arize.describer import ArizeDescriber
    from integrations.arize.graphql import ArizeGraphQL
    from integrations.arize.health import ArizeHealth
    from integrations.arize.tenant_api import Named, TenantApi
    from integrations.base.errors import IntegrationError

_MAX_CONCURRENCY = 8
_ATTEMPTS = 3
"""Of describing a monitor, if Arize limits the rate or is unavailable for a moment."""
_MAX_WAIT = 30.0  # seconds
_MOST_LISTED = 20

OrganizationOption = Annotated[
    str, typer.Option("--organization", help="The name or id of an organization in Arize.", show_default=False)
]
SpaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--space", help="The name or id of a space, repeatable; ARIZE_SPACE_ID, or all spaces.", show_default=False
    ),
]
ProjectOption = Annotated[
    list[str] | None,
    typer.Option("--project", help="The name or id of a project, repeatable; all by default.", show_default=False),
]


@dataclass(frozen=True)
class ArizeClients:
    """The two faces of Arize's API, as commands use them."""

    settings: Settings
    tenant: "TenantApi"
    graphql: "ArizeGraphQL"
    describer: "ArizeDescriber"
    health: "ArizeHealth"


@asynccontextmanager
async def arize_clients(settings: Settings | None = None) -> AsyncGenerator[ArizeClients]:
    """Clients with ARIZE_API_KEY. Ends the command if it is not set, or if Arize refuses or does not answer."""
    from integrations.arize.client import ArizeApi
    from integrations.arize.describer import ArizeDescriber
    from integrations.arize.graphql import ArizeGraphQL
    from integrations.arize.health import ArizeHealth
    from integrations.arize.rest import RestClient
    from integrations.arize.tenant_api import TenantApi
    from integrations.base.errors import IntegrationError

    settings = settings or read_settings(os.environ)
    key = settings.arize_api_key.get_secret_value()
    if not key:
        exit_with_error("set ARIZE_API_KEY to a key of Arize, from its page Settings, API keys", UNUSABLE)
    health = ArizeHealth()
    rest = ArizeApi(key, settings.arize_api_url, health=health)
    graphql = ArizeGraphQL(key, settings.arize_app_url, health)
    tenant = TenantApi(RestClient(key, settings.arize_api_url))
    try:
        yield ArizeClients(settings, tenant, graphql, ArizeDescriber(rest, graphql), health)
    except IntegrationError as error:
        exit_with_error(with_remedy(error), UNUSABLE)
    finally:
        await tenant.close()
        await rest.close()
        await graphql.close()


def with_remedy(error: "IntegrationError") -> str:
    """The error, with what to do about an outage; a refusal names its own remedy."""
    return error.message if error.permanent else f"{error.message}; try again, or run `tocsin arize doctor`"


@dataclass(frozen=True)
class Scope:
    """The chosen organizations, spaces and projects. Without chosen projects, all of the spaces are meant."""

    organizations: "tuple[Named, ...]"
    spaces: "tuple[Named, ...]"
    projects: "tuple[Named, ...]"
    all_projects: bool = True

    def has(self, monitor: dict[str, Any]) -> bool:
        """Whether a monitor of the spaces belongs to a chosen project."""
        return self.all_projects or monitor.get("project_id") in {one.id for one in self.projects}


async def find_scope(
    clients: ArizeClients, organization: str, spaces: Sequence[str], projects: Sequence[str], *, one: bool = False
) -> Scope:
    """Find what was named. Ends the command with a list of what there is, if a name is unknown or ambiguous.

    Args:
        clients: Of the tenant.
        organization: A name or an id; empty for all organizations, or the one that has the spaces.
        spaces: Names or ids; empty for ARIZE_SPACE_ID, or all spaces.
        projects: Names or ids; empty for all.
        one: Whether exactly one organization is needed.
    """
    every = await clients.tenant.organizations()
    if not every:
        exit_with_error("the key sees no organization: check the rights of ARIZE_API_KEY", UNUSABLE)
    organizations = [chosen("organization", organization, every)] if organization else every
    listed = await asyncio.gather(*(clients.tenant.spaces(each.id) for each in organizations))
    known = [space for found in listed for space in found]
    wanted = list(spaces) or ([clients.settings.arize_space_id] if clients.settings.arize_space_id else [])
    found = list(dict.fromkeys(chosen("space", name, known) for name in wanted)) if wanted else known
    if wanted:
        organizations = [each for each in organizations if each.id in {space.parent for space in found}]
    if one and len(organizations) > 1:
        _refuse("a webhook belongs to one organization: choose it with --organization", organizations)
    of_spaces = await asyncio.gather(*(clients.tenant.projects(space.id) for space in found))
    all_projects = [project for listed_projects in of_spaces for project in listed_projects]
    selected = [chosen("project", name, all_projects) for name in projects] if projects else all_projects
    return Scope(tuple(organizations), tuple(found), tuple(dict.fromkeys(selected)), not projects)


async def read_monitors(clients: ArizeClients, scope: Scope) -> list[dict[str, Any]]:
    """The monitor objects of the scope, by their names."""
    listed = await asyncio.gather(*(clients.tenant.monitors(space.id) for space in scope.spaces))
    found = [monitor for monitors in listed for monitor in monitors if scope.has(monitor)]
    return sorted(found, key=lambda one: (str(one.get("name") or "").casefold(), str(one.get("id"))))


async def describe_all(clients: ArizeClients, monitors: Sequence[dict[str, Any]]) -> "list[Description]":
    """The description of each monitor, in their order. What Arize does not answer is named in ``missing``."""
    slots = asyncio.Semaphore(_MAX_CONCURRENCY)

    async def one(monitor: dict[str, Any]) -> "Description":
        async with slots:
            return await _describe(clients, monitor)

    return list(await asyncio.gather(*map(one, monitors)))


async def _describe(clients: ArizeClients, monitor: dict[str, Any]) -> "Description":
    from alerts import Description
    from integrations.base.errors import IntegrationError

    monitor_id, reason = str(monitor.get("id") or ""), ""
    found: Description | None = None
    for attempt in range(_ATTEMPTS):
        try:
            found = await clients.describer.describe(monitor_id, listed=monitor)
        except IntegrationError as error:
            reason = error.message
        if found is not None and not found.missing:
            return found
        wait = clients.health.wait
        if not wait or attempt == _ATTEMPTS - 1:
            break
        await asyncio.sleep(min(wait, _MAX_WAIT))
    return found or Description(
        monitor_id=monitor_id, monitor=monitor, described_at=datetime.now(UTC), missing=(f"its description: {reason}",)
    )


def chosen(kind: str, name: str, known: "Iterable[Named]") -> "Named":
    """What a name or an id means. Ends the command if it is unknown or ambiguous."""
    listed = list(known)
    found = [one for one in listed if one.id == name] or [one for one in listed if one.name == name]
    found = found or [one for one in listed if one.name.casefold() == name.casefold()]
    if len(found) != 1:
        several = f"several {kind}s have the name {name!r}: state the id of one"
        _refuse(several if found else f"there is no {kind} {name!r} that ARIZE_API_KEY may read", found or listed)
    return found[0]


def _refuse(message: str, existing: "Sequence[Named]") -> NoReturn:
    shown = [plain(str(one)) for one in existing[:_MOST_LISTED]]
    if len(existing) > _MOST_LISTED:
        shown.append(f"… and {len(existing) - _MOST_LISTED} more")
    exit_with_error(
        "\n".join(
            [f"{message}; there {'is' if len(shown) == 1 else 'are'}:", *(f"  {one}" for one in shown or ["none"])]
        ),
        UNUSABLE,
    )


def webhook_address(stated: str, settings: Settings, *, required: bool = True) -> str:
    """The address that the webhook posts to. Ends the command if it is no address of a gateway.

    Args:
        stated: The option --url.
        settings: TOCSIN_PUBLIC_URL is used without the option.
        required: False to return an empty text if neither states it.
    """
    from urllib.parse import urlsplit

    from integrations.arize.notifications import WEBHOOK_PATH, is_tocsin_url

    if not stated and not settings.is_set("public_url"):
        if not required:
            return ""
        exit_with_error("set TOCSIN_PUBLIC_URL to the gateway's public HTTPS address, or use --url", UNUSABLE)
    url = stated or f"{settings.public_url}{WEBHOOK_PATH}"
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not is_tocsin_url(url):
        exit_with_error(f"--url: {url!r} is not like https://tocsin.example.com{WEBHOOK_PATH}", UNUSABLE)
    if parts.scheme != "https":
        remedy = "set TOCSIN_PUBLIC_URL or --url"
        typer.echo(f"tocsin: {url}: Arize delivers to public HTTPS addresses only; {remedy}", err=True)
    return url


def plain(text: str) -> str:
    """A text on one line, without control characters: a name in Arize must not write to a terminal."""
    from monitors.report import plain as one_line

    return one_line(text)
