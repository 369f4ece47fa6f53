"""The incident: one durable workflow from the first alert to the close.

``Life`` holds the rules and the state; this workflow brings it the events in their order (alerts, answers,
receipts, the time) and pays what it owes (messages, records, one timer for whatever is due next).
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import Classification, Delivered, Entry
    from workflows import calls, search
    from workflows.answers import only_by
    from workflows.life import Life
    from workflows.messages import (
        ANSWER_SIGNAL,
        ARRIVE_SIGNAL,
        FORBIDDEN,
        INCIDENT_QUERY,
        INCIDENT_WORKFLOW,
        OVER,
        TAKEN_QUERY,
        Answer,
        Arrival,
        Arrivals,
        Closing,
        EventIds,
        IncidentView,
    )
    from workflows.outbox import Outbox
    from workflows.record_keeping import RecordKeeping
    from workflows.state import Appointment, IncidentState, Opening, Owed
    from workflows.story import story, timer_summary, view

T = TypeVar("T")

MAX_EVENTS = 4_000
"""Continue as new from here on: far below the server's limit of 51,200, and quick to replay."""
MOST_EVENTS = 16_000
"""Not even for a delivery that is under way does a run grow longer than this."""
LATE, HEAR_FIRST = timedelta(seconds=0.5), timedelta(seconds=5)
"""Where a timer rings that late, Temporal or every worker was away, and gateways need so long to hand over what they
took meanwhile."""


