"""A stand-in for ServiceNow's Table API.

The vendor publishes no machine-readable API description without an account. The requests follow its REST API reference,
"Table API", and the lengths are those of the table ``task``.
"""

import base64
import re
from typing import Any

from integrations.base.text import text_length
from tests.vendors.server import Request, Vendor

_LIMITS = {"short_description": 160, "description": 4000, "correlation_id": 100, "correlation_display": 100}
_FIELDS = {*_LIMITS, "urgency", "impact", "contact_type", "assignment_group", "due_date"}


class ServiceNow(Vendor):
    def __init__(self, user: str = "snow-user", password: str = "snow-password") -> None:
        super().__init__()
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.groups = {"legal-ai": "d625dccec0a8016700a222a0f7900d06"}
        self.tickets: list[dict[str, Any]] = []
        self.notes: list[dict[str, str]] = []
        self.journal_is_closed = False

    def answer(self, request: Request) -> tuple[int, Any]:
        if request.headers.get("Authorization") != self.authorization:
            return 401, {
                "error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"}
            }
        found = re.fullmatch(r"/api/now/table/([a-z_]+)(?:/([0-9a-f]{32}))?", request.path)
        if found is None:
            self.violations.append(f"ServiceNow has no {request.method} {request.path}")
            return 404, {}
        table, sys_id = found[1], found[2] or ""
        match request.method, table:
            case "GET", "sys_user_group":
                name = re.search(r"name=([^^]+)", request.query["sysparm_query"])
                assert name
                rows = [{"sys_id": self.groups[name[1]]}] if name[1] in self.groups else []
                return 200, {"result": rows}
            case "GET", "sys_journal_field":
                if self.journal_is_closed:
                    return 403, {"error": {"message": "User Not Authorized"}}
                asked = dict(re.findall(r"(element_id=|valueLIKE)([^^]+)", request.query["sysparm_query"]))
                rows = [
                    {"sys_id": "1"}
                    for one in self.notes
                    if one["element_id"] == asked["element_id="] and asked["valueLIKE"] in one["value"]
                ]
                return 200, {"result": _page(rows, request.query)}
            case "GET", "incident":
                asked = dict(part.split("=", 1) for part in request.query["sysparm_query"].split("^"))
                rows = [one for one in self.tickets if all(one.get(key) == value for key, value in asked.items())]
                found_rows = [{"sys_id": one["sys_id"], "number": one["number"]} for one in rows]
                return 200, {"result": _page(found_rows, request.query)}
            case "POST", "incident":
                return 201, {"result": self._create(request.body)}
            case "PATCH", "incident":
                if set(request.body) != {"work_notes"} or text_length(request.body["work_notes"]) > 4000:
                    self.violations.append(f"a note is work_notes of at most 4000 characters, not {set(request.body)}")
                if "[code]" in request.body["work_notes"].lower():
                    self.violations.append("a note holds HTML")
                self.notes.append({"element_id": sys_id, "value": request.body["work_notes"]})
                return 200, {"result": {"sys_id": sys_id}}
            case _:
                self.violations.append(f"ServiceNow has no {request.method} {request.path}")
                return 404, {"error": {"message": "Invalid table"}}

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        self.violations += [f"{key} is an unexpected field" for key in body if key not in _FIELDS]
        for field, limit in _LIMITS.items():
            if text_length(body.get(field, "")) > limit:
                self.violations.append(f"{field} is longer than {limit} characters")
        if "\n" in body["short_description"]:
            self.violations.append("a short description is one line")
        if body["urgency"] not in "123" or body["impact"] not in "123":
            self.violations.append("urgency and impact are 1, 2 or 3")
        if "due_date" in body and not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", body["due_date"]):
            self.violations.append("a due date is yyyy-MM-dd HH:mm:ss")
        if any(one["correlation_id"] == body["correlation_id"] for one in self.tickets):
            self.violations.append(f"a second ticket for {body['correlation_id']}")
        number = f"INC{len(self.tickets) + 10001:07d}"
        ticket = {**body, "sys_id": f"{len(self.tickets) + 1:032x}", "number": number}
        self.tickets.append(ticket)
        return ticket


def _page(rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    """REST API reference, Table API: ``sysparm_limit`` and ``sysparm_offset``."""
    start = int(query.get("sysparm_offset", 0))
    return rows[start : start + int(query.get("sysparm_limit", 10_000))]
