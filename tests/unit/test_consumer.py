"""The consumer: what becomes of each message."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

import pytest

from shopflow.catalog import SCHEMAS
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import ContractBreach, Unavailable
from shopflow.messaging.deferred import MAX_DEFERRED
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.ports import QueueDepth
from shopflow.telemetry import Telemetry
from tests.unit.one_queue import OneQueue, Recording


class Bench(OneQueue):
    """A consumer and its metrics."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        self.metrics = mock.Mock()
        self.consumer = self.consumer_of(self.queue, self.stop, telemetry=Telemetry(metrics=self.metrics))

    def place(self, *numbers: int) -> None:
        """Send the event of each order with one of these numbers."""
        self.send(*map(self.event, numbers))

    def run(self, seconds: float) -> None:
        """Let the consumer work for that long, as its loop does. A long poll of an empty queue takes a second here."""
        end = self.clock.now + round(seconds * 1000)
        while self.clock.now < end:
            pause = self.consumer.step()
            self.clock.advance(max(0.1 if self.queue.depth().waiting else 1, pause))

    def rounds(self, count: int, seconds: float = 0) -> None:
        for _ in range(count):
            self.consumer.step()
            self.clock.advance(seconds)


def test_one_failure_does_not_fail_its_neighbours() -> None:
    def raise_for_two(event: Event) -> Outcome:
        return Failed(KeyError("x")) if event.order_id == "ORD-00000002" else Done()

    class Raising(Recording):
        """Raises the error for the whole batch."""

        def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
            outcomes = super().handle(events)
            for outcome in outcomes:
                if isinstance(outcome, Failed):
                    raise outcome.error
            return outcomes

    for handler in (Recording(raise_for_two), Raising(raise_for_two)):
        bench = Bench(handler)
        bench.place(*range(1, 6))
        bench.consumer.step()
        assert bench.depths() == (0, 1, 0)


def test_the_delay_before_the_next_try_grows_and_the_third_failure_is_the_last() -> None:
    handler = Recording(lambda _: Failed(KeyError("x")))
    bench = Bench(handler)
    bench.place(1)
    for seconds, tries in ((4, 1), (7, 2), (9, 2), (300, 3), (300, 3)):
        bench.rounds(1, seconds)
        assert len(handler.seen) == tries
    assert bench.depths() == (0, 0, 1)


def test_a_breach_of_contract_is_a_dead_letter_at_once_and_harms_no_neighbour() -> None:
    bad = "ORD-00000002"
    breach = Failed(ContractBreach("no such order"))
    bench = Bench(Recording(lambda event: breach if event.order_id == bad else Done()))
    bench.queue.send("not json")
    bench.place(1, 2)
    bench.rounds(4)
    assert bench.depths() == (0, 0, 2)


def test_a_message_that_breaks_the_decoder_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Contracts.decode

    def fragile(self: Contracts, text: str) -> Event:
        if text == "boom":
            raise ArithmeticError("unforeseen")
        return decode(self, text)

    monkeypatch.setattr(Contracts, "decode", fragile)
    handler = Recording()
    bench = Bench(handler)
    bench.queue.send("boom")
    bench.place(*range(1, 10))
    bench.rounds(6, seconds=300)
    assert (len(handler.seen), bench.depths()) == (9, (0, 0, 1))


def test_a_valid_event_in_the_wrong_queue_is_acknowledged_and_counted() -> None:
    """On AWS an old filter policy lets such events through for up to 15 minutes."""
    handler = Recording()
    bench = Bench(handler)
    bench.queue.send((SCHEMAS / "examples" / "valid" / "payment.failed.json").read_text())
    bench.place(1)
    bench.rounds(4)
    assert (handler.seen, bench.depths()) == (["ORD-00000001"], (0, 0, 0))
    bench.metrics.put.assert_any_call(Misrouted=1)


@pytest.mark.parametrize("bad", [1, 10, 15, 30])
def test_orders_whose_dependency_is_down_for_them_alone_do_not_block_others(bad: int) -> None:
    """They come first, so the first batches are unavailable as a whole."""
    unlucky = {f"ORD-{number:08}" for number in range(1, bad + 1)}
    handler = Recording(lambda event: Failed(Unavailable("gateway")) if event.order_id in unlucky else Done())
    bench = Bench(handler)
    bench.place(*range(1, bad + 1))
    bench.run(seconds=0.1)
    bench.place(*range(101, 126))
    bench.run(seconds=30)
    assert len(set(handler.seen) - unlucky) == 25
    bench.run(seconds=6 * 3600)
    assert bench.depths() == (0, bad, 0), "deferred for hours, received once"
    unlucky.clear()
    bench.run(seconds=30)
    assert bench.depths() == (0, 0, 0)


