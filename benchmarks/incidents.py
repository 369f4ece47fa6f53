"""The figures of incidents: latency, throughput, storms, many at once, and what a life costs."""

import asyncio
import statistics
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator

from temporalio.api.enums.v1 import EventType

from benchmarks.bare import QUEUE, Bare
from benchmarks.bench import CONCURRENCY, Bench, milliseconds
from benchmarks.load import Connection, pour

OPEN = 10_000


async def latency(bench: Bench) -> float:
    """(a) From a webhook's first byte to the page, and from a bare start to its activity; in turns. Gives our p50."""
    connection = await Connection.open(bench.tocsin.port)
    ours: list[float] = []
    bare: list[float] = []
    for turn in range(bench.count(120) + 20):
        took = await bench.one_page(connection)
        await asyncio.sleep(0.05)
        began = time.time()
        (activity,) = await bench.client.execute_workflow(Bare.run, 1, id=f"bare-{uuid.uuid4().hex}", task_queue=QUEUE)
        if turn >= 20:  # both are warm by now
            ours.append(took)
            bare.append(activity - began)
        await asyncio.sleep(0.05)
    ratio = statistics.median(ours) / statistics.median(bare)
    bench.add("(a) bare start → activity, one at a time", milliseconds(bare))
    bench.add("(a) webhook sent → page, one at a time", milliseconds(ours))
    bench.add("(a) ratio of the p50", f"{ratio:.2f}", "≤ 1.3", ratio <= 1.3)
    connection.close()
    return statistics.median(ours)


async def throughput(bench: Bench) -> None:
    """(b) Distinct incidents a second from webhook to page, and bare workflows of three activities."""
    total = bench.count(1500)

    async def rate(one: Callable[[int], Awaitable[object]]) -> float:
        remaining = iter(range(total))

        async def lane() -> None:
            for number in remaining:
                await one(number)

        began = time.monotonic()
        await asyncio.gather(*(lane() for _ in range(CONCURRENCY)))
        return total / (time.monotonic() - began)

    connections: deque[Connection] = deque()  # in turns: an idle one is cut off after 30 s
    ready: list[bytes] = []

    async def incident(number: int) -> None:
        connection = connections.popleft()
        answer = await connection.send(ready[number])
        connections.append(connection)
        await bench.paged(answer["incident"])

    async def workflow(number: int) -> None:
        del number
        await bench.client.execute_workflow(Bare.run, 3, id=f"bare-{uuid.uuid4().hex}", task_queue=QUEUE)

    bare = await rate(workflow)
    connections.extend([await Connection.open(bench.tocsin.port) for _ in range(CONCURRENCY)])
    ready.extend(bench.request() for _ in range(total))
    one = await rate(incident)
    bench.add(f"(b) bare, three activities, {CONCURRENCY} at once", f"{bare:.0f}/s")
    bench.add(f"(b) webhook → page, {CONCURRENCY} at once", f"{one:.0f}/s")
    bench.add("(b) ratio", f"{one / bare:.2f}", "≥ 0.8", one / bare >= 0.8)


async def second_worker(bench: Bench) -> None:
    """(b) Where workers are what limits: each does four pages at once, at a pager that takes a quarter of a second."""
    total = bench.count(400)
    rates: list[float] = []
    for workers in (1, 2):
        if workers == 2:
            bench.hire()
            await asyncio.sleep(8)
        connections = [await Connection.open(bench.tocsin.port) for _ in range(CONCURRENCY)]
        remaining = iter(range(total))

        async def lane(connection: Connection, remaining: Iterator[int] = remaining) -> None:
            for _ in remaining:
                await bench.one_page(connection)
            connection.close()

        began = time.monotonic()
        await asyncio.gather(*map(lane, connections))
        rates.append(total / (time.monotonic() - began))
    bench.dismiss()
    ratio = rates[1] / rates[0]
    bench.add("(b) a worker of 4 slots, a pager of 250 ms", f"{rates[0]:.0f}/s")
    bench.add("(b) with a second worker process", f"{rates[1]:.0f}/s · {ratio:.2f} of one", "≥ 1.3", ratio >= 1.3)


