"""Consumers of one process share its queue."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from shopflow.memory.queues import MemoryQueue
from shopflow.messaging.shared_queue import SharedQueue
from tests.clocks import ManualClock
from tests.waiting import eventually


class Stop(threading.Event):
    """Notes how long somebody wanted to wait for it, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


@pytest.mark.parametrize(("messages", "pause"), [(0, 0), (1, 2), (9, 2), (10, 0)])
def test_after_a_batch_that_is_not_full_messages_collect_for_the_batch_window(messages: int, pause: float) -> None:
    queue, stop = MemoryQueue(ManualClock(), "queue"), Stop()
    shared = SharedQueue(queue, stop, batch_window_seconds=2)
    for number in range(messages):
        queue.send(str(number))
    assert len(shared.receive(10, 0)) == messages
    shared.receive(10, 0)
    assert stop.waits == [0, pause]


def test_one_consumer_receives_while_the_others_wait_for_their_turn() -> None:
    class Slow(MemoryQueue):
        polls = 0

        def receive(self, most: int, wait_seconds: int) -> list[Any]:
            self.polls += 1
            answer.wait()
            return super().receive(most, 0)

    answer, queue = threading.Event(), Slow(ManualClock(), "queue")
    shared = SharedQueue(queue, threading.Event())
    consumers = [threading.Thread(target=shared.receive, args=(10, 20)) for _ in range(3)]
    for consumer in consumers:
        consumer.start()
    eventually(lambda: queue.polls == 1)
    assert shared.receive(10, 0) == [], "the turn is another consumer's"
    answer.set()
    for consumer in consumers:
        consumer.join()
    assert queue.polls == 3


def test_after_the_stop_nothing_is_received_and_work_in_flight_is_still_deleted() -> None:
    queue, stop = MemoryQueue(ManualClock(), "queue"), threading.Event()
    shared = SharedQueue(queue, stop)
    queue.send("in flight")
    received = shared.receive(1, 0)
    queue.send("later")
    stop.set()
    assert shared.receive(1, 0) == []
    assert shared.delete(received) == []
    assert (queue.depth().waiting, queue.depth().in_flight) == (1, 0)
