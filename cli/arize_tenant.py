"""Connects commands with the tenant of Arize that the environment names, and reads what monitors as code need of it."""

import asyncio
import os
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from cli.errors import exit_with_error
from integrations.arize.graphql import ArizeGraphQL
from integrations.arize.monitor_mutations import MonitorMutations
from integrations.arize.monitor_store import MonitorStore
from monitors import Integration, Observed, Project, Tenant
from monitors.load import Declarations
from monitors.ownership import read_notes
from monitors.schema import CustomMetricConfig
from monitors.tenant import Unreadable, observe
from worker.settings import read_settings


@dataclass(frozen=True)
class Arize:
    """The two faces of Arize's API."""

    store: MonitorStore
    mutations: MonitorMutations
    name: str
    """Identifies the tenant in a plan: the root of the API, and the space."""


@asynccontextmanager
async def connected() -> AsyncGenerator[Arize]:
    """The tenant of ARIZE_API_KEY. Ends the command if it is not set."""
    settings = read_settings(os.environ)
    key = settings.arize_api_key.get_secret_value()
    if not key:
        exit_with_error("set ARIZE_API_KEY to a key of a developer in Arize, which may read and change monitors")
    graphql = ArizeGraphQL(key, settings.arize_app_url)
    store = MonitorStore(key, settings.arize_api_url, graphql, space=settings.arize_space_id)
    space = f" space {settings.arize_space_id}" if settings.arize_space_id else ""
    try:
        yield Arize(store, MonitorMutations(graphql), settings.arize_api_url.rstrip("/") + space)
    finally:
        await store.close()


async def read_tenant(
    store: MonitorStore,
    *,
    namespace: str = "",
    tags_of: Collection[str] | None = (),
    names_for: Declarations | None = None,
) -> Tenant:
    """A snapshot of the tenant.

    Args:
        store: The tenant.
        namespace: The tags of monitors with a mark of this namespace are read.
        tags_of: The ids of further monitors whose tags are read; None for all monitors.
        names_for: Declarations whose integrations and custom metrics are read, too. Without any, those of all monitors
            whose tags are read.
    """
    objects, projects = await asyncio.gather(store.monitors(), store.projects())
    read, unreadable = _read(objects)
    wanted = [
        one.id for one in read if tags_of is None or one.id in tags_of or (one.mark and one.mark.namespace == namespace)
    ]
    tags = await store.tags(wanted)
    monitors = tuple(replace(one, tags=tags.get(one.id, ())) for one in read)
    relevant = [one for one in monitors if one.id in tags]
    known = tuple(Project(str(one["id"]), str(one.get("name")), str(one.get("space_id") or "")) for one in projects)
    of_custom_metrics = {one.state.project for one in relevant if one.state.custom_metric}
    of_custom_metrics |= {one.id for one in known if {one.id, one.name.casefold()} & _custom_metric_projects(names_for)}
    has_integrations = any(contact.type == "integration" for one in relevant for contact in one.state.contacts)
    integrations = await store.integrations() if has_integrations or _names_integrations(names_for) else []
    metrics = {one: await store.custom_metrics(one) for one in sorted(of_custom_metrics)}
    return Tenant(
        projects=known,
        monitors=monitors,
        integrations=tuple(
            Integration(str(one["id"]), str(one["name"]), str(one["providerName"])) for one in integrations
        ),
        custom_metrics=metrics,
        unreadable=unreadable,
    )


def _read(objects: Iterable[dict[str, Any]]) -> tuple[list[Observed], dict[str, Unreadable]]:
    read: list[Observed] = []
    unreadable: dict[str, Unreadable] = {}
    for one in objects:
        try:
            read.append(observe(one))
        except (ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            text = f"{one.get('type')} monitor {one.get('name')!r}: {reason}"
            unreadable[str(one.get("id"))] = Unreadable(text, read_notes(str(one.get("notes") or ""))[0])
    return read, unreadable


def _custom_metric_projects(declarations: Declarations | None) -> set[str]:
    declared = declarations.monitors if declarations else ()
    named = {project for one in declared if isinstance(one.config, CustomMetricConfig) for project in one.projects}
    return named | {name.casefold() for name in named}


def _names_integrations(declarations: Declarations | None) -> bool:
    declared = declarations.monitors if declarations else ()
    return any(contact.integration for one in declared for contact in one.config.contacts)
