"""The workers as Lambda functions: what becomes of an invocation's messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event as Flag

import pytest

from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, create
from shopflow.errors import ContractBreach, Unavailable
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Publisher, stored_event
from shopflow.ports import Message, Queue, QueueDepth
from tests.clocks import ManualClock
from tests.unit.making import pending
from workers import lambda_handler
from workers.lambda_handler import LAST_TRY_SECONDS, message_of, work

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
TIMEOUT_SECONDS = 50.0
"""As in terraform/compute.tf."""
BAD = "ORD-00000002"


@dataclass
class Recording(Handler):
    """Answers as told, and remembers what it saw."""

    answer: Callable[[Event], Outcome] = lambda _: Done()
    seen: list[str] = field(default_factory=list)

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.seen += [event.order_id for event in events]
        return [self.answer(event) for event in events]


class Lambda:
    """Polls a queue, hands what it gets to a function, and deletes what was not reported as failed."""

    def __init__(self, handler: Handler) -> None:
        self.clock = ManualClock()
        self.dlq = MemoryQueue(self.clock, "dlq")
        self.queue = MemoryQueue(self.clock, "queue", dlq=self.dlq)
        self._handler = handler
        self._headers = HeaderFactory(self.clock)

    def send(self, *numbers: int) -> None:
        for number in numbers:
            order = create(pending(f"ORD-{number:08}"), self._headers.new(EventType.ORDER_CREATED))
            self.queue.send(CONTRACTS.encode(stored_event(CATALOG, order)))

    def invoke(self, most: int = 10) -> list[str]:
        """One invocation. Returns the ids of the messages that it reported as failed."""
        messages: list[Message] = []
        while len(messages) < most and (more := self.queue.receive(10, 0)):
            messages += more
        ends = self.clock.now + TIMEOUT_SECONDS * 1000
        response = work(messages, self.queue, self._consumer, lambda: (ends - self.clock.now) / 1000, sleep=self._sleep)
        failed = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
        for message in messages:
            if message.message_id not in failed:
                self.queue.delete([message])
        return failed

    def _seconds(self) -> float:
        return self.clock.now / 1000

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds + 0.001)  # the clock has whole milliseconds

    def _consumer(self, queue: Queue, stop: Flag) -> Consumer:
        publisher = Publisher(MemoryTopic())
        consumes = frozenset({EventType.ORDER_CREATED})
        return Consumer(self._handler, queue, publisher, CONTRACTS, consumes, stop, now=self._seconds)


def test_messages_whose_events_are_done_are_not_reported() -> None:
    service = Lambda(Recording())
    service.send(1, 2, 3)
    assert service.invoke() == []
    assert service.queue.depth() == QueueDepth(0, 0)


def test_one_failure_is_reported_alone_and_comes_again_after_its_delay() -> None:
    handler = Recording(lambda event: Failed(KeyError("x")) if event.order_id == BAD else Done())
    service = Lambda(handler)
    service.send(1, 2, 3)
    assert len(service.invoke()) == 1
    assert service.queue.depth() == QueueDepth(0, 1)
    service.clock.advance(4)
    service.invoke()
    assert handler.seen == ["ORD-00000001", BAD, "ORD-00000003", BAD], "after 4 s, long before the queue's 60 s"


def test_a_message_that_keeps_failing_is_in_the_dlq_after_three_invocations() -> None:
    handler = Recording(lambda _: Failed(KeyError("x")))
    service = Lambda(handler)
    service.send(1)
    for _ in range(5):
        service.invoke()
        service.clock.advance(300)
    assert (len(handler.seen), service.dlq.depth().waiting) == (3, 1)


@pytest.mark.parametrize("answer", [Done(), Failed(ContractBreach("no such order"))])
def test_a_breach_of_contract_is_reported_and_reaches_the_dlq_at_once(answer: Outcome) -> None:
    service = Lambda(Recording(lambda _: answer))
    if isinstance(answer, Done):
        service.queue.send("not json")
    else:
        service.send(1)
    reported = [len(service.invoke()) for _ in range(4)]
    assert (reported, service.dlq.depth().waiting) == ([1, 1, 1, 0], 1)


def test_a_short_outage_is_waited_out_within_the_invocation() -> None:
    tries = iter([Unavailable("gateway"), Unavailable("gateway")])
    handler = Recording(lambda _: Failed(error) if (error := next(tries, None)) else Done())
    service = Lambda(handler)
    service.send(1)
    assert service.invoke() == []
    assert len(handler.seen) == 3
    assert service.queue.depth() == QueueDepth(0, 0)


def test_no_try_is_begun_that_the_timeout_might_cut_off() -> None:
    service = Lambda(Recording(lambda _: Failed(Unavailable("gateway"))))
    service.send(1)
    started = service.clock.now
    assert len(service.invoke()) == 1
    assert 0 < (service.clock.now - started) / 1000 <= TIMEOUT_SECONDS - LAST_TRY_SECONDS


def test_half_an_hour_of_outage_sends_nothing_to_the_dlq() -> None:
    down = True
    handler = Recording(lambda _: Failed(Unavailable("gateway")) if down else Done())
    service = Lambda(handler)
    service.send(1)
    started = service.clock.now
    while service.clock.now - started < 30 * 60_000:
        service.invoke()
        service.clock.advance(10)
    down = False
    while service.queue.depth() != QueueDepth(0, 0):
        service.invoke()
        service.clock.advance(10)
    assert service.dlq.depth() == QueueDepth(0, 0)


def test_more_messages_than_a_batch_call_takes_are_all_handled() -> None:
    handler = Recording()
    service = Lambda(handler)
    service.send(*range(1, 26))
    assert service.invoke(most=25) == []
    assert len(handler.seen) == 25


def test_a_record_of_lambda_is_the_message_that_sqs_delivers() -> None:
    record = {
        "messageId": "m-1",
        "receiptHandle": "r-1",
        "body": "{}",
        "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1"},
        "messageAttributes": {"traceparent": {"stringValue": "00-1", "dataType": "String"}},
    }
    assert message_of(record) == Message("m-1", "r-1", "{}", 2, "00-1")
    assert message_of(record | {"messageAttributes": {}}).trace_parent is None


@pytest.mark.parametrize("service", [service.name for service in CATALOG.consumers])
def test_every_service_with_a_queue_has_a_function(service: str) -> None:
    assert callable(getattr(lambda_handler, service))
