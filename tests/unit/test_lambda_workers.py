"""The workers as Lambda functions: what becomes of an invocation's messages."""

from __future__ import annotations

from shopflow.errors import ContractBreach, Unavailable
from shopflow.messaging.handler import Done, Failed, Handler
from shopflow.ports import Message, QueueDepth
from tests.unit.one_queue import OneQueue, Recording
from workers.lambda_handler import LAST_TRY_SECONDS, message_of, work

TIMEOUT_SECONDS = 50.0
"""As in terraform/compute.tf."""
BAD = "ORD-00000002"


class Lambda(OneQueue):
    """Polls a queue, invokes a function with the messages, and deletes those that it does not report as failed."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, visibility_seconds=300, max_receives=5)

    def send_orders(self, *numbers: int) -> None:
        self.send(*map(self.event, numbers))

    def invoke(self, most: int = 10) -> list[str]:
        """One invocation. Returns the ids of the messages that it reported as failed."""
        messages: list[Message] = []
        while len(messages) < most and (more := self.queue.receive(10, 0)):
            messages += more
        ends = self.clock.now + TIMEOUT_SECONDS * 1000
        response = work(
            messages, self.queue, self.consumer_of, lambda: (ends - self.clock.now) / 1000, sleep=self._sleep
        )
        failed = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
        for message in messages:
            if message.message_id not in failed:
                self.queue.delete([message])
        return failed

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds + 0.001)  # the clock has whole milliseconds


def test_one_failure_is_reported_alone_and_comes_again_after_its_delay() -> None:
    handler = Recording(lambda event: Failed(KeyError("x")) if event.order_id == BAD else Done())
    service = Lambda(handler)
    service.send_orders(1, 2, 3)
    assert len(service.invoke()) == 1
    assert service.queue.depth() == QueueDepth(0, 1)
    service.clock.advance(4)
    service.invoke()
    assert handler.seen == ["ORD-00000001", BAD, "ORD-00000003", BAD], "after 4 s, long before the queue's 300 s"


def test_a_message_that_keeps_failing_is_in_the_dlq_after_five_invocations() -> None:
    handler = Recording(lambda _: Failed(KeyError("x")))
    service = Lambda(handler)
    service.send_orders(1)
    for _ in range(7):
        service.invoke()
        service.clock.advance(300)
    assert (len(handler.seen), service.dlq.depth().waiting) == (5, 1)


def test_a_breach_of_contract_is_reported_and_is_a_dead_letter_at_once() -> None:
    service = Lambda(Recording(lambda _: Failed(ContractBreach("no such order"))))
    service.queue.send("not json")
    service.send_orders(1)
    reported = [len(service.invoke()) for _ in range(6)]
    assert (reported, service.dlq.depth().waiting) == ([2, 2, 2, 2, 2, 0], 2)


def test_a_message_is_tried_again_within_the_invocation_while_a_dependency_is_down() -> None:
    tries = iter([Unavailable("gateway"), Unavailable("gateway")])
    handler = Recording(lambda _: Failed(error) if (error := next(tries, None)) else Done())
    service = Lambda(handler)
    service.send_orders(1)
    assert service.invoke() == []
    assert len(handler.seen) == 3
    assert service.queue.depth() == QueueDepth(0, 0)


def test_no_try_begins_so_late_that_the_timeout_could_cut_it_off() -> None:
    service = Lambda(Recording(lambda _: Failed(Unavailable("gateway"))))
    service.send_orders(1)
    started = service.clock.now
    assert len(service.invoke()) == 1
    assert 0 < (service.clock.now - started) / 1000 <= TIMEOUT_SECONDS - LAST_TRY_SECONDS


def test_more_messages_than_a_batch_call_takes_are_all_handled() -> None:
    handler = Recording()
    service = Lambda(handler)
    service.send_orders(*range(1, 26))
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
