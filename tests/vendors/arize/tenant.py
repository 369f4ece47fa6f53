"""A stand-in for a whole Arize tenant: REST v2 and GraphQL on one server, and the webhooks that it delivers."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.vendors.arize.changes import Changes
from tests.vendors.arize.contract import Exchange, exchange_faults, request_faults, route_of
from tests.vendors.arize.delivery import MONITOR_EVENT, Deliverer, Delivery
from tests.vendors.arize.faults import Face
from tests.vendors.arize.graphql_api import GraphQLApi, available
from tests.vendors.arize.graphql_mutations import Mutations
from tests.vendors.arize.graphql_views import Views
from tests.vendors.arize.ids import timestamp
from tests.vendors.arize.rest import ProblemError, RestApi
from tests.vendors.arize.rest_catalog import CatalogRoutes
from tests.vendors.arize.rest_monitors import MonitorRoutes
from tests.vendors.arize.rest_webhooks import WebhookRoutes
from tests.vendors.arize.seeding import Seeding
from tests.vendors.arize.series import is_triggered
from tests.vendors.arize.state import Row, TenantState
from tests.vendors.server import Request, Vendor

Body = str | dict[str, Any] | bytes | Callable[[Row, Row], Any]
"""The shape of a monitor's webhook: ``full`` (an envelope with the whole monitor), ``poke`` (the monitor's id),
``flat`` (the monitor object itself), or a body, or what makes one of the envelope's fields and the monitor."""

_REFUSED = json.dumps({"title": "Unauthorized", "status": 401, "detail": "invalid API key"})
_DENIED = json.dumps({"errors": [{"message": "permission denied", "path": ["node"]}], "data": {"node": None}})