async def storm(bench: Bench, idle: float) -> None:
    """(c) Repeats of one open incident, each answered 202 once it is durable, and fresh fires meanwhile."""
    alert = bench.alert()
    connection = await Connection.open(bench.tocsin.port)
    incident = (await connection.send(bench.request(alert)))["incident"]
    await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["receipts"])
    handle = bench.client.get_workflow_handle(incident)
    before = len((await handle.fetch_history()).events)
    total = bench.count(10_000)
    ready = [bench.request(alert) for _ in range(total)]
    began = time.monotonic()
    await pour(ready, bench.tocsin.port, CONCURRENCY)
    rate = total / (time.monotonic() - began)
    one = await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["alerts"] == total + 1)
    events = (len((await handle.fetch_history()).events) - before) / total
    assert one["escalation"] == 1
    bench.add(f"(c) repeats absorbed, {CONCURRENCY} connections", f"{rate:.0f}/s", "≥ 2,000/s", rate >= 2000)
    bench.add("(c) history events each", f"{events:.3f}", "≤ 0.1", events <= 0.1)
    await asyncio.sleep(2)
    ready = [bench.request(alert) for _ in range(total)]
    pouring = asyncio.create_task(pour(ready, bench.tocsin.port, CONCURRENCY))
    fresh: list[float] = []
    await asyncio.sleep(0.2)
    while not pouring.done():
        fresh.append(await bench.one_page(connection))
        await asyncio.sleep(0.1)
    await pouring
    ratio = statistics.median(fresh) / idle
    connection.close()
    bench.add("(c) a fresh fire during that storm", f"{milliseconds(fresh)} · {len(fresh)} of them")
    bench.add("(c) its p50, beside the idle one of (a)", f"{ratio:.2f}", "≤ 2", ratio <= 2)


async def many(bench: Bench, idle: float) -> None:
    """(d) Ten thousand incidents wait for an acknowledgement; then their worker dies, and another one takes them up."""
    wanted = bench.count(OPEN)
    missing = max(wanted - await bench.open(), 0)
    ready = [bench.request() for _ in range(missing)]
    await pour(ready, bench.tocsin.port, CONCURRENCY)
    while (waiting := await bench.open()) < wanted - 5:
        await asyncio.sleep(0.5)
    used = bench.memory("worker")
    bench.add(f"(d) worker, {waiting:,} incidents open", f"{used:.0f} MiB", "≤ 300 MiB", used <= 300)
    bench.add(f"(d) gateway, {waiting:,} incidents open", f"{bench.memory('gateway'):.0f} MiB")
    listed = bench.client.list_workflows(
        "WorkflowType = 'Incident' AND ExecutionStatus = 'Running' AND TocsinState = 'notified'", limit=10
    )
    asked = [one.id async for one in listed]
    bench.tocsin.child("worker").kill()
    # A server knows after ten seconds that a worker is gone; until then it asks the dead one first, for four.
    await asyncio.sleep(12)
    await asyncio.to_thread(bench.tocsin.until, asked[0], lambda one: one["state"] == "notified", 60)
    cold: list[float] = []
    for incident in asked[1:]:
        began = time.monotonic()
        answer = await asyncio.to_thread(bench.tocsin.call, "POST", f"/{incident}/acknowledge", json={"by": "bench"})
        assert answer.status_code == 200, answer.text
        cold.append(time.monotonic() - began)
    worst = max(cold)
    bench.add("(d) an acknowledgement, to a cold worker", f"at most {worst * 1000:.0f} ms", goal="≤ 1 s")
    bench.add("(d) the same, in idle pages of (a)", f"{worst / idle:.1f}", "≤ 20", worst / idle <= 20)


async def life(bench: Bench) -> None:
    """(e) What an incident costs that is paged, acknowledged by a callback, and cleared."""
    alert = bench.alert()
    connection = await Connection.open(bench.tocsin.port)
    incident = (await connection.send(bench.request(alert)))["incident"]
    await bench.paged(incident)
    await asyncio.sleep(1)
    one = await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["state"] == "notified")
    await asyncio.to_thread(bench.tocsin.callback, "incident.acknowledged", one["receipts"][0]["id"])
    await asyncio.sleep(1)
    await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["state"] == "acknowledged")
    await asyncio.to_thread(bench.tocsin.send, {**alert, "status": "CLEARED"})
    await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["state"] == "closed")
    handle = bench.client.get_workflow_handle(incident)
    await handle.result()
    events = (await handle.fetch_history()).events
    size = sum(event.ByteSize() for event in events) / 1024
    kinds = Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events)
    actions = sum(kinds[kind] for kind in BILLED)
    bench.add("(e) history of a whole life", f"{len(events)} events", "≤ 30", len(events) <= 30)
    bench.add("(e) its size", f"{size:.1f} KiB", "≤ 40 KiB", size <= 40)
    bench.add("(e) billed actions", f"{actions}")


BILLED = (
    "WORKFLOW_EXECUTION_STARTED",
    "WORKFLOW_EXECUTION_SIGNALED",
    "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
    "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    "ACTIVITY_TASK_SCHEDULED",
    "MARKER_RECORDED",
    "TIMER_STARTED",
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
)
"""What Temporal Cloud counts as an action, of what an incident does; retries of activities and queries beside them."""
