"""A stand-in for Opsgenie's Alert API."""

from typing import Any
from urllib.parse import unquote

from integrations.base.text import text_length
from tests.vendors.server import Request, Vendor
from tests.vendors.specs import parameter_faults

_LIMITS = {"message": 130, "alias": 512, "description": 15_000, "entity": 512, "source": 100, "note": 25_000}


class Opsgenie(Vendor):
    def __init__(self, api_key: str = "genie-key") -> None:
        super().__init__()
        self.api_key = api_key
        self.alerts: dict[str, str] = {}
        """The state of each alert by alias: open, acknowledged or closed."""
        self.notified: list[str] = []

    def answer(self, request: Request) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"GenieKey {self.api_key}":
            return 401, {"message": "Key format is not valid!", "took": 0.0, "requestId": "r"}
        parts = request.path.removeprefix("/v2/alerts").strip("/").split("/")
        if request.method != "POST" or not request.path.startswith("/v2/alerts"):
            self.violations.append(f"Opsgenie has no {request.method} {request.path}")
            return 404, {}
        path = "/v2/alerts" if parts == [""] else f"/v2/alerts/{{identifier}}/{parts[-1]}"
        self.violations += parameter_faults("opsgenie", path, "post", request.body, request.query)
        for field, limit in _LIMITS.items():
            if text_length(request.body.get(field, "")) > limit:
                return self._refuse(f"{field} is longer than {limit} characters")
        if path == "/v2/alerts":
            if refusal := _refusal(request.body):
                return self._refuse(refusal)
            self._create(request.body)
        else:
            alias = unquote(parts[0])
            if request.query.get("identifierType") != "alias":
                self.violations.append("an alias needs identifierType=alias")
            self.alerts[alias] = "acknowledged" if parts[-1] == "acknowledge" else "closed"
        return 202, {"result": "Request will be processed", "took": 0.1, "requestId": "43a29c5c-3dbf"}

    def described(self, request: Request) -> tuple[str, str] | None:
        action = request.path.removeprefix("/v2/alerts").rpartition("/")[2]
        return "opsgenie", f"/v2/alerts/{{identifier}}/{action}" if action else "/v2/alerts"

    def _refuse(self, reason: str) -> tuple[int, Any]:
        self.violations.append(reason)
        return 422, {"message": reason, "took": 0.0, "requestId": "r"}

    def _create(self, body: dict[str, Any]) -> None:
        if self.alerts.get(body["alias"], "closed") == "closed":
            self.notified.append(body["alias"])
            self.alerts[body["alias"]] = "open"


def _refusal(body: dict[str, Any]) -> str:
    """docs.opsgenie.com/docs/alert-api, "Create Alert"."""
    if sum(text_length(key) + text_length(value) for key, value in body.get("details", {}).items()) > 8000:
        return "details hold more than 8000 characters"
    if len(body.get("tags", [])) > 20 or any(text_length(tag) > 50 for tag in body.get("tags", [])):
        return "more than 20 tags, or one of more than 50 characters"
    return ""
