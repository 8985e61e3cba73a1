"""The in-memory queue keeps what AWS promises and the local emulator does not, whatever the calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from shopflow.domain.order import EventType
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.ports import MAX_BATCH_BYTES, MAX_VISIBILITY_SECONDS, Message, Outgoing, QueueDepth
from tests.clocks import ManualClock
from tests.conformance.worlds import MAX_RECEIVES

HIDDEN = st.sampled_from([-1, 0, 1, 2, 30, 60, 61, 3600, MAX_VISIBILITY_SECONDS - 60, MAX_VISIBILITY_SECONDS])
PASSING = st.sampled_from([0.001, 1, 2, 30, 59.999, 60, 3600, MAX_VISIBILITY_SECONDS - 60, MAX_VISIBILITY_SECONDS])


@dataclass
class Modelled:
    """A message as the model knows it. Times in milliseconds."""

    body: str
    receive_count: int = 0
    received_at: int = 0
    visible_at: int = 0
    receipt_handle: str | None = None


class QueueAgainstModel(RuleBasedStateMachine):
    """Every call is made on the queue and on two lists, in the order in which the messages came in."""

    deliveries: Bundle[Message] = Bundle("deliveries")

    @initialize(visibility_seconds=st.sampled_from([0, 1, 60]))
    def start(self, visibility_seconds: int) -> None:
        self.clock = ManualClock()
        self.visibility_seconds = visibility_seconds
        self.dlq = MemoryQueue(self.clock, "dlq")
        self.queue = MemoryQueue(
            self.clock, "queue", visibility_seconds=visibility_seconds, dlq=self.dlq, max_receives=MAX_RECEIVES
        )
        self.alive: list[Modelled] = []
        self.dead: list[Modelled] = []
        self.sent = 0

    @rule(count=st.integers(1, 12))
    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            self.queue.send(str(self.sent))
            self.alive.append(Modelled(str(self.sent)))

    @rule(seconds=PASSING)
    def let_time_pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(target=deliveries, most=st.integers(1, 10))
    def receive(self, most: int) -> MultipleResults[Message]:
        expected = self.expected(most)
        messages = self.queue.receive(most, 0)
        assert [(message.body, message.receive_count) for message in messages] == [
            (modelled.body, modelled.receive_count) for modelled in expected
        ]
        for modelled, message in zip(expected, messages, strict=True):
            assert message.receipt_handle != modelled.receipt_handle
            modelled.receipt_handle = message.receipt_handle
        return multiple(*messages)

    @rule(message=deliveries)
    def delete(self, message: Message) -> None:
        assert self.queue.delete([message]) == []
        self.alive = [modelled for modelled in self.alive if modelled.receipt_handle != message.receipt_handle]

    @rule(message=consumes(deliveries))
    def delete_and_forget(self, message: Message) -> None:
        self.delete(message)

    @rule(message=deliveries, seconds=HIDDEN)
    def change_visibility(self, message: Message, seconds: int) -> None:
        now = self.clock.now_ms()
        until = now + seconds * 1000
        changed = False
        for modelled in self.alive:
            in_flight = modelled.receipt_handle == message.receipt_handle and modelled.visible_at > now
            if in_flight and seconds >= 0 and until - modelled.received_at <= MAX_VISIBILITY_SECONDS * 1000:
                modelled.visible_at = until
                changed = True
        assert self.queue.change_visibility({message: seconds}) == ([] if changed else [message])

    @invariant()
    def depths_agree(self) -> None:
        in_flight = sum(modelled.visible_at > self.clock.now_ms() for modelled in self.alive)
        assert self.queue.depth() == QueueDepth(len(self.alive) - in_flight, in_flight)
        assert self.dlq.depth() == QueueDepth(len(self.dead), 0)

    def teardown(self) -> None:
        bodies: list[str] = []
        while messages := self.dlq.receive(10, 0):
            bodies += [message.body for message in messages]
        assert bodies == [modelled.body for modelled in self.dead]

    def expected(self, most: int) -> list[Modelled]:
        """Receive from the model: the first visible ones, while those that had their chances die."""
        now = self.clock.now_ms()
        expected: list[Modelled] = []
        for modelled in [modelled for modelled in self.alive if modelled.visible_at <= now]:
            if len(expected) == most:
                break
            if modelled.receive_count == MAX_RECEIVES:
                self.alive.remove(modelled)
                self.dead.append(modelled)
                continue
            modelled.receive_count += 1
            modelled.received_at = now
            modelled.visible_at = now + self.visibility_seconds * 1000
            expected.append(modelled)
        return expected


TestQueueAgainstModel = QueueAgainstModel.TestCase
TestQueueAgainstModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue(ManualClock(), "queue")


def test_threads_that_share_a_queue_receive_each_message_once(queue: MemoryQueue) -> None:
    sent = [str(number) for number in range(2000)]
    for body in sent:
        queue.send(body)

    def drain(_: int) -> list[str]:
        taken: list[str] = []
        while messages := queue.receive(7, 0):
            queue.delete(messages)
            taken += [message.body for message in messages]
        return taken

    with ThreadPoolExecutor(4) as pool:
        drained = [body for taken in pool.map(drain, range(4)) for body in taken]
    assert sorted(drained) == sorted(sent)
    assert queue.depth() == QueueDepth(waiting=0, in_flight=0)


def test_a_batch_beyond_a_limit_of_aws_is_refused_whole(queue: MemoryQueue) -> None:
    for number in range(11):
        queue.send(str(number))
    messages = queue.receive(10, 0) + queue.receive(1, 0)
    topic = MemoryTopic()
    topic.subscribe(queue)
    many = [Outgoing(str(number), EventType.ORDER_CREATED, "x") for number in range(11)]
    large = [Outgoing(str(number), EventType.ORDER_CREATED, "x" * (MAX_BATCH_BYTES // 2 + 1)) for number in range(2)]
    for refused in (
        lambda: queue.receive(0, 0),
        lambda: queue.receive(11, 0),
        lambda: queue.delete(messages),
        lambda: queue.change_visibility(dict.fromkeys(messages, 0)),
        lambda: topic.publish(many),
        lambda: topic.publish(large),
    ):
        with pytest.raises(ValueError, match="10"):
            refused()
    assert queue.depth() == QueueDepth(waiting=0, in_flight=11)
