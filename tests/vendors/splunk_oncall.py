"""A stand-in for Splunk On-Call's REST endpoint.

The vendor publishes no machine-readable API description. The fields are those of help.victorops.com, "REST Endpoint
Integration Guide".
"""

import re
from typing import Any

from integrations.base.text import text_length
from tests.vendors.server import Request, Vendor

_TYPES = {"CRITICAL", "WARNING", "ACKNOWLEDGEMENT", "INFO", "RECOVERY"}
_FIELDS = {"message_type", "entity_id", "entity_display_name", "state_message", "state_start_time", "monitoring_tool"}


class SplunkOnCall(Vendor):
    def __init__(self, api_key: str = "splunk-key") -> None:
        super().__init__()
        self.api_key = api_key
        self.open: set[str] = set()
        self.paged: list[str] = []

    def answer(self, request: Request) -> tuple[int, Any]:
        found = re.fullmatch(r"/integrations/generic/20131114/alert/([^/]+)/([^/]+)", request.path)
        if request.method != "POST" or found is None:
            self.violations.append(f"Splunk On-Call has no {request.method} {request.path}")
            return 404, {}
        if found[1] != self.api_key:
            return 403, {"result": "failure", "messages": f"{found[1]} is no key"}
        body = request.body
        if body.get("message_type") not in _TYPES:
            self.violations.append(f"{body.get('message_type')} is no message_type")
        if not 0 < len(body.get("entity_id", "")) <= 512:
            self.violations.append("entity_id has no or more than 512 characters")
        if text_length(body.get("state_message", "")) > 20_480:
            self.violations.append("state_message has more than 20,480 characters")
            return 400, {"result": "failure", "messages": "state_message is too long"}
        unknown = [key for key in body if key not in _FIELDS and not key.startswith("vo_annotate.")]
        self.violations += [f"{key} is unknown" for key in unknown]
        entity = body.get("entity_id", "")
        if body.get("message_type") == "CRITICAL" and entity not in self.open:
            self.open.add(entity)
            self.paged.append(entity)
        elif body.get("message_type") == "RECOVERY":
            self.open.discard(entity)
        return 200, {"result": "success", "entity_id": body.get("entity_id")}