def test_in_an_outage_the_backlog_waits_in_the_queue_and_there_are_no_dead_letters() -> None:
    down = True
    handler = Recording(lambda _: Failed(Unavailable("gateway")) if down else Done())
    bench = Bench(handler)
    bench.place(*range(1, 501))
    bench.run(seconds=11 * 3600)
    assert len(set(handler.seen)) <= MAX_DEFERRED + 20, "a hundred are deferred, and now and then one more is tried"
    assert bench.dlq.depth() == QueueDepth(0, 0)
    down = False
    bench.run(seconds=2 * 3600)
    assert bench.depths() == (0, 0, 0)
    assert len(set(handler.seen)) == 500


def test_the_number_of_deferred_messages_is_bounded() -> None:
    bench = Bench(Recording(lambda event: Failed(Unavailable("x")) if event.order_id != "ORD-00009999" else Done()))
    for number in range(1, 301, 9):  # a success in each batch: receiving never pauses
        bench.place(*range(number, number + 9), 9999)
        bench.consumer.step()
    assert bench.queue.depth() == QueueDepth(0, 306)
    bench.stop.set()
    bench.consumer.run()
    assert bench.queue.depth() == QueueDepth(MAX_DEFERRED, 306 - MAX_DEFERRED), "the others were nacked with a delay"


def test_any_answer_of_the_dependency_ends_the_pause() -> None:
    answers: list[Outcome] = [Failed(Unavailable("gateway"))]
    handler = Recording(lambda _: answers[0])
    bench = Bench(handler)
    bench.place(1)
    bench.run(seconds=1800)
    answers[0] = Failed(KeyError("it answers, but wrongly"))
    bench.run(seconds=21)
    bench.place(2)
    bench.run(seconds=2)
    assert "ORD-00000002" in handler.seen


@pytest.mark.parametrize("method", ["receive", "change_visibility"])
def test_an_error_of_the_queue_does_not_stop_retries_or_receiving(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unlucky = "ORD-00000001"
    handler = Recording(lambda event: Failed(Unavailable("x")) if event.order_id == unlucky else Done())
    bench = Bench(handler)
    bench.place(1)
    bench.consumer.step()
    bench.clock.advance(31)
    with monkeypatch.context() as patch:
        patch.setattr(bench.queue, method, mock.Mock(side_effect=KeyError("UnknownCode")))
        bench.place(*range(2, 6))
        assert bench.consumer.step() > 0 or method != "receive", "it does not ask again at once"
        bench.run(seconds=30)
    bench.run(seconds=30)
    assert len(set(handler.seen) - {unlucky}) == 4


def test_slow_retries_leave_half_of_the_time_to_fresh_messages() -> None:
    slow: set[str] = {f"ORD-{number:08}" for number in range(1, 6)}

    def answer(event: Event) -> Outcome:
        if event.order_id not in slow:
            return Done()
        bench.clock.advance(10)  # the gateway's timeout
        return Failed(Unavailable("gateway"))

    handler = Recording(answer)
    bench = Bench(handler)
    bench.place(*range(1, 6))
    bench.run(seconds=60)
    bench.place(*range(101, 201))
    bench.run(seconds=120)
    assert len(set(handler.seen) - slow) == 100


def test_the_pauses_grow_and_end_with_a_success() -> None:
    down = True
    handler = Recording(lambda _: Failed(Unavailable("gateway")) if down else Done())
    bench = Bench(handler)
    bench.place(1)
    bench.run(seconds=100)
    assert 5 <= len(handler.seen) <= 25, "at 1, 2, 4, 8, 16 and then every 20 s at the most"
    down = False
    bench.run(seconds=20)
    assert bench.consumer.step() == 0


def test_what_arrives_after_the_stop_is_nacked_and_not_started() -> None:
    handler = Recording()
    bench = Bench(handler)
    bench.place(1)
    bench.stop.set()
    bench.consumer.step()
    assert (handler.seen, bench.queue.depth()) == ([], QueueDepth(1, 0))


def test_an_unforeseen_error_does_not_end_the_loop() -> None:
    class Broken(Recording):
        def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
            return []

    bench = Bench(Broken())
    bench.place(1)
    assert bench.consumer.step() > 0
    assert bench.queue.depth() == QueueDepth(0, 1)
