"""ServiceNow, through its Table API: a ticket that is looked up before it is created, and work notes on it.

Contract: https://www.servicenow.com/docs (REST API reference, Table API: ``/api/now/table/{table}``; field lengths of
the table ``task``). ``correlation_id`` is the incident's key: by it a ticket is found again, and a closure comes back.
"""

import base64
import re
from datetime import datetime
from typing import Any, ClassVar, cast

import httpx
from pydantic import AnyHttpUrl, Field
from temporalio.exceptions import ApplicationError

from activities.contracts import Delivery, Receipt
from activities.destinations.base import Secrets, cut, in_lines, key_label
from activities.destinations.over_http import HttpDestination
from activities.failures import by_status, permanent
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

MAX_SHORT = 160  # characters, task.short_description
MAX_DESCRIPTION = 4_000  # task.description
MAX_NOTE = 4_000  # task.work_notes
MAX_CORRELATION = 100  # task.correlation_id and correlation_display
_URGENCY = {"critical": "1", "high": "2", "low": "3"}
"""Urgency and impact: 1 high, 2 medium, 3 low; ServiceNow makes the priority of the two."""
_REMEDIES = {
    401: "check the destination's user and password",
    403: "give the user the role itil, or another that may create and write records of the table",
    404: "check base_url and table",
}


class ServiceNowConfig(DestinationConfig):
    kind: ClassVar[Kind] = "ticket"

    base_url: AnyHttpUrl  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    user: SecretSetting = Field(description="The account that opens tickets.")
    password: SecretSetting = Field(description="Its password.")
    table: str = Field(
        default="incident", pattern=r"^[a-z][a-z0-9_]{1,79}$", description="Which table it opens them in."
    )
    assignment_group: str = Field(
        default="", max_length=80, pattern=r"^[^\^=]*$", description="Who gets them: the group's name, or its sys_id."
    )

    def where(self) -> str:
        return f"{self.table}{f' ({self.assignment_group})' if self.assignment_group else ''}"


class ServiceNowDestination(HttpDestination):
    """Opens a ticket and notes on it what happens. It never closes one: that is a person's to do."""

    type_name = "servicenow"
    config = ServiceNowConfig
    vendor = "ServiceNow"

    def __init__(self, name: str, config: ServiceNowConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._config = config
        self._tables = f"{config.root('')}/api/now/table"
        basic = base64.b64encode(f"{secrets['user']}:{secrets['password']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
        self._group = ""

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        if delivery.verb == "notify" or delivery.first is None:
            return await self._open(delivery)
        return await self._add_note(delivery, delivery.first, attempt)

    async def _open(self, delivery: Delivery) -> Receipt:
        table = self._config.table
        key, about = delivery.opening[:MAX_CORRELATION], f"Tocsin {self.name}"[:MAX_CORRELATION]
        # Looked up at every attempt: a create whose answer was lost must not become a second ticket.
        found = await self._find(table, f"correlation_id={key}^correlation_display={about}", "sys_id,number")
        if found is None:
            brief = delivery.brief
            ticket = {
                "short_description": cut(brief.headline, MAX_SHORT),
                "description": cut(in_lines(delivery), MAX_DESCRIPTION),
                "urgency": _URGENCY[brief.tier],
                "impact": _URGENCY[brief.tier],
                "correlation_id": key,
                "correlation_display": about,
                "contact_type": "monitoring",
                "assignment_group": await self._group_id(),
                "due_date": _moment(brief.respond_by),
            }
            sent = {name: value for name, value in ticket.items() if value}
            answer = await self.send("POST", f"{self._tables}/{table}", sent, self._headers)
            found = cast("dict[str, Any]", self.json(answer).get("result") or {})
        sys_id = str(found.get("sys_id", ""))
        url = f"{self._config.root('')}/nav_to.do?uri={table}.do%3Fsys_id%3D{sys_id}"
        return self.receipt(delivery.key, str(found.get("number") or sys_id), url=url, place=sys_id)

    async def _add_note(self, delivery: Delivery, ticket: Receipt, attempt: int) -> Receipt:
        mark = key_label(delivery.key)
        receipt = self.receipt(delivery.key, ticket.id, url=ticket.url, place=ticket.place)
        if attempt > 1 and await self._noted(ticket.place, mark):
            return receipt
        text = _no_code(delivery.note or delivery.brief.headline)
        note = f"{cut(text, MAX_NOTE - 100)}\n\nTocsin · {mark}"
        address = f"{self._tables}/{self._config.table}/{ticket.place}"
        await self.send("PATCH", address, {"work_notes": note}, self._headers)
        return receipt

    async def _noted(self, sys_id: str, mark: str) -> bool:
        """Whether an earlier attempt's note is there, though its answer never came."""
        query = f"element_id={sys_id}^element=work_notes^valueLIKE{mark}"
        try:
            return await self._find("sys_journal_field", query, "sys_id") is not None
        except ApplicationError as error:
            if not error.non_retryable:
                raise
            return False  # not every account may read the journal: then a note may stand there twice

    async def _group_id(self) -> str:
        """The group's sys_id: a reference is set by it, while names are only taken in the account's own language."""
        name = self._config.assignment_group
        if not name or re.fullmatch(r"[0-9a-f]{32}", name):
            return name
        if not self._group:
            found = await self._find("sys_user_group", f"name={name}^active=true", "sys_id")
            if found is None:
                raise permanent(f"ServiceNow has no active group {name}: check the destination's assignment_group")
            self._group = str(found["sys_id"])
        return self._group

    async def _find(self, table: str, query: str, fields: str) -> dict[str, Any] | None:
        asked = {"sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": "1"}
        answer = await self.send("GET", f"{self._tables}/{table}", None, self._headers, asked)
        rows = cast("list[dict[str, Any]]", self.json(answer).get("result") or [])
        return rows[0] if rows else None

    def refused(self, answer: httpx.Response) -> ApplicationError:
        remedy = _REMEDIES.get(answer.status_code, "check the table's mandatory fields and its business rules")
        return by_status(self.vendor, answer.status_code, answer.headers, answer.text, remedy)


def _no_code(text: str) -> str:
    """In work notes ``[code]`` begins HTML."""
    return re.sub(r"\[(/?)code\]", r"(\1code)", text, flags=re.IGNORECASE)


def _moment(at: datetime | None) -> str:
    """As the Table API takes times: in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
