"""Reads what monitors as code need of a tenant: monitors, projects, tags, integrations, custom metrics, the audit log.

Sources: REST API v2 as the SDK ``arize`` 8.61.0 describes it, and GraphQL as ``arize-toolkit`` 1.0.20 speaks it.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from urllib.parse import quote
from uuid import uuid4

from integrations.arize.graphql import ArizeGraphQL
from integrations.arize.rest import MAX_PAGES, RestClient, objects
from integrations.base.errors import PermanentError, TemporaryError

MAX_CONCURRENCY = 8
"""Reads of tags at once."""
_UNFINISHED = re.compile(r" \(tocsin [0-9a-f]{8}\)$")

_ORGANIZATIONS = """query($after: String) { account { organizations(first: 50, after: $after) {
  pageInfo { hasNextPage endCursor } edges { node { id integrations { SELECTION } } } } } }"""
_INTEGRATION = "id name providerName"
_AS_CONNECTION = _ORGANIZATIONS.replace("SELECTION", f"edges {{ node {{ {_INTEGRATION} }} }}")
_AS_LIST = _ORGANIZATIONS.replace("SELECTION", _INTEGRATION)
"""The public reference has a connection, ``arize-toolkit`` selects a list: that is tried if the first is refused."""
_CUSTOM_METRICS = """query($id: ID!, $after: String) { node(id: $id) { ... on Model {
  customMetrics(first: 100, after: $after) { pageInfo { hasNextPage endCursor } edges { node { id name } } } } } }"""


class AuditEntry(NamedTuple):
    """Who changed something, and when. What was sent is not part of it: it may hold secrets."""

    at: str
    user_id: str
    operation: str
    names: frozenset[str]
    """Which of the texts that were asked for the entry mentions."""
    own: bool
    """Whether Tocsin itself sent it."""


class MonitorStore:
    """Reads a tenant, with retries, and changes the tags of monitors.

    Every method raises PermanentError or TemporaryError, without the API key.
    """

    def __init__(self, key: str, root: str, graphql: ArizeGraphQL, *, space: str = "") -> None:
        """
        Args:
            key: the API key.
            root: the base URL of the REST API.
            graphql: the GraphQL API with the same key.
            space: the id of a space to restrict everything to; empty means all spaces of the key.
        """
        self._rest = RestClient(key, root)
        self._graphql, self._space = graphql, space
        self._slots = asyncio.Semaphore(MAX_CONCURRENCY)
        self._tag_ids: dict[tuple[str, str], str] = {}
        """By the space and the name in lower case."""
        self._searched: set[str] = set()
        """The spaces all of whose tags in use are known."""

    async def close(self) -> None:
        await self._rest.close()
        await self._graphql.close()

    async def monitors(self) -> list[dict[str, Any]]:
        """All monitor objects, with every field."""
        return await self._rest.pages("/v2/monitors", "monitors", self._in_space())

    async def monitor(self, monitor_id: str) -> dict[str, Any] | None:
        """A monitor object; None if there is none."""
        found = await self._rest.find(f"/v2/monitors/{quote(monitor_id, safe='')}")
        if found is not None:
            _field(found, "id")
        return found

    async def projects(self) -> list[dict[str, Any]]:
        """``id``, ``name`` and ``space_id`` of all projects."""
        return await self._rest.pages("/v2/projects", "projects", self._in_space())

    async def integrations(self) -> list[dict[str, Any]]:
        """``id``, ``name`` and ``providerName`` of the alerting integrations of all organizations."""
        try:
            organizations = await self._connection(_AS_CONNECTION, {}, "account", "organizations")
        except PermanentError as refused:
            try:
                organizations = await self._connection(_AS_LIST, {}, "account", "organizations")
            except PermanentError:
                raise refused from None
        found: list[dict[str, Any]] = []
        for one in organizations:
            listed: Any = _field(one, "integrations")
            found += listed if isinstance(listed, list) else _nodes(listed)
        return found

    async def custom_metrics(self, project_id: str) -> dict[str, str]:
        """The names of a project's custom metrics, by id."""
        metrics = await self._connection(_CUSTOM_METRICS, {"id": project_id}, "node", "customMetrics")
        return {str(_field(one, "id")): str(_field(one, "name")) for one in metrics}

    async def _connection(self, query: str, variables: Mapping[str, Any], *path: str) -> list[dict[str, Any]]:
        """The nodes of a connection, page by page."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        for _ in range(MAX_PAGES):
            connection: Any = await self._query(query, {**variables, "after": after})
            for name in path:
                connection = _field(connection, name)
            found += _nodes(connection)
            page = _field(connection, "pageInfo")
            if not _field(page, "hasNextPage"):
                break
            after = str(_field(page, "endCursor"))
        return found

    # ── Tags ────────────────────────────────────────────────────────────────────────────────────────────────

    async def tags(self, monitor_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The names of the tags of each monitor."""
        found = await asyncio.gather(*(self._attached(_tags_of("monitors", one)) for one in monitor_ids))
        return {
            one: tuple(sorted(str(tag["name"]) for tag in tags if not _UNFINISHED.search(str(tag["name"]))))
            for one, tags in zip(monitor_ids, found, strict=True)
        }

    async def add_tags(self, monitor_id: str, names: Sequence[str], space: str) -> tuple[str, ...]:
        """Attach tags to a monitor; those that do not exist are created in the space. It may be repeated.

        The API cannot find a tag that is attached nowhere. So a new tag gets its own name only once it is attached: a
        tag whose creation was not answered stays behind under another name, and is in nobody's way.

        Returns:
            The names that could not be attached: those of tags that exist, and are attached nowhere.
        """
        failed: list[str] = []
        path = _tags_of("monitors", monitor_id)
        attached = await self._attached(path) if names else []
        for name in names:
            new = next((one for one in attached if str(one["name"]).startswith(_unfinished(name))), None)
            known = "" if new else await self._tag_id(name, space)
            if known:
                await self._rest.send("POST", path, body={"tag_ids": [known]})
                continue
            if new is None:
                body = {"name": f"{_unfinished(name)}{uuid4().hex[:8]})", "space_id": space}
                new = (await self._rest.send("POST", "/v2/tags", body=body)).body
                await self._rest.send("POST", path, body={"tag_ids": [new["id"]]})
            tag = f"/v2/tags/{quote(str(new['id']), safe='')}"
            renamed = await self._rest.send("PATCH", tag, body={"name": name}, accepted=(409,))
            if renamed.status == 409:
                await self._rest.send("DELETE", tag)
                failed.append(name)
            else:
                self._tag_ids[space, name.casefold()] = str(new["id"])
        return tuple(failed)

    async def remove_tags(self, monitor_id: str, names: Sequence[str]) -> None:
        """Detach tags from a monitor, by name. It may be repeated."""
        wanted = {name.casefold() for name in names}
        path = _tags_of("monitors", monitor_id)
        attached = await self._attached(path) if wanted else []
        ids = [str(one["id"]) for one in attached if str(one["name"]).casefold() in wanted]
        if ids:
            await self._rest.send("DELETE", path, body={"tag_ids": ids})

    async def _tag_id(self, name: str, space: str) -> str:
        """The id of a tag that is attached to any monitor or project of the space; empty if there is none."""
        if (space, name.casefold()) not in self._tag_ids and space not in self._searched:
            projects, monitors = await asyncio.gather(self.projects(), self.monitors())
            paths = [_tags_of("projects", str(one["id"])) for one in projects]
            paths += [_tags_of("monitors", str(one["id"])) for one in monitors]
            await asyncio.gather(*map(self._attached, paths))
            self._searched.add(space)
        return self._tag_ids.get((space, name.casefold()), "")

    async def _attached(self, path: str) -> list[dict[str, Any]]:
        """The tags of a monitor or a project. Their ids are remembered."""
        async with self._slots:
            answer = await self._rest.find(path)
        tags = [] if answer is None else objects(answer, "tags", path)
        for one in tags:
            self._tag_ids[str(one.get("space_id")), str(one["name"]).casefold()] = str(one["id"])
        return tags

    # ── The audit log ───────────────────────────────────────────────────────────────────────────────────────

    async def audit_entries(self, names: frozenset[str], since: datetime, own_mark: str) -> list[AuditEntry]:
        """The mutations since a time that mention one of the names, newest first.

        Args:
            names: ids of monitors, for example.
            since: the earliest time.
            own_mark: a text of Tocsin's own mutations.
        """
        query = {"start_time": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "operation_type": "MUTATION"}
        found: list[AuditEntry] = []
        for entry in await self._rest.pages("/v2/audit-logs", "logs", query):
            operation = str(entry.get("operation_name") or "")
            sent = " ".join((operation, str(entry.get("operation_text") or ""), str(entry.get("variables") or "")))
            mentioned = frozenset(name for name in names if name in sent)
            if mentioned:
                at, user = str(entry.get("created_at") or ""), str(entry.get("user_id") or "")
                found.append(AuditEntry(at, user, operation, mentioned, own_mark in sent))
        return found

    async def user(self, user_id: str) -> str:
        """A user's email address or name; the id if the key may not read users."""
        try:
            user = await self._rest.find(f"/v2/users/{quote(user_id, safe='')}")
        except PermanentError:
            return user_id
        return str((user or {}).get("email") or (user or {}).get("name") or user_id)

    # ── Requests ────────────────────────────────────────────────────────────────────────────────────────────

    def _in_space(self) -> dict[str, str]:
        return {"space_id": self._space} if self._space else {}

    async def _query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        return await self._rest.reading(lambda: self._graphql.execute(query, variables))


def _tags_of(kind: str, identifier: str) -> str:
    return f"/v2/{kind}/{quote(identifier, safe='')}/tags"


def _unfinished(name: str) -> str:
    """The beginning of the name that a tag has until it is attached; Arize allows 100 characters."""
    return f"{name[:80]} (tocsin "


def _field(value: Any, name: str) -> Any:
    """A field of an answer. Raises TemporaryError if the answer does not have it: then something else answered."""
    if isinstance(value, dict) and name in value:
        return cast("dict[str, Any]", value)[name]
    raise TemporaryError(f"Arize's answer has no {name}")


def _nodes(connection: Any) -> list[dict[str, Any]]:
    return [_field(edge, "node") for edge in _field(connection, "edges")]
