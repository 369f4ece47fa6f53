"""Creates, previews and expires silences."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from alerts import Alert, TocsinError
from alerts.bounded import cut_text
from audit import AuditLog
from gateway.incident_cache import IncidentCache
from gateway.ingest.starter import RPC_TIMEOUT
from gateway.list_query import open_incidents_of
from incident.limits import SUMMARY_LIMIT
from incident.suppression import Silence
from incident.text import counted
from integrations.suppression.store import RETENTION, SuppressionStore
from policy import IncidentFacts, Policy, format_duration
from policy.cel.conditions import ConditionError
from policy.noise_schema import SilencesConfig
from workflows.contracts import SILENCE_WORKFLOW

PERIOD = timedelta(days=7)
"""A preview counts the alerts of the last week."""
MAX_READ = 20_000
"""Alerts of the last week that a preview reads. Of more, it says that it did not count them."""
MAX_OPEN = 500
"""Open incidents that a preview asks; the same."""
STORED_WITHIN = timedelta(seconds=5)
"""How long a request waits for a worker to store a silence. It is durable before."""
_ALERT_EVENTS = ("received", "alert_added")
_SHOWN = 10


class SilenceError(TocsinError):
    """A silence that cannot be created. ``reasons`` are complete sentences."""

    code = "invalid_silence"

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Preview(BaseModel):
    """What a matcher matches."""

    matcher: str
    open_incidents: int = Field(description="Open incidents that it silences at once.")
    alerts: int = Field(description="Alerts of the last seven days that it matches.")
    monitors: int = Field(description="How many monitors these are of.")
    critical_rules: list[str] = Field(description="Critical rules that matched some of them in production.")
    examples: list[str] = Field(description="Monitors that it matches, those of open incidents first.")
    uncounted: str = Field(default="", description="What could not be counted, and why.")
    confirmations: list[str] = Field(description="Why a second yes is needed; empty if it is not.")

    @property
    def count(self) -> int:
        """What a second yes must name."""
        return self.open_incidents + self.alerts


@dataclass
class _Matched:
    """What a preview found so far."""

    open: set[str] = field(default_factory=set[str])
    alerts: int = 0
    monitors: dict[str, None] = field(default_factory=dict[str, None])
    rules: dict[str, None] = field(default_factory=dict[str, None])


class SilenceService:
    """What the API, the command line and the console do with silences."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        store: SuppressionStore,
        policy: Callable[[], Policy | None],
        incidents: IncidentCache,
        audit_url: str,
    ) -> None:
        """
        Args:
            client: of Temporal.
            task_queue: of the workflows.
            store: where the silences are.
            policy: returns the policy in force.
            incidents: the open incidents.
            audit_url: the database of the audit log, which has the alerts of the last week.
        """
        self._client, self._task_queue = client, task_queue
        self._store, self._policy, self._incidents = store, policy, incidents
        self._log = AuditLog(audit_url) if audit_url else None

    @property
    def config(self) -> SilencesConfig:
        """The policy's limits."""
        return self._require_policy().noise.config.silences

    async def silences(self, *, ended: bool) -> list[Silence]:
        """Those that are active or begin later, or all of the last weeks. Raises StoreUnavailableError."""
        now = datetime.now(UTC)
        found = await asyncio.to_thread(self._store.silences, now - RETENTION if ended else now)
        return sorted(found, key=lambda one: one.until)

    async def silence(self, identifier: str) -> Silence | None:
        """Raises StoreUnavailableError."""
        return await asyncio.to_thread(self._store.silence, identifier)

    def check(self, matcher: str, starts_at: datetime, ends_at: datetime) -> None:
        """Raises SilenceError: the matcher is not valid, or the time is too long or over."""
        policy, reasons = self._require_policy(), list[str]()
        try:
            policy.matchers.check(matcher)
        except ConditionError as error:
            reasons += [f"matcher: character {issue.offset + 1}: {issue.message}" for issue in error.issues]
        now, limit = datetime.now(UTC), policy.noise.config.silences.at_most
        if ends_at <= max(starts_at, now):
            reasons.append("it is over before it begins: ends_at must be later than starts_at and now")
        elif (ends_at - starts_at).total_seconds() > limit + 1:
            reasons.append(f"it may last {format_duration(limit)} at most, by noise.silences.at_most of the policy")
        if reasons:
            raise SilenceError(*reasons)

    async def preview(self, matcher: str) -> Preview:
        """What a valid matcher matches now, and matched in the last seven days.

        What cannot be counted is said, and needs a second yes: in doubt, nobody is silenced.
        """
        policy, matched, uncounted = self._require_policy(), _Matched(), list[str]()
        now = datetime.now(UTC)
        try:
            is_open = await self._match_open(policy, matcher, matched, uncounted, now)
        except (RPCError, RuntimeError) as error:
            is_open = frozenset[str]()
            uncounted.append(f"open incidents, since Temporal does not answer: {error}")
        try:
            if not await asyncio.to_thread(self._match_recorded, policy, matcher, matched, is_open, now):
                uncounted.append(f"last week's alerts beyond {MAX_READ:,}")
        except (SQLAlchemyError, OSError, TocsinError) as error:
            uncounted.append(f"last week's alerts, since the audit log cannot be read: {type(error).__name__}")
        return _previewed(matcher, matched, uncounted, policy.noise.config.silences.confirm_above)

    async def create(self, silence: Silence) -> bool:
        """Create or expire a silence: durable on return. Returns whether it is in force already.

        Raises:
            RPCError: Temporal refuses, or is unavailable. So does the client's RuntimeError before its first
                connection.
        """
        word = "expiry" if silence.ended_at else "creation"
        handle = await self._client.start_workflow(
            SILENCE_WORKFLOW,
            silence,
            id=f"silence-{silence.id}-{word}",
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            rpc_timeout=RPC_TIMEOUT,
            static_summary=cut_text(f"{silence.by} silences {silence.matcher}: {silence.reason}", SUMMARY_LIMIT),
        )
        try:
            async with asyncio.timeout(STORED_WITHIN.total_seconds()):
                await handle.result(rpc_timeout=STORED_WITHIN)
        except TimeoutError:
            return False
        except RPCError as error:
            if error.status not in {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}:
                raise
            return False
        return True

    def close(self) -> None:
        """Close the connection to the audit log."""
        if self._log is not None:
            self._log.close()

    def _require_policy(self) -> Policy:
        policy = self._policy()
        if policy is None:
            raise SilenceError("no policy is loaded")
        return policy

    async def _match_open(
        self, policy: Policy, matcher: str, matched: _Matched, uncounted: list[str], now: datetime
    ) -> frozenset[str]:
        """The open incidents, matched by the alert that each was opened with."""
        query = open_incidents_of(self._task_queue)
        executions = [one async for one in self._client.list_workflows(query, limit=MAX_OPEN)]
        views = await asyncio.gather(*(self._incidents.view(one) for one in executions))
        if unread := sum(view is None for view in views):
            uncounted.append(f"{counted(unread, 'open incident')}, for which no worker answers")
        if len(executions) == MAX_OPEN:
            uncounted.append(f"open incidents beyond {MAX_OPEN}")
        for one, view in zip(executions, views, strict=True):
            if view is not None and view.alert is not None and policy.matchers.matches(matcher, view.alert, now):
                matched.open.add(one.id)
                _note(policy, matched, view.alert, now)
        return frozenset(one.id for one in executions)

    def _match_recorded(
        self, policy: Policy, matcher: str, matched: _Matched, is_open: frozenset[str], now: datetime
    ) -> bool:
        """Whether all of the week's alerts were read."""
        if self._log is None:
            raise SilenceError("the gateway has no audit log")
        for number, record in enumerate(self._log.read(events=_ALERT_EVENTS, since=now - PERIOD)):
            if number == MAX_READ:
                return False
            try:
                alert = policy.interpret(Alert.model_validate(record.data.get("alert") or {}))
            except ValidationError:
                continue
            if policy.matchers.matches(matcher, alert, now):
                matched.alerts += 1
                if record.incident in is_open:
                    matched.open.add(record.incident)
                _note(policy, matched, alert, now)
        return True


