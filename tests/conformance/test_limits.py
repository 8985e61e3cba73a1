"""The in-memory queue and topic keep what AWS promises and the local emulator does not."""

from __future__ import annotations

import pytest

from shopflow.domain.order import EventType
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.ports import MAX_BATCH_BYTES, MAX_VISIBILITY_SECONDS, Outgoing, QueueDepth
from tests.clocks import ManualClock


def test_a_message_is_hidden_for_twelve_hours_from_its_receive_at_most() -> None:
    clock = ManualClock()
    queue = MemoryQueue(clock, "queue")
    queue.send("body")
    [message] = queue.receive(1, 0)
    assert queue.change_visibility({message: MAX_VISIBILITY_SECONDS}) == []
    clock.advance(1)
    assert queue.change_visibility({message: MAX_VISIBILITY_SECONDS}) == [message]
    clock.advance(MAX_VISIBILITY_SECONDS - 1.001)
    assert queue.depth() == QueueDepth(waiting=0, in_flight=1)
    clock.advance(0.001)
    assert queue.depth() == QueueDepth(waiting=1, in_flight=0)


def test_a_batch_beyond_a_limit_of_aws_is_refused_whole() -> None:
    queue, topic = MemoryQueue(ManualClock(), "queue"), MemoryTopic()
    topic.subscribe(queue)
    for number in range(11):
        queue.send(str(number))
    messages = queue.receive(10, 0) + queue.receive(1, 0)
    many = [Outgoing(str(number), EventType.ORDER_CREATED, "x") for number in range(11)]
    large = [Outgoing(str(number), EventType.ORDER_CREATED, "x" * (MAX_BATCH_BYTES // 2 + 1)) for number in range(2)]
    for refused in (
        lambda: queue.receive(11, 0),
        lambda: queue.delete(messages),
        lambda: queue.change_visibility(dict.fromkeys(messages, 0)),
        lambda: topic.publish(many),
        lambda: topic.publish(large),
    ):
        with pytest.raises(ValueError, match="10"):
            refused()
    assert queue.depth() == QueueDepth(waiting=0, in_flight=11)
