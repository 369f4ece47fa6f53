"""The incident workflow: one durable execution from the first alert to the close.

``IncidentStateMachine`` holds the rules and the state. This workflow feeds events to it in their order (alerts,
responder actions, receipts, time) and dispatches what it queues (notifications, audit events, one timer for the next
deadline).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import NotificationResult
    from alerts.bounded import cut_text, json_size
    from incident.audit_events import AuditEvent
    from incident.escalation import OBLIGATIONS
    from incident.events import AlertBatch, EventIds, GroupedAlert, ResponderAction
    from incident.limits import ALERT_BYTES, INBOX_BYTES, KEPT_ALERT_BYTES, MESSAGE_BYTES, SUMMARY_LIMIT
    from incident.peers import PeerMessage
    from incident.state import PendingNotification, Queue
    from incident.state_machine import IncidentStateMachine
    from incident.view import IncidentView, deadline_summary, incident_view
    from workflows import activity_calls, search_attributes
    from workflows.audit_writer import AuditWriter
    from workflows.bounds import bounded_group, bounded_state, held_problems, incident_result, is_full, parts_of
    from workflows.classification import ACTIONS_WAIT, add_classified, decide, initial_decision
    from workflows.contracts import (
        ADD_ALERTS_SIGNAL,
        INCIDENT_QUERY,
        INCIDENT_WORKFLOW,
        PEER_SIGNAL,
        PROBLEMS_QUERY,
        PROCESSED_EVENT_IDS_QUERY,
        RESPONDER_ACTION_SIGNAL,
        HeldProblem,
        IncidentInput,
        IncidentResult,
    )
    from workflows.first_state import first_state
    from workflows.late_description import LateDescription
    from workflows.outage_grace import OutageGrace
    from workflows.suppression import SuppressionTasks
    from workflows.timer import DeadlineTimer
    from workflows.ui_details import ui_details

T = TypeVar("T")

MAX_EVENTS = 4_000
"""Continue as new above this length: far below the server's limit of 51,200, and quick to replay."""
MAX_IN_FLIGHT: dict[Queue, int] = {"page": 16, "message": 8, "retry": 8, "update": 8, "digest": 4}
"""Notifications at once, by queue: all that one workflow task starts travels in one request."""
IN_TURN: frozenset[Queue] = frozenset({"retry", "update", "digest"})
"""Queues with one notification at a time for each destination: what is there may be retried for a day."""