def _note(policy: Policy, matched: _Matched, alert: Alert, now: datetime) -> None:
    """Its monitor, and the rule that it matches if that is critical in production."""
    matched.monitors[alert.monitor] = None
    if alert.environment == "production":
        decision = policy.decide(alert, now, IncidentFacts(alerts=1))
        if decision.tier == "critical":
            matched.rules[decision.rule] = None


def _previewed(matcher: str, matched: _Matched, uncounted: Sequence[str], confirm_above: int) -> Preview:
    count = len(matched.open) + matched.alerts
    why: list[str] = []
    if count > confirm_above:
        why.append(f"it matches {count:,}: {_counts(matched)}")
    if matched.rules:
        why.append(f"it silences what is critical in production: {_listed(matched.rules)}")
    why += [f"what it matches cannot be counted: {one}" for one in uncounted]
    return Preview(
        matcher=matcher,
        open_incidents=len(matched.open),
        alerts=matched.alerts,
        monitors=len(matched.monitors),
        critical_rules=list(matched.rules),
        examples=list(matched.monitors)[:_SHOWN],
        uncounted="; ".join(uncounted),
        confirmations=why,
    )


def _counts(matched: _Matched) -> str:
    return f"{len(matched.open):,} open incidents, and {matched.alerts:,} alerts of the last seven days"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:_SHOWN])


def new_silence(matcher: str, reason: str, by: str, source: str, starts_at: datetime, ends_at: datetime) -> Silence:
    """A silence with an id of its own."""
    return Silence(
        id=f"s-{uuid.uuid4().hex[:12]}",
        matcher=matcher,
        reason=reason,
        by=by,
        source=source,
        created_at=datetime.now(UTC),
        starts_at=starts_at,
        ends_at=ends_at,
    )
