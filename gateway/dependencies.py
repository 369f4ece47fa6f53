"""What endpoints declare in their signatures: the services, and the caller with the role that the endpoint needs."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from temporalio.client import Client

from gateway.action_service import ActionService
from gateway.health_monitor import HealthMonitor
from gateway.incident_cache import IncidentCache
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.reported_changes import ChangeRecorder
from gateway.ingest.spool import Spool
from gateway.quarantine.quarantine import Quarantine
from gateway.quarantine.replay import QuarantineReplay
from gateway.security.rates import RateLimiter, client_address
from gateway.security.tokens import Caller
from gateway.services import Services
from gateway.settings import GatewaySettings
from gateway.silences import SilenceService
from policy import Role

# Only for the OpenAPI document: ``RequireRole`` checks the header itself, to answer with problem details.
_bearer = HTTPBearer(auto_error=False, description="A token of TOCSIN_API_TOKENS.")
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def get_services(request: Request) -> Services:
    return request.app.state.services


ServicesDep = Annotated[Services, Depends(get_services)]


def _service(read: Callable[[Services], object]) -> Any:
    """A dependency on one of the services."""

    def dependency(services: ServicesDep) -> object:
        return read(services)

    return Depends(dependency)


SettingsDep = Annotated[GatewaySettings, _service(lambda services: services.settings)]
ClientDep = Annotated[Client, _service(lambda services: services.client)]
LimiterDep = Annotated[RateLimiter, _service(lambda services: services.limiter)]
IngesterDep = Annotated[AlertIngester, _service(lambda services: services.ingester)]
DedupStoreDep = Annotated[DedupStore, _service(lambda services: services.dedup_store)]
SpoolDep = Annotated[Spool, _service(lambda services: services.spool)]
QuarantineDep = Annotated[Quarantine, _service(lambda services: services.quarantine)]
ReplayDep = Annotated[QuarantineReplay, _service(lambda services: services.replay)]
ChangesDep = Annotated[ChangeRecorder, _service(lambda services: services.changes)]
SilencesDep = Annotated[SilenceService, _service(lambda services: services.silences)]
HealthDep = Annotated[HealthMonitor, _service(lambda services: services.health)]
IncidentsDep = Annotated[IncidentCache, _service(lambda services: services.incidents)]
ActionsDep = Annotated[ActionService, _service(lambda services: services.actions)]


class RequireRole:
    """The caller, authenticated by an API token with at least this role, and within the rate of the token.

    Raises Problem: 401 without a valid token, 403 without the role, 429 over the rate.
    """

    def __init__(self, role: Role) -> None:
        self.role: Role = role

    async def __call__(self, request: Request, credentials: _Bearer) -> Caller:
        del credentials
        return await self.admit(request)

    async def admit(self, request: Request) -> Caller:
        """The caller. ``GuardedRoute`` calls this before the body is read, and it counts once for a request."""
        admitted: Caller | None = getattr(request.state, "caller", None)
        if admitted is not None:
            return admitted
        services = get_services(request)
        caller = services.settings.tokens.require(request.headers.get("authorization", ""), self.role)
        await services.limiter.spend("api", caller.name)
        request.state.caller = caller
        return caller


ViewerDep = Annotated[Caller, Depends(RequireRole("viewer"))]
ResponderDep = Annotated[Caller, Depends(RequireRole("responder"))]


class RequireCodecRole:
    """Admits a codec client with at least this role, by a session or an API token, and within the address's rate.

    Raises Problem: 401 without either, 403 without the role, 429 over the rate.
    """

    def __init__(self, role: Role) -> None:
        self.role: Role = role

    async def __call__(self, request: Request, credentials: _Bearer) -> None:
        del credentials
        await self.admit(request)

    async def admit(self, request: Request) -> None:
        """Called before the body is read, and counted once for a request."""
        if getattr(request.state, "admitted", False):
            return
        services = get_services(request)
        services.codec_sessions.require(request, self.role)
        await services.limiter.spend("api", client_address(request))
        request.state.admitted = True


async def optional_viewer(request: Request, services: ServicesDep, credentials: _Bearer) -> Caller | None:
    """The caller of an endpoint that shows more to a viewer than to anyone; None without a bearer token.

    Raises Problem: 401 for a token that is not valid: nobody guesses tokens here, either.
    """
    del credentials
    authorization = request.headers.get("authorization", "")
    if authorization.strip()[:6].casefold() != "bearer":
        return None  # another scheme is for a proxy in front
    return services.settings.tokens.require(authorization, "viewer")


OptionalViewerDep = Annotated[Caller | None, Depends(optional_viewer)]