@workflow.defn(name=INCIDENT_WORKFLOW)
class Incident:
    @workflow.init
    def __init__(self, opening: Opening) -> None:
        info = workflow.info()
        state = opening.state or IncidentState(
            incident=info.workflow_id, opening=info.first_execution_run_id, opened_at=workflow.now()
        )
        state.chronicle = state.chronicle or opening.chronicle
        state.frugal = state.frugal or opening.frugal
        self._state = state
        self._outbox = Outbox(state)
        self._life = Life(state, self._outbox)
        self._inbox: list[Arrival | Answer] = [*(opening.arrivals.arrivals if opening.arrivals else ()), *opening.inbox]
        self._paying: dict[str, asyncio.Task[None]] = {}
        self._lanes: dict[str, asyncio.Lock] = {}
        self._record = RecordKeeping(state, self._aside, self._wake)
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: Appointment | None = None
        self._fault: BaseException | None = None
        self._behind: datetime | None = None
        """Until when what is long due waits for what people may have said meanwhile."""
        self._shown = search.shown(info.typed_search_attributes) if state.frugal else ()
        self._given = (opening.decision, len(self._inbox)) if opening.decision else None
        """A decision that came with the first alerts, and with how many."""
        self._lingers = False
        """A delivery that the end has to wait for takes its time."""
        self._asked = False
        """A worker was asked to classify, since the inbox was last turned to."""
        self._awake = True

    @workflow.run
    async def run(self, opening: Opening) -> Closing:
        state, life = self._state, self._life
        while True:
            await workflow.wait_condition(lambda: self._awake)
            self._awake = False
            if self._fault is not None:
                # A bug of ours: the workflow task fails, loudly, and is tried again. The incident must not fail.
                raise RuntimeError("a part of the incident broke") from self._fault
            await self._hear()
            if not self._waits_for_answers():
                life.due(workflow.now())
            self._pay()
            self._record.keep()
            if state.state == "resolved" and self._is_complete():
                life.closed(workflow.now())
            self._show()
            if state.state == "closed":
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._awake:
                    return Closing(by=state.resolved_by, alerts=state.alerts)
            if self._has_grown_old():
                # It goes on as it began: a worker that is not renewed yet may be the one to take it up.
                workflow.continue_as_new(Opening(state=state, inbox=tuple(self._inbox)))
            self._set_alarm(self._next_appointment())

    # ── What comes in ───────────────────────────────────────────────────────────────────────────────────

    @workflow.signal(name=ARRIVE_SIGNAL)
    def arrive(self, arrivals: Arrivals) -> None:
        self._inbox.extend(arrivals.arrivals)
        self._awake = True

    @workflow.signal(name=ANSWER_SIGNAL)
    def answer(self, answer: Answer) -> None:
        self._inbox.append(answer)
        self._awake = True

    # Gateways up to 0.2.0 act by these; ``gateway.answering`` says why no later one does.

    @workflow.update
    async def acknowledge(self, answer: Answer) -> IncidentView:
        return await self._take(answer)

    @workflow.update
    async def resolve(self, answer: Answer) -> IncidentView:
        return await self._take(answer)

    @workflow.update
    async def annotate(self, answer: Answer) -> IncidentView:
        return await self._take(answer)

    @workflow.query(name=INCIDENT_QUERY)
    def incident(self) -> IncidentView:
        return view(self._state, self._life.next())

    @workflow.query(name=TAKEN_QUERY)
    def taken(self, asked: EventIds) -> list[str]:
        """Those of the ids that it has taken: a gateway asks that does not know whether its signal arrived."""
        return sorted(set(asked.ids) & set(self._state.seen))

    async def _take(self, answer: Answer) -> IncidentView:
        """Carry out an update. Raises ApplicationError of type Over or Forbidden."""
        await workflow.wait_condition(lambda: self._state.decision is not None)
        state = self._state
        if state.over:
            raise ApplicationError(f"it was resolved by {state.resolved_by} already", type=OVER, non_retryable=True)
        if answer.act == "resolve" and not self._life.answers.may_close(answer):
            assert state.decision is not None
            raise ApplicationError(only_by(state.decision.closed_by), type=FORBIDDEN, non_retryable=True)
        self._life.answers.take(answer, workflow.now())
        self._awake = True
        return self.incident()

    async def _hear(self) -> None:
        """Take in alerts and answers, in their order, until none is left, or a worker was asked about some.

        While it is asked others come: a storm must keep nothing waiting that is due.
        """
        frugal = self._state.frugal
        while self._inbox:
            if arrivals := self._next(Arrival, all_of_them=self._state.decision is None or not frugal):
                await self._hear_alerts(arrivals)
            if self._state.decision is None:
                if not any(isinstance(one, Arrival) for one in self._inbox):
                    return
                continue
            for answer in self._next(Answer, all_of_them=not frugal):
                with self._record.sure():
                    self._life.answers.take(answer, workflow.now())
            if frugal and self._asked:
                self._asked, self._awake = False, bool(self._inbox) or self._awake
                return

    def _next(self, kind: type[T], *, all_of_them: bool) -> list[T]:
        """What is of that kind at the head of what came, or all of it."""
        other = (index for index, one in enumerate(self._inbox) if not isinstance(one, kind))
        end = len(self._inbox) if all_of_them else next(other, len(self._inbox))
        found = [one for one in self._inbox[:end] if isinstance(one, kind)]
        self._inbox = [one for one in self._inbox[:end] if not isinstance(one, kind)] + self._inbox[end:]
        return found

    async def _hear_alerts(self, arrivals: list[Arrival]) -> None:
        burning: list[Arrival] = []
        for arrival in filter(None, map(self._life.fresh, arrivals)):
            status = arrival.alert.status
            if status == "triggered" or (status == "no_data" and self._state.decision is None):
                burning.append(arrival)
                continue
            await self._classify(burning)
            burning = []
            if status == "cleared":
                self._life.cleared(arrival, workflow.now())
            else:
                self._life.no_data(arrival, workflow.now())
        await self._classify(burning)

    async def _classify(self, burning: list[Arrival]) -> None:
        if self._given is not None:
            decision, first = self._given
            self._given = None
            self._life.arrived(map(_without_raw, burning[:first]), decision, workflow.now())
            burning = burning[first:]
        if not burning:
            return
        facts = self._life.facts(burning, workflow.now())
        without_raw = [_without_raw(arrival) for arrival in burning]
        alerts = tuple(arrival.alert for arrival in without_raw)
        asked = Classification(alerts=alerts, now=workflow.now(), incident=facts)
        decision = await calls.classify(asked, locally=not self._state.frugal)
        self._asked = True
        self._life.arrived(without_raw, decision, workflow.now())

    # ── What goes out ───────────────────────────────────────────────────────────────────────────────────

    def _pay(self) -> None:
        """Start every delivery that is owed and not on its way; pages first."""
        for owed in sorted(self._state.owed, key=lambda one: one.target.kind != "page"):
            if owed.key not in self._paying:
                self._paying[owed.key] = self._aside(self._deliver(owed))

    async def _deliver(self, owed: Owed) -> None:
        # One lane a destination: an acknowledgement or a resolution never overtakes the message it is about.
        lane = self._lanes.setdefault(owed.target.name, asyncio.Lock())
        async with lane:
            entries, recorded = self._record.take(), False
            try:
                outcome = await self._call(owed, entries)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                reason, permanent = calls.reason_of(error)
                self._outbox.failed(owed, reason, workflow.now(), permanent=permanent)
            else:
                recorded = outcome.recorded
                self._outbox.delivered(owed, outcome)
            self._record.settle(entries, recorded=recorded)
        del self._paying[owed.key]
        self._awake = True

    async def _call(self, owed: Owed, entries: list[Entry]) -> Delivered:
        """Deliver one message. Raises ActivityError."""
        if self._closes_soon():
            try:
                return await calls.deliver(self._state, owed, entries, soon=True)
            except ActivityError as error:
                if is_cancelled_exception(error) or calls.reason_of(error)[1]:
                    raise
            self._lingers = self._awake = True
            return await calls.deliver(self._state, owed, entries, again=True)
        return await calls.deliver(self._state, owed, entries)

    def _is_complete(self) -> bool:
        state = self._state
        return not (state.owed or state.unrecorded or self._paying or self._record.underway)

    def _aside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it beside the main loop; what goes wrong there must not pass in silence."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._look_after)
        return task

    def _wake(self) -> None:
        self._awake = True

    def _look_after(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._fault, self._awake = task.exception(), True

    # ── Time, and what people see ───────────────────────────────────────────────────────────────────────

    def _waits_for_answers(self) -> bool:
        """An acknowledgement that was taken before a step was due is to be heard before that step.

        Where something is so late that Temporal was away, what was said meanwhile lies in a gateway's spool.
        """
        if any(isinstance(one, Answer) for one in self._inbox):
            return True  # heard soon: it waits behind alerts that a worker was asked about
        now, due = workflow.now(), self._life.next()
        if not self._state.frugal or due is None or now - due.at < LATE:
            self._behind = None
            return False
        if self._behind is None:
            self._behind = now + HEAR_FIRST
        return now < self._behind

    def _next_appointment(self) -> Appointment | None:
        due = self._life.next()
        if due is None or self._behind is None or due.at >= self._behind:
            return due
        return due.model_copy(update={"at": self._behind})

    def _set_alarm(self, appointment: Appointment | None) -> None:
        """One timer, for what is due next; left running where that has not changed."""
        if appointment == self._alarm_at or (appointment is None and self._state.over):
            return  # a timer that the end will take along needs no cancelling
        if self._state.frugal and self._alarm_at and (appointment is None or appointment.at >= self._alarm_at.at):
            return  # it rings before it has to, and is set anew then: cheaper than cancelling it, if it comes to that
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = appointment
        if appointment is not None:
            self._alarm = self._aside(self._ring(appointment))

    async def _ring(self, appointment: Appointment) -> None:
        wait = appointment.at - workflow.now()
        if wait > timedelta(0):
            await workflow.sleep(wait, summary=timer_summary(self._state, appointment))
        self._alarm = self._alarm_at = None
        self._awake = True

    def _show(self) -> None:
        state = self._state
        decision, alert = state.decision, state.alert
        if decision is None or alert is None:
            return
        shown = (
            state.state,
            state.tier,
            decision.rule,
            *((decision.team or "none",) if state.frugal else ()),
            decision.regulated,
        )
        # When it closes, the execution's own status says so.
        if shown != self._shown and state.state != "closed" and not self._closes_soon():
            changes: list[SearchAttributeUpdate[Any]] = [search.STATE.value_set(state.state)]
            if shown[1:] != self._shown[1:]:
                changes += [key.value_set(value) for key, value in search.decided(decision)]
            workflow.upsert_search_attributes(changes)  # pyright: ignore[reportUnknownMemberType]  # the SDK's own
            self._shown = shown
        workflow.set_current_details(story(state, self._life.next()))

    def _closes_soon(self) -> bool:
        """Resolved, and nothing is in the way: most are closed a moment later, and need not be listed under both."""
        state = self._state
        are_last = bool(state.owed) and all(one.verb != "notify" for one in state.owed)
        return state.frugal and state.state == "resolved" and are_last and not self._lingers

    def _has_grown_old(self) -> bool:
        info = workflow.info()
        if (self._inbox and not self._state.frugal) or not workflow.all_handlers_finished():
            return False
        length = info.get_current_history_length()
        if self._paying and length < MOST_EVENTS:
            return False  # the next run would begin these deliveries anew, as first attempts
        return info.is_continue_as_new_suggested() or length > MAX_EVENTS


def _without_raw(arrival: Arrival) -> Arrival:
    return arrival.model_copy(update={"alert": arrival.alert.model_copy(update={"raw": {}})})
