"""ServiceNow, through its Table API: creates a ticket, after a search for it, and adds work notes.

Contract: https://www.servicenow.com/docs (REST API reference, Table API: ``/api/now/table/{table}``; field lengths of
the table ``task``). ``correlation_id`` is the incident's dedup key: searches and callbacks find the incident by it.
"""

import base64
import re
from datetime import datetime
from typing import Any, cast

import httpx

from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import Secrets
from integrations.base.errors import IntegrationError, PermanentError, from_http_status
from integrations.base.http import HttpDestination
from integrations.base.text import marker, plain_text, shorten_key, truncate
from integrations.servicenow.config import ServiceNowConfig
from integrations.servicenow.limits import MAX_CORRELATION, MAX_DESCRIPTION, MAX_NOTE, MAX_SHORT

_URGENCY = {"critical": "1", "high": "2", "low": "3"}
"""Urgency and impact: 1 high, 2 medium, 3 low. ServiceNow derives the priority from both."""
_REMEDIES = {
    401: "check the destination's user and password",
    403: "give the user the role itil, or another that may create and write records of the table",
    404: "check base_url and table",
}


class ServiceNowDestination(HttpDestination[ServiceNowConfig]):
    """Opens a ticket and adds work notes to it. Only a person closes a ticket."""

    vendor = "ServiceNow"

    def __init__(self, name: str, config: ServiceNowConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self._tables = f"{config.root('')}/api/now/table"
        basic = base64.b64encode(f"{secrets['user']}:{secrets['password']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
        self._group = ""

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        if notification.verb == "notify" or notification.original_receipt is None:
            return await self._open(notification)
        return await self._add_note(notification, notification.original_receipt, attempt)

    async def _open(self, notification: Notification) -> Receipt:
        table = self.config.table
        key = shorten_key(notification.incident_key, MAX_CORRELATION)
        display = truncate(f"Tocsin {self.name}", MAX_CORRELATION)
        # Searched on every attempt: a create whose response was lost must not become a second ticket.
        found = await self._find(table, f"correlation_id={key}^correlation_display={display}", "sys_id,number")
        if found is None:
            content = notification.content
            ticket = {
                "short_description": truncate(content.headline, MAX_SHORT),
                "description": truncate(plain_text(notification), MAX_DESCRIPTION),
                "urgency": _URGENCY[content.tier],
                "impact": _URGENCY[content.tier],
                "correlation_id": key,
                "correlation_display": display,
                "contact_type": "monitoring",
                "assignment_group": await self._group_id(),
                "due_date": _timestamp(content.respond_by),
            }
            fields = {name: value for name, value in ticket.items() if value}
            response = await self.send("POST", f"{self._tables}/{table}", fields, self._headers)
            found = cast("dict[str, Any]", self.json(response).get("result") or {})
        sys_id = str(found.get("sys_id", ""))
        url = f"{self.config.root('')}/nav_to.do?uri={table}.do%3Fsys_id%3D{sys_id}"
        return self.receipt(notification.key, str(found.get("number") or sys_id), url=url, location=sys_id)

    async def _add_note(self, notification: Notification, ticket: Receipt, attempt: int) -> Receipt:
        mark = marker(notification.key)
        receipt = self.receipt(notification.key, ticket.id, url=ticket.url, location=ticket.location)
        if attempt > 1 and await self._note_exists(ticket.location, mark):
            return receipt
        text = _without_code_tags(notification.note or notification.content.headline)
        note = f"{truncate(text, MAX_NOTE - 100)}\n\nTocsin · {mark}"
        address = f"{self._tables}/{self.config.table}/{ticket.location}"
        await self.send("PATCH", address, {"work_notes": note}, self._headers)
        return receipt

    async def _note_exists(self, sys_id: str, mark: str) -> bool:
        """Whether an earlier attempt wrote the note although no response arrived."""
        query = f"element_id={sys_id}^element=work_notes^valueLIKE{mark}"
        try:
            return await self._find("sys_journal_field", query, "sys_id") is not None
        except IntegrationError as error:
            if not isinstance(error, PermanentError):
                raise
            return False  # the account may not read the journal; the note may then appear twice

    async def _group_id(self) -> str:
        """The group's sys_id. A reference may be set by a name as well, but only in the language of the account."""
        name = self.config.assignment_group
        if not name or re.fullmatch(r"[0-9a-f]{32}", name):
            return name
        if not self._group:
            found = await self._find("sys_user_group", f"name={name}^active=true", "sys_id")
            if found is None:
                raise PermanentError(f"ServiceNow has no active group {name}: check the destination's assignment_group")
            self._group = str(found["sys_id"])
        return self._group

    async def _find(self, table: str, query: str, fields: str) -> dict[str, Any] | None:
        parameters = {"sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": "1"}
        response = await self.send("GET", f"{self._tables}/{table}", None, self._headers, parameters)
        rows = cast("list[dict[str, Any]]", self.json(response).get("result") or [])
        return rows[0] if rows else None

    def error_for(self, response: httpx.Response) -> IntegrationError:
        remedy = _REMEDIES.get(response.status_code, "check the table's mandatory fields and its business rules")
        return from_http_status(self.vendor, response.status_code, response.headers, response.text, remedy)


def _without_code_tags(text: str) -> str:
    """``[code]`` begins HTML in work notes."""
    return re.sub(r"\[(/?)code\]", r"(\1code)", text, flags=re.IGNORECASE)


def _timestamp(at: datetime | None) -> str:
    """In the Table API's format, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
