"""Where the in-memory queue follows AWS and the local emulator does not, and what it promises beyond the port."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from shopflow.domain.order import EventType
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.ports import MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_VISIBILITY_SECONDS, Outgoing, QueueDepth
from tests.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> MemoryQueue:
    return MemoryQueue(clock, "queue", visibility_seconds=60, dlq=MemoryQueue(clock, "dlq"))


def bodies(queue: MemoryQueue, most: int = 10) -> list[str]:
    return [message.body for message in queue.receive(most, 0)]


def test_messages_come_in_the_order_in_which_they_were_sent(queue: MemoryQueue) -> None:
    for number in range(25):
        queue.send(str(number))
    assert [bodies(queue, most) for most in (10, 1, 10, 10)] == [
        [str(number) for number in part] for part in (range(10), [10], range(11, 21), range(21, 25))
    ]


def test_a_message_that_timed_out_is_back_in_its_place(queue: MemoryQueue, clock: ManualClock) -> None:
    queue.send("first")
    assert bodies(queue) == ["first"]
    queue.send("second")
    clock.advance(60)
    assert bodies(queue) == ["first", "second"]


def test_a_message_is_hidden_for_its_timeout_to_the_millisecond(queue: MemoryQueue, clock: ManualClock) -> None:
    queue.send("message")
    assert bodies(queue) == ["message"]
    clock.advance(59.999)
    assert bodies(queue) == []
    clock.advance(0.001)
    assert bodies(queue) == ["message"]


def test_a_message_that_is_no_longer_in_flight_cannot_be_hidden(queue: MemoryQueue, clock: ManualClock) -> None:
    queue.send("message")
    [message] = queue.receive(1, 0)
    clock.advance(60)
    assert queue.change_visibility({message: 30}) == [message]
    assert queue.depth() == QueueDepth(waiting=1, in_flight=0)


def test_a_message_is_hidden_for_at_most_twelve_hours_from_its_receive_on(
    queue: MemoryQueue, clock: ManualClock
) -> None:
    queue.send("message")
    [message] = queue.receive(1, 0)
    clock.advance(10)
    assert queue.change_visibility({message: MAX_VISIBILITY_SECONDS}) == [message]
    assert queue.change_visibility({message: MAX_VISIBILITY_SECONDS - 10}) == []
    clock.advance(MAX_VISIBILITY_SECONDS - 10.001)
    assert bodies(queue) == []
    clock.advance(0.001)
    [again] = queue.receive(1, 0)
    assert queue.change_visibility({again: MAX_VISIBILITY_SECONDS}) == []


def test_no_message_is_hidden_for_less_than_no_time(queue: MemoryQueue) -> None:
    queue.send("message")
    [message] = queue.receive(1, 0)
    assert queue.change_visibility({message: -1}) == [message]
    assert queue.depth() == QueueDepth(waiting=0, in_flight=1)


def test_the_depth_tells_what_waits_and_what_is_in_flight(queue: MemoryQueue, clock: ManualClock) -> None:
    for number in range(5):
        queue.send(str(number))
    one, *_ = queue.receive(3, 0)
    assert queue.depth() == QueueDepth(waiting=2, in_flight=3)
    queue.delete([one])
    assert queue.depth() == QueueDepth(waiting=2, in_flight=2)
    clock.advance(60)
    assert queue.depth() == QueueDepth(waiting=4, in_flight=0)


def test_a_queue_without_a_dead_letter_queue_never_gives_up(clock: ManualClock) -> None:
    queue = MemoryQueue(clock, "queue", visibility_seconds=1)
    queue.send("poison")
    for count in range(1, 9):
        [message] = queue.receive(1, 0)
        assert message.receive_count == count
        clock.advance(1)


def test_threads_that_share_a_queue_receive_each_message_once(queue: MemoryQueue) -> None:
    sent = [str(number) for number in range(2000)]
    for body in sent:
        queue.send(body)

    def drain() -> list[str]:
        taken: list[str] = []
        while messages := queue.receive(7, 0):
            queue.delete(messages)
            taken += [message.body for message in messages]
        return taken

    with ThreadPoolExecutor(4) as pool:
        drained = [pool.submit(drain) for _ in range(4)]
    assert sorted(chain.from_iterable(future.result() for future in drained)) == sorted(sent)
    assert queue.depth() == QueueDepth(waiting=0, in_flight=0)


@pytest.mark.parametrize("most", [0, MAX_BATCH_ENTRIES + 1])
def test_a_receive_of_none_or_too_many_is_refused(queue: MemoryQueue, most: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 10"):
        queue.receive(most, 0)


def test_a_batch_of_more_than_ten_is_refused(queue: MemoryQueue) -> None:
    for number in range(11):
        queue.send(str(number))
    messages = queue.receive(10, 0) + queue.receive(1, 0)
    with pytest.raises(ValueError, match="more than 10"):
        queue.delete(messages)
    with pytest.raises(ValueError, match="more than 10"):
        queue.change_visibility(dict.fromkeys(messages, 0))
    assert queue.depth() == QueueDepth(waiting=0, in_flight=11)


@pytest.mark.parametrize(("count", "size"), [(MAX_BATCH_ENTRIES + 1, 1), (2, MAX_BATCH_BYTES // 2 + 1)])
def test_a_batch_too_large_to_publish_is_refused_whole(queue: MemoryQueue, count: int, size: int) -> None:
    topic = MemoryTopic()
    topic.subscribe(queue)
    batch = [Outgoing(str(number), EventType.ORDER_CREATED, "x" * size) for number in range(count)]
    with pytest.raises(ValueError, match="in a batch"):
        topic.publish(batch)
    assert queue.depth() == QueueDepth(waiting=0, in_flight=0)
