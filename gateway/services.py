"""The objects that the gateway's endpoints depend on, built once by ``create_app``."""

from dataclasses import dataclass

from temporalio.client import Client

from gateway.action_service import ActionService
from gateway.callback_incidents import CallbackIncidents
from gateway.health_monitor import HealthMonitor
from gateway.incident_cache import IncidentCache
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.reported_changes import ChangeRecorder
from gateway.ingest.spool import Spool
from gateway.quarantine.quarantine import Quarantine
from gateway.quarantine.replay import QuarantineReplay
from gateway.responder_replies import ResponderReplies
from gateway.security.codec_sessions import CodecSessions
from gateway.security.encryption import EncryptionCodec
from gateway.security.rates import RateLimiter
from gateway.settings import GatewaySettings
from gateway.silences import SilenceService
from integrations.suppression.finder import SuppressionFinder


@dataclass(frozen=True, kw_only=True)
class Services:
    """Stored as ``app.state.services``; ``gateway.dependencies`` hands its members to endpoints."""

    settings: GatewaySettings
    client: Client
    limiter: RateLimiter
    dedup_store: DedupStore
    spool: Spool
    ingester: AlertIngester
    quarantine: Quarantine
    replay: QuarantineReplay
    changes: ChangeRecorder
    suppressions: SuppressionFinder
    silences: SilenceService
    health: HealthMonitor
    incidents: IncidentCache
    actions: ActionService
    callback_incidents: CallbackIncidents
    replies: ResponderReplies
    codec: EncryptionCodec
    codec_sessions: CodecSessions