class ArizeTenant(Seeding, Changes, Vendor):
    """The tenant, a context manager.

    Every exchange of REST v2 is checked by the models of the ``arize`` SDK when the tenant is closed, or by ``check``;
    GraphQL is executed by ``graphql-core``. What a client does wrong, and what the stand-in itself would answer wrong,
    is in ``violations``.

    Args:
        key: The API key that both faces accept.
        checked: Whether exchanges are checked by the SDK's models, whose import takes seconds.
    """

    def __init__(self, key: str = "arize-key", *, checked: bool = True) -> None:
        Vendor.__init__(self)
        self.key = key
        self.checked = checked
        self.state = TenantState()
        self.rest = Face(_REFUSED)
        self.graphql = Face(_DENIED)
        self.webhooks = Deliverer(self.state)
        self.body: Body = "full"
        """The shape of the bodies that monitors deliver."""
        self.notifies: set[str] = {"TRIGGERED"}
        """The statuses whose transition is delivered. Whether Arize delivers ``CLEARED`` is not known."""
        self.accepts_wrong_key = False
        """True if a wrong key is no violation, for a test of one."""
        self.catalog = CatalogRoutes(self.state)
        self.webhook_routes = WebhookRoutes(self.state, self.webhooks)
        routes = {**MonitorRoutes(self.state).routes(), **self.catalog.routes(), **self.webhook_routes.routes()}
        self.rest_api = RestApi(self.state, routes)
        self.views = Views(self.state)
        self.graphql_api = GraphQLApi(self.state, self.views, Mutations(self.state, self.views, self._reevaluate))
        self._exchanges: dict[Exchange, None] = {}
        # A dictionary, since the same question is often asked again, and answered the same.
        self.choose = lambda request: self._face(request).next()

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which Tocsin reads this tenant."""
        return {"ARIZE_API_KEY": self.key, "ARIZE_API_URL": self.base_url, "ARIZE_APP_URL": self.base_url}

    def __exit__(self, *exception: object) -> None:
        self.webhooks.close()
        super().__exit__(*exception)
        self.check()

    def _face(self, request: Request) -> Face:
        return self.graphql if request.path == "/graphql" else self.rest

    def calls(self, path: str, method: str = "GET") -> list[Request]:
        """The requests that were received for a path, in their order."""
        return [one for one in list(self.requests) if one.path == path and one.method == method]

    # The server

    async def respond(self, request: Request) -> tuple[int, Any]:
        face = self._face(request)
        sent = request.headers.get("x-api-key" if face is self.graphql else "Authorization")
        if sent != (self.key if face is self.graphql else f"Bearer {self.key}"):
            if not self.accepts_wrong_key:
                self.violations.append(f"{request.path}: wrong key")
            return 401, json.loads(_REFUSED)
        if face is self.graphql:
            return self._graphql(request)
        try:
            status, answer = self._refused(request) or await self.rest_api.respond(request)
        except LookupError as error:
            self.violations.append(str(error))
            return ProblemError(404, str(error)).answer
        sent_body = json.dumps(request.body) if request.raw else ""
        with self.state.lock:
            received = "" if status == 204 else json.dumps(answer)
        if self.checked:
            exchange = Exchange(request.method, request.path, request.parameters, sent_body, status, received)
            self._exchanges[exchange] = None
        if status < 300 and request.method not in {"GET", "HEAD"}:
            self.state.log(f"{request.method} {request.path}", sent_body, "{}")
        return status, json.loads(received) if received else None

    def _refused(self, request: Request) -> tuple[int, Any] | None:
        """The refusal of a malformed body. Reading needs none of the SDK's models, and so is fast."""
        if (request.method in {"GET", "DELETE"} and not request.raw) or route_of(request.method, request.path) is None:
            return None
        faults = request_faults(request.method, request.path, request.parameters, request.body)
        if not faults:
            return None
        status = 400 if any("additional fields" in fault or "unknown" in fault for fault in faults) else 422
        return ProblemError(status, "; ".join(faults)).answer

    def _graphql(self, request: Request) -> tuple[int, Any]:
        if not available():
            return 503, {"errors": [{"message": "shared/specs/arize.graphql is not beside the project"}]}
        status, answer, faults = self.graphql_api.respond(request)
        self.violations += [f"/graphql: {fault}" for fault in faults]
        return status, answer

    def response(self, status: int, answer: Any) -> web.Response:
        if status == 204:
            return web.Response(status=204)
        kind = "application/problem+json" if status >= 400 and "errors" not in answer else "application/json"
        return web.json_response(answer, status=status, content_type=kind)

    def check(self) -> list[str]:
        """Check the exchanges since the last check by the SDK's models.

        Returns:
            All violations until now.
        """
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges:
            self.violations += [one for one in exchange_faults(exchange) if one not in self.violations]
        return self.violations

    # Monitors that are evaluated

    def _reevaluate(self, monitor_id: str) -> None:
        """Evaluate a monitor as ``triggerMonitor`` does: to the value that a test has set, or the same as before."""
        extras, monitor = self.state.extras[monitor_id], self.state.monitors.get(monitor_id)
        assert monitor is not None
        value = monitor.get("latest_computed_value") if extras.next_value is None else extras.next_value
        self.evaluate(monitor_id, value)

    def evaluate(
        self,
        monitor_id: str,
        value: float | None,
        *,
        status: str | None = None,
        at: datetime | None = None,
        body: Body | None = None,
        lost: bool = False,
    ) -> list[Delivery]:
        """Evaluate a monitor. A transition to triggered is delivered to its webhooks, in other threads.

        Args:
            monitor_id: The monitor.
            value: What was computed; None where there is no data.
            status: The status that follows. By default what the threshold says.
            at: When. Now by default.
            body: The shape of the deliveries, in place of the tenant's.
            lost: True if a transition is not delivered, as when Arize has given up.

        Returns:
            The deliveries that begin; wait for one with ``wait``.
        """
        with self.state.lock:
            monitor = self.state.monitors.get(monitor_id)
            assert monitor is not None, f"no monitor {monitor_id}"
            before = monitor.get("status", "NO_DATA")
            monitor["status"] = status or self._status(monitor, value)
            monitor["evaluated_at"] = timestamp(at or datetime.now(UTC))
            if value is not None:
                monitor["latest_computed_value"] = value
            transition = monitor["status"] != before and monitor["status"] in self.notifies
            if lost or not transition or not monitor.get("notifications_enabled"):
                return []
            shown = json.loads(json.dumps(monitor))
            channels = [one["id"] for one in monitor.get("notification_configs") or [] if one["type"] == "WEBHOOK"]
        event_id = f"evt_{uuid.uuid4().hex}"
        envelope = {
            "event": MONITOR_EVENT,
            "event_id": event_id,
            "occurred_at": shown["evaluated_at"],
            "previous_status": before,
        }
        payload = _shaped(self.body if body is None else body, envelope, shown)
        return [self.webhooks.send(one, MONITOR_EVENT, payload, event_id) for one in channels]

    def _status(self, monitor: Row, value: float | None) -> str:
        if value is None:
            return "NO_DATA"
        history = [one for _, one in self.state.extras[monitor["id"]].history if one is not None]
        return "TRIGGERED" if is_triggered(monitor["threshold"], value, history) else "CLEARED"


def _shaped(body: Body, envelope: Row, monitor: Row) -> Any:
    if body == "full":
        return {**envelope, "monitor": monitor}
    if body == "poke":
        return {"event": envelope["event"], "monitor_id": monitor["id"]}
    if body == "flat":
        return monitor
    if callable(body):
        return body(envelope, monitor)
    assert not isinstance(body, str), f"{body!r} is no shape of a body"
    return body