@workflow.defn(name=INCIDENT_WORKFLOW)
class Incident:
    @workflow.init
    def __init__(self, start: IncidentInput) -> None:
        info = workflow.info()
        self._state = first_state(start, info, workflow.now())
        self._unlisted = start.unlisted
        self._machine = IncidentStateMachine(self._state, workflow.patched)
        self._inbox: list[GroupedAlert | ResponderAction] = [
            *(start.alerts.alerts if start.alerts else ()),
            *start.inbox,
        ]
        self._initial_decision = initial_decision(start)
        """The gateway's decision about each of the first alerts."""
        self._classified_by_worker = False
        """A worker classified alerts since the inbox was last processed."""
        self._in_flight: dict[str, PendingNotification] = {}
        self._destination_locks: dict[str, asyncio.Lock] = {}
        self._audit = AuditWriter(self._state, self._spawn, self._wake)
        self._late_description = LateDescription(self._machine, self._spawn, self._wake)
        self._suppression = SuppressionTasks(self._machine, self._spawn, self._wake)
        self._timer = DeadlineTimer(self._wake)
        self._grace = OutageGrace()
        """Until when overdue deadlines wait for actions that gateways spooled during an outage."""
        self._published = search_attributes.published(info.typed_search_attributes)
        self._published_ids = set(info.typed_search_attributes.get(search_attributes.VENDOR_IDS) or ())
        self._close_delayed = False
        """A notification that the close waits for takes long."""
        self._background_error: BaseException | None = None
        self._dirty = False

    @workflow.run
    async def run(self, start: IncidentInput) -> IncidentResult:
        state, machine = self._state, self._machine
        while True:
            self._dirty = False
            self._raise_background_error()
            await self._process_inbox()
            self._do_what_is_due()
            if state.state == "resolved" and self._is_complete():
                machine.close(workflow.now())
            self._publish()
            if state.state == "closed" and not self._dirty:
                return incident_result(state)
            if self._must_continue_as_new():
                workflow.continue_as_new(self._next_input())
            self._arm_timer()
            await workflow.wait_condition(lambda: self._dirty)

    def _do_what_is_due(self) -> None:
        if not self._waits_for_actions():
            self._machine.run_due(workflow.now())
        self._dispatch()
        self._state.record_omitted(workflow.now())
        self._audit.flush()
        self._late_description.start()
        self._suppression.start()

    # ── Inbox ───────────────────────────────────────────────────────────────────────────────────────────

    @workflow.signal(name=ADD_ALERTS_SIGNAL)
    def add_alerts(self, batch: AlertBatch) -> None:
        self._inbox.extend(batch.alerts)
        self._wake()

    @workflow.signal(name=RESPONDER_ACTION_SIGNAL)
    def responder_action(self, action: ResponderAction) -> None:
        self._inbox.append(action)
        self._wake()

    @workflow.signal(name=PEER_SIGNAL)
    def peer_message(self, message: PeerMessage) -> None:
        self._machine.suppressions.handle(message, workflow.now())
        self._wake()

    @workflow.query(name=INCIDENT_QUERY)
    def incident(self) -> IncidentView:
        return incident_view(self._state, self._machine.next_deadline())

    @workflow.query(name=PROCESSED_EVENT_IDS_QUERY)
    def processed_event_ids(self, asked: EventIds) -> list[str]:
        """The given ids that this incident has processed: a gateway may not know whether its signal arrived."""
        return sorted(set(asked.ids) & set(self._state.processed_event_ids))

    @workflow.query(name=PROBLEMS_QUERY)
    def problems(self) -> list[HeldProblem]:
        """The incident's monitors. It has none if an earlier version began it."""
        return held_problems(self._state)

    async def _process_inbox(self) -> None:
        """Feed alerts and actions to the state machine in the order in which they arrived.

        Stops after a worker has classified alerts: more may have arrived meanwhile, and a storm must not delay what is
        due.
        """
        while self._inbox:
            if alerts := self._take_alerts():
                await self._process_alerts(alerts)
            if self._state.decision is None:
                if not any(isinstance(one, GroupedAlert) for one in self._inbox):
                    return
                continue
            for action in self._take(ResponderAction):
                with self._audit.durable():
                    self._machine.handle_action(action, workflow.now())
            if self._classified_by_worker:
                self._classified_by_worker, self._dirty = False, bool(self._inbox) or self._dirty
                return

    def _take_alerts(self) -> list[GroupedAlert]:
        """Those at the head of the inbox. Without a decision no action can be applied: then later ones count, too."""
        is_undecided = self._state.decision is None
        head = self._take(GroupedAlert, all_of_them=is_undecided and not self._state.bounded)
        return head or self._take(GroupedAlert, all_of_them=is_undecided)

    def _take(self, kind: type[T], *, all_of_them: bool = False) -> list[T]:
        """Remove and return the items of a kind: those at the head of the inbox, or all of them."""
        others = (index for index, one in enumerate(self._inbox) if not isinstance(one, kind))
        end = len(self._inbox) if all_of_them else next(others, len(self._inbox))
        taken = [one for one in self._inbox[:end] if isinstance(one, kind)]
        self._inbox = [one for one in self._inbox[:end] if not isinstance(one, kind)] + self._inbox[end:]
        return taken

    async def _process_alerts(self, alerts: list[GroupedAlert]) -> None:
        triggered: list[GroupedAlert] = []
        for alert in filter(None, map(self._machine.deduplicate, alerts)):
            status = alert.alert.status
            if status == "triggered" or (status == "no_data" and self._machine.takes_no_data(alert)):
                triggered.append(alert)
                continue
            await self._classify(triggered)
            triggered = []
            kept = bounded_group(alert, KEPT_ALERT_BYTES)
            await self._adopt(alert)
            if status == "cleared":
                self._machine.clear(kept, workflow.now())
            else:
                self._machine.no_data(kept, workflow.now())
        await self._classify(triggered)

    async def _adopt(self, alert: GroupedAlert) -> None:
        """A clear may be the first message that names a regulated model, whose incident it must not close."""
        if self._machine.says_more(alert) and workflow.patched(OBLIGATIONS):
            asked = (bounded_group(alert, ALERT_BYTES).alert,)
            facts = self._machine.facts((), workflow.now())
            decided = await self._while_going_on(decide(self._state, asked, facts))
            self._machine.adopt(decided.result.decision, workflow.now())
            decided.record_failure(self._state, workflow.now())

    async def _classify(self, triggered: list[GroupedAlert]) -> None:
        if triggered and self._initial_decision is not None:
            initial, self._initial_decision = self._initial_decision, None
            kept = [bounded_group(one, KEPT_ALERT_BYTES) for one in triggered[: initial.count]]
            each = [initial.about(one) for one in kept]
            self._machine.add_alerts(kept, initial.decision, workflow.now(), each, initial.suppressions)
            triggered = triggered[initial.count :]
        for part in parts_of(triggered, MESSAGE_BYTES, ALERT_BYTES):
            facts = self._machine.facts(part, workflow.now())
            decided = await self._while_going_on(decide(self._state, tuple(one.alert for one in part), facts))
            kept = [bounded_group(one, KEPT_ALERT_BYTES) for one in part]
            add_classified(self._machine, kept, decided, workflow.now())

    async def _while_going_on(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a classification. An incident that has a decision goes on meanwhile, and after ``ACTIONS_WAIT``
        responders' actions no longer wait for the alerts before them."""
        self._classified_by_worker = True
        if self._state.decision is None or not self._state.bounded:
            return await work
        task, wait_until = asyncio.create_task(work), workflow.now() + ACTIONS_WAIT
        was_dirty, self._dirty = self._dirty, False
        waits = any(one.key not in self._in_flight for one in self._state.pending)
        while True:
            if waits or self._has_actions():
                self._timer.arm(wait_until, "Alerts are being classified")
            if not self._has_actions():  # what is due waits for them
                self._arm_timer()
            waits = False
            await workflow.wait_condition(lambda: task.done() or self._dirty or self._background_error is not None)
            if task.done():
                self._dirty = self._dirty or was_dirty
                return task.result()
            self._dirty = False
            self._raise_background_error()
            if workflow.now() >= wait_until:
                for action in self._take(ResponderAction, all_of_them=True):
                    self._machine.handle_action(action, workflow.now())
            self._do_what_is_due()
            self._publish()

    # ── Notifications ───────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self) -> None:
        """Start the notifications that are pending and not in flight, pages first, as many as may be in flight. Each
        that ends runs the main loop again."""
        for notification in sorted(self._state.pending, key=lambda one: one.target.kind != "page"):
            if notification.key not in self._in_flight and not self._must_wait(notification):
                self._in_flight[notification.key] = notification
                self._spawn(self._notify(notification))

    def _must_wait(self, notification: PendingNotification) -> bool:
        """Whether its queue is full, or has an earlier one of its destination: no update overtakes another one."""
        if not self._state.bounded:
            return False
        queue = notification.queue
        destinations = [one.target.name for one in self._in_flight.values() if one.queue == queue]
        return len(destinations) >= MAX_IN_FLIGHT[queue] or (
            queue in IN_TURN and notification.target.name in destinations
        )

    async def _notify(self, notification: PendingNotification) -> None:
        # Runs that began with 1.0 send all that they have to one destination in turn.
        name = notification.key if self._state.bounded else notification.target.name
        async with self._destination_locks.setdefault(name, asyncio.Lock()):
            events, written = self._audit.lease(), False
            self._note_begin(notification)
            try:
                result = await self._send(notification, events)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                reason, permanent = activity_calls.failure_reason(error)
                self._machine.mark_failed(notification, reason, workflow.now(), permanent=permanent)
            else:
                written = result.audit_written
                self._state.indexed |= result.indexed
                if result.receipt is not None:
                    self._machine.mark_sent(notification, result.receipt, audit_written=written)
                else:
                    self._machine.mark_over_budget(notification, result.over_budget, workflow.now())
            self._audit.release(events, written=written)
        del self._in_flight[notification.key]
        self._wake()

    def _note_begin(self, notification: PendingNotification) -> None:
        """Note for the next run since when it is being sent. ``notification`` itself says so if it began before."""
        if notification.since is None:
            begun = notification.model_copy(update={"since": workflow.now()})
            state = self._state
            state.pending = [begun if one.key == notification.key else one for one in state.pending]

    async def _send(self, notification: PendingNotification, events: list[AuditEvent]) -> NotificationResult:
        """Send one notification. Raises ActivityError."""
        if self._closes_soon():
            try:
                return await activity_calls.notify(self._state, notification, events, give_up_soon=True)
            except ActivityError as error:
                if is_cancelled_exception(error) or activity_calls.failure_reason(error)[1]:
                    raise
            self._close_delayed = self._dirty = True
            notification = notification.model_copy(update={"retry_after_giveup": True})
        return await activity_calls.notify(self._state, notification, events)

    def _is_complete(self) -> bool:
        state = self._state
        waits = state.pending or (state.bounded and state.deadlines)
        is_busy = state.tracks_problems and self._suppression.is_busy
        return not (waits or state.unwritten_events or self._in_flight or self._audit.flushing or is_busy)

    # ── Time ────────────────────────────────────────────────────────────────────────────────────────────

    def _waits_for_actions(self) -> bool:
        """Whether overdue deadlines must wait: an acknowledgement from before a step was due stops that step."""
        if self._has_actions():
            return True  # processed soon: it waits behind alerts that a worker classifies
        deadline = self._machine.next_deadline()
        return self._grace.waits(deadline and deadline.at, workflow.now(), repeats=self._state.bounded)

    def _has_actions(self) -> bool:
        return any(isinstance(one, ResponderAction) for one in self._inbox)

    def _arm_timer(self) -> None:
        deadline = self._machine.next_deadline()
        if deadline is not None and (self._state.bounded or not self._state.is_over):
            at = max(deadline.at, self._grace.until) if self._grace.until else deadline.at
            self._timer.arm(at, cut_text(deadline_summary(self._state, deadline), SUMMARY_LIMIT))

    # ── Temporal ────────────────────────────────────────────────────────────────────────────────────────

    def _publish(self) -> None:
        """Show the state in the search attributes and in the Temporal UI."""
        state = self._state
        if state.decision is None or state.alert is None:
            return
        current = search_attributes.current(state.state, state.decision)
        described = search_attributes.changed_by_description(workflow.info().typed_search_attributes, state.alert)
        ids = search_attributes.vendor_ids(state) if state.indexed else []
        has_new_ids = not self._published_ids.issuperset(ids)
        # A close needs no search attribute: the execution's status says so.
        is_changed = (current != self._published or described or has_new_ids) and not self._unlisted
        if is_changed and state.state != "closed" and not self._closes_soon():
            changes: list[SearchAttributeUpdate[Any]] = [search_attributes.STATE.value_set(state.state)]
            if current[1:] != self._published[1:]:
                changes += [key.value_set(value) for key, value in search_attributes.of_decision(state.decision)]
            changes += [key.value_set(value) for key, value in described]
            if has_new_ids:
                changes.append(search_attributes.VENDOR_IDS.value_set(ids))
                self._published_ids = set(ids)
            workflow.upsert_search_attributes(changes)  # pyright: ignore[reportUnknownMemberType]  # the SDK's own
            self._published = current
        workflow.set_current_details(ui_details(state, self._machine.next_deadline()))

    def _closes_soon(self) -> bool:
        """Resolved, with only updates pending: most such incidents close a moment later."""
        state = self._state
        only_updates = bool(state.pending) and all(one.verb != "notify" for one in state.pending)
        return state.state == "resolved" and only_updates and not self._close_delayed

    def _must_continue_as_new(self) -> bool:
        info = workflow.info()
        length = info.get_current_history_length()
        suggested = info.is_continue_as_new_suggested() or length > MAX_EVENTS
        # The next run sends the notifications in flight again, as first attempts: only a full run takes that.
        waits = self._in_flight or not suggested
        if waits and not is_full(length, info.get_current_history_size()):
            return False
        return not self._inbox or json_size(self._inbox) <= INBOX_BYTES  # otherwise more of it is processed first

    def _next_input(self) -> IncidentInput:
        state = bounded_state(self._state, workflow.now())
        return IncidentInput(state=state, inbox=tuple(self._inbox), unlisted=self._unlisted, bounded=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task beside the main loop; its errors are raised in the main loop."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._note_error)
        return task

    def _note_error(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._background_error, self._dirty = task.exception(), True

    def _raise_background_error(self) -> None:
        """A bug in Tocsin: the workflow task fails visibly and is retried. The incident itself must not fail."""
        if self._background_error is not None:
            raise RuntimeError("a background task of the incident failed") from self._background_error

    def _wake(self) -> None:
        self._dirty = True
