"""Open streams: everyone gets everything, a slow reader is cut."""

from __future__ import annotations

import asyncio
import threading

from node.hub import Ended, Ending, Hub, Listener


async def _take(listener: Listener[int], count: int) -> list[int | Ended]:
    return [await asyncio.wait_for(listener.next(), 5) for _ in range(count)]


def test_each_listener_gets_each_event_in_order_from_another_thread() -> None:
    async def scene() -> None:
        hub: Hub[int] = Hub()
        listeners = [hub.subscribe(depth=1000) for _ in range(3)]
        thread = threading.Thread(target=lambda: [hub.publish(number) for number in range(500)])
        thread.start()
        for listener in listeners:
            assert await _take(listener, 500) == list(range(500))
        thread.join()
        assert (hub.count(), hub.cut) == (3, 0)

    asyncio.run(scene())


def test_a_waiting_listener_wakes_when_an_event_comes() -> None:
    async def scene() -> None:
        hub: Hub[int] = Hub()
        listener = hub.subscribe()
        timer = threading.Timer(0.05, hub.publish, args=(7,))
        timer.start()
        assert await _take(listener, 1) == [7]
        timer.join()

    asyncio.run(scene())


def test_a_slow_reader_is_cut_holds_no_memory_and_the_others_go_on() -> None:
    async def scene() -> None:
        hub: Hub[int] = Hub()
        slow, fast = hub.subscribe(depth=2), hub.subscribe(depth=100)
        for number in range(10):
            hub.publish(number)
        assert await _take(slow, 2) == [Ended(Ending.SLOW)] * 2
        assert await _take(fast, 10) == list(range(10))
        assert (hub.count(), hub.cut) == (1, 1)

    asyncio.run(scene())


def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    async def scene() -> None:
        hub: Hub[int] = Hub()
        listener = hub.subscribe()
        waiting = asyncio.ensure_future(listener.next())
        await asyncio.sleep(0)
        hub.publish(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled() or waiting.result() == 1
        hub.publish(2)
        got = [] if waiting.cancelled() else [1]
        got += await _take(listener, 2 - len(got))
        assert got == [1, 2]

    asyncio.run(scene())


def test_a_reader_that_left_gets_nothing_more() -> None:
    async def scene() -> None:
        hub: Hub[int] = Hub()
        listener = hub.subscribe()
        hub.leave(listener)
        hub.leave(listener)
        hub.publish(1)
        assert await _take(listener, 1) == [Ended(Ending.LEFT)]
        assert (hub.count(), hub.cut) == (0, 0)

    asyncio.run(scene())


def test_stopping_ends_every_stream_after_what_waits_in_it_and_those_that_come_late() -> None:
    async def scene() -> None:
        hub: Hub[int] = Hub()
        early = hub.subscribe()
        hub.publish(1)
        hub.stop()
        hub.publish(2)
        late = hub.subscribe()
        assert await _take(early, 2) == [1, Ended(Ending.STOPPING)]
        assert await _take(late, 1) == [Ended(Ending.STOPPING)]
        assert hub.count() == 0

    asyncio.run(scene())


def test_a_reader_whose_loop_is_gone_is_dropped() -> None:
    hub: Hub[int] = Hub()

    async def scene() -> None:
        hub.subscribe()

    asyncio.run(scene())
    hub.publish(1)
    assert hub.count() == 0
