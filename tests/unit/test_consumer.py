"""The consumer: what becomes of each message."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pytest

from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, create
from shopflow.errors import Contention, ContractBreach, Unavailable
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.deferred import MAX_DEFERRED
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Outbox, Publisher, stored_event
from shopflow.ports import Message, Outgoing, QueueDepth
from shopflow.telemetry import Telemetry
from tests.clocks import ManualClock
from tests.unit.making import pending

CATALOG = load_catalog()
CATALOG_EXAMPLES = SCHEMAS / "examples" / "valid"
CONTRACTS = Contracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)


class Recording(Handler):
    """Answers as told, and remembers what it saw."""

    def __init__(self, answer: Callable[[Event], Outcome] = lambda _: Done()) -> None:
        self.answer = answer
        self.seen: list[str] = []

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.seen += [event.order_id for event in events]
        return [self.answer(event) for event in events]


class RefusingTopic:
    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        return frozenset(outgoing.event_id for outgoing in batch)


class DeadTopic:
    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        raise Unavailable("no topic")


class Counted:
    """`shopflow.telemetry.Metrics` that adds up."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()

    def put(self, **values: float) -> None:
        self.totals.update({name: int(value) for name, value in values.items()})


class Bench:
    """A consumer on a queue with a dead-letter queue, under a clock that the test turns."""

    def __init__(self, handler: Handler, topic: MemoryTopic | RefusingTopic | DeadTopic | None = None) -> None:
        self.clock = ManualClock()
        self.dlq = MemoryQueue(self.clock, "dlq")
        self.queue = MemoryQueue(self.clock, "queue", dlq=self.dlq)
        self.stop = threading.Event()
        publisher = Publisher(topic or MemoryTopic())
        consumes = frozenset({EventType.ORDER_CREATED})
        self.counted = Counted()
        self.consumer = Consumer(
            handler,
            self.queue,
            publisher,
            CONTRACTS,
            consumes,
            self.stop,
            now=lambda: self.clock.now / 1000,
            telemetry=Telemetry(metrics=self.counted),
        )
        self._headers = HeaderFactory(self.clock)

    def event(self, number: int = 1) -> Event:
        order = pending(f"ORD-{number:08}")
        return stored_event(CATALOG, create(order, self._headers.new(EventType.ORDER_CREATED)))

    def send(self, *events: Event) -> None:
        for event in events:
            self.queue.send(CONTRACTS.encode(event))

    def run(self, seconds: float) -> None:
        """Let the consumer work for so long, as its loop does. A long poll of an empty queue takes a second here."""
        end = self.clock.now + round(seconds * 1000)
        while self.clock.now < end:
            pause = self.consumer.step()
            self.clock.advance(max(0.1 if self.queue.depth().waiting else 1, pause))

    def rounds(self, count: int, seconds: float = 0) -> None:
        for _ in range(count):
            self.consumer.step()
            self.clock.advance(seconds)


def test_a_message_whose_event_is_done_is_deleted() -> None:
    bench = Bench(Recording())
    bench.send(bench.event())
    assert bench.consumer.step() == 0
    assert bench.queue.depth() == QueueDepth(0, 0)


def test_two_copies_in_one_batch_are_handled_once_and_both_deleted() -> None:
    handler = Recording()
    bench = Bench(handler)
    event = bench.event()
    bench.send(event, event)
    bench.consumer.step()
    assert len(handler.seen) == 1
    assert bench.queue.depth() == QueueDepth(0, 0)


def test_one_failure_does_not_fail_its_neighbours() -> None:
    bad = "ORD-00000002"
    bench = Bench(Recording(lambda event: Failed(KeyError("x")) if event.order_id == bad else Done()))
    bench.send(*(bench.event(number) for number in range(1, 6)))
    bench.consumer.step()
    assert bench.queue.depth() == QueueDepth(0, 1)


def test_a_handler_that_raises_for_the_batch_is_asked_one_by_one() -> None:
    def fail_on_two(event: Event) -> Outcome:
        if event.order_id == "ORD-00000002":
            raise KeyError("x")
        return Done()

    bench = Bench(Recording(fail_on_two))
    bench.send(*(bench.event(number) for number in range(1, 6)))
    bench.consumer.step()
    assert bench.queue.depth() == QueueDepth(0, 1)


def test_a_message_that_keeps_failing_is_in_the_dlq_after_three_receives() -> None:
    handler = Recording(lambda _: Failed(KeyError("x")))
    bench = Bench(handler)
    bench.send(bench.event())
    bench.rounds(6, seconds=300)
    assert len(handler.seen) == 3
    assert (bench.queue.depth(), bench.dlq.depth().waiting) == (QueueDepth(0, 0), 1)


def test_the_delay_before_the_next_try_grows() -> None:
    handler = Recording(lambda _: Failed(KeyError("x")))
    bench = Bench(handler)
    bench.send(bench.event())
    bench.rounds(1, seconds=4)
    bench.rounds(1, seconds=7)
    bench.rounds(1)
    assert len(handler.seen) == 2, "the second delay is 8 s at the least"
    bench.clock.advance(9)
    bench.rounds(1)
    assert len(handler.seen) == 3


def test_a_breach_of_contract_reaches_the_dlq_at_once_with_its_neighbours_unharmed() -> None:
    bench = Bench(Recording())
    bench.queue.send("not json")
    bench.send(bench.event())
    bench.rounds(4)
    assert (bench.queue.depth(), bench.dlq.depth().waiting) == (QueueDepth(0, 0), 1)


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
    bench.send(*(bench.event(number) for number in range(1, 10)))
    bench.consumer.step()
    assert (len(handler.seen), bench.queue.depth()) == (9, QueueDepth(0, 1))
    bench.rounds(6, seconds=300)
    assert bench.dlq.depth().waiting == 1


def test_a_breach_found_by_the_handler_reaches_the_dlq_at_once() -> None:
    bench = Bench(Recording(lambda _: Failed(ContractBreach("no such order"))))
    bench.send(bench.event())
    bench.rounds(4)
    assert bench.dlq.depth().waiting == 1


def test_a_sound_event_in_the_wrong_queue_is_acknowledged_and_counted() -> None:
    """As an old filter policy lets it through for up to 15 minutes on AWS."""
    handler = Recording()
    bench = Bench(handler)
    bench.queue.send((CATALOG_EXAMPLES / "payment.failed.json").read_text())
    bench.send(bench.event())
    bench.rounds(4)
    assert (handler.seen, bench.queue.depth(), bench.dlq.depth()) == (
        ["ORD-00000001"],
        QueueDepth(0, 0),
        QueueDepth(0, 0),
    )
    assert bench.counted.totals["Misrouted"] == 1


@pytest.mark.parametrize("bad", [1, 10, 15, 30])
def test_orders_whose_dependency_is_down_for_them_alone_block_nobody(bad: int) -> None:
    """They come first, so the first batches are unavailable as a whole."""
    stuck = {f"ORD-{number:08}" for number in range(1, bad + 1)}
    handler = Recording(lambda event: Failed(Unavailable("gateway")) if event.order_id in stuck else Done())
    bench = Bench(handler)
    bench.send(*(bench.event(number) for number in range(1, bad + 1)))
    bench.run(seconds=0.1)
    bench.send(*(bench.event(number) for number in range(101, 126)))
    bench.run(seconds=30)
    assert len(set(handler.seen) - stuck) == 25
    bench.run(seconds=6 * 3600)
    assert (bench.queue.depth(), bench.dlq.depth()) == (QueueDepth(0, bad), QueueDepth(0, 0)), (
        "held for hours, received once"
    )
    stuck.clear()
    bench.run(seconds=30)
    assert (bench.queue.depth(), bench.dlq.depth()) == (QueueDepth(0, 0), QueueDepth(0, 0))


def test_a_message_that_makes_every_batch_unavailable_is_found_and_its_neighbours_are_served() -> None:
    class OneBadKey(Recording):
        def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
            if any(event.order_id == "ORD-00000005" for event in events):
                raise Unavailable("a key of the batch is throttled")
            return super().handle(events)

    handler = OneBadKey()
    bench = Bench(handler)
    bench.send(*(bench.event(number) for number in range(1, 21)))
    bench.run(seconds=30)
    assert (len(handler.seen), bench.queue.depth()) == (19, QueueDepth(0, 1))


def test_in_an_outage_the_backlog_waits_in_the_queue_and_nothing_is_dead_lettered() -> None:
    down = True
    handler = Recording(lambda _: Failed(Unavailable("gateway")) if down else Done())
    bench = Bench(handler)
    bench.send(*(bench.event(number) for number in range(1, 501)))
    bench.run(seconds=11 * 3600)
    assert len(set(handler.seen)) <= MAX_DEFERRED + 20, "a hundred are held, and one more is tried now and then"
    assert bench.dlq.depth() == QueueDepth(0, 0)
    down = False
    bench.run(seconds=2 * 3600)
    assert (bench.queue.depth(), bench.dlq.depth()) == (QueueDepth(0, 0), QueueDepth(0, 0))
    assert len(set(handler.seen)) == 500


def test_held_messages_are_bounded_in_number() -> None:
    bench = Bench(Recording(lambda event: Failed(Unavailable("x")) if event.order_id != "ORD-00009999" else Done()))
    for number in range(1, 301, 9):  # a success in each batch: receiving never pauses
        bench.send(*(bench.event(number + offset) for offset in range(9)), bench.event(9999))
        bench.consumer.step()
    assert bench.queue.depth() == QueueDepth(0, 306)
    bench.stop.set()
    bench.consumer.run()
    assert bench.queue.depth() == QueueDepth(MAX_DEFERRED, 306 - MAX_DEFERRED), (
        "the others were returned, each with a delay"
    )


def test_an_answer_of_any_kind_ends_the_pause_and_so_does_holding_nothing() -> None:
    answers: list[Outcome] = [Failed(Unavailable("gateway"))]
    handler = Recording(lambda _: answers[0])
    bench = Bench(handler)
    bench.send(bench.event(1))
    bench.run(seconds=1800)
    answers[0] = Failed(KeyError("it answers, but wrongly"))
    bench.run(seconds=21)
    bench.send(bench.event(2))
    bench.run(seconds=2)
    assert "ORD-00000002" in handler.seen


def test_an_unforeseen_error_of_the_queue_stops_neither_retries_nor_receiving() -> None:
    class Odd(MemoryQueue):
        def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
            raise KeyError("UnknownCode")

    stuck = "ORD-00000001"
    handler = Recording(lambda event: Failed(Unavailable("x")) if event.order_id == stuck else Done())
    bench = Bench(handler)
    bench.queue = Odd(bench.clock, "odd", dlq=bench.dlq)
    bench.consumer._queue = bench.consumer._deferred._queue = bench.queue
    bench.send(bench.event(1))
    bench.consumer.step()
    bench.clock.advance(31)
    bench.send(*(bench.event(number) for number in range(2, 6)))
    bench.run(seconds=30)
    assert len(set(handler.seen) - {stuck}) == 4


def test_slow_retries_leave_half_of_the_time_to_fresh_messages() -> None:
    slow: set[str] = {f"ORD-{number:08}" for number in range(1, 6)}

    def answer(event: Event) -> Outcome:
        if event.order_id not in slow:
            return Done()
        bench.clock.advance(10)  # the gateway's timeout
        return Failed(Unavailable("gateway"))

    handler = Recording(answer)
    bench = Bench(handler)
    bench.send(*(bench.event(number) for number in range(1, 6)))
    bench.run(seconds=60)
    bench.send(*(bench.event(number) for number in range(101, 201)))
    bench.run(seconds=120)
    assert len(set(handler.seen) - slow) == 100


def test_held_messages_stay_hidden_however_long_they_are_held() -> None:
    bench = Bench(Recording(lambda _: Failed(Unavailable("gateway"))))
    bench.send(*(bench.event(number) for number in range(1, 11)))
    bench.consumer.step()
    for _ in range(360):
        bench.run(seconds=30)
        assert bench.queue.depth() == QueueDepth(0, 10)


def test_contention_is_waited_out_like_an_outage_not_counted_as_a_failure() -> None:
    tries = iter([Contention("busy")] * 10)
    handler = Recording(lambda _: Failed(error) if (error := next(tries, None)) else Done())
    bench = Bench(handler)
    bench.send(bench.event())
    bench.rounds(11, seconds=20)
    assert (bench.queue.depth(), bench.dlq.depth()) == (QueueDepth(0, 0), QueueDepth(0, 0))


def test_the_pauses_grow_and_end_with_a_success() -> None:
    down = True
    handler = Recording(lambda _: Failed(Unavailable("gateway")) if down else Done())
    bench = Bench(handler)
    bench.send(bench.event())
    bench.run(seconds=100)
    assert 5 <= len(handler.seen) <= 25, "at 1, 2, 4, 8, 16 and then every 20 s at the most"
    down = False
    bench.run(seconds=20)
    assert bench.consumer.step() == 0


def test_held_messages_are_returned_when_the_consumer_stops() -> None:
    bench = Bench(Recording(lambda _: Failed(Unavailable("gateway"))))
    bench.send(bench.event())
    bench.consumer.step()
    bench.stop.set()
    bench.consumer.run()
    assert bench.queue.depth() == QueueDepth(1, 0)


def test_what_arrives_after_the_stop_is_returned_unstarted() -> None:
    handler = Recording()
    bench = Bench(handler)
    bench.send(bench.event())
    bench.stop.set()
    bench.consumer.step()
    assert (handler.seen, bench.queue.depth()) == ([], QueueDepth(1, 0))


def test_a_committed_event_is_acknowledged_though_the_topic_refuses_it() -> None:
    for topic in (RefusingTopic(), DeadTopic()):
        handler = Recording(lambda event: Done(publish=OUTBOX.encode(event)))
        bench = Bench(handler, topic)
        bench.send(bench.event())
        bench.consumer.step()
        assert bench.queue.depth() == QueueDepth(0, 0), "the outbox owns it now"


def test_a_queue_that_does_not_answer_is_waited_for() -> None:
    class DeadQueue(MemoryQueue):
        def receive(self, most: int, wait_seconds: int) -> list[Message]:
            raise Unavailable("no queue")

        def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
            raise Unavailable("no queue")

    bench = Bench(Recording())
    consumer = Consumer(
        Recording(),
        DeadQueue(bench.clock, "dead"),
        Publisher(MemoryTopic()),
        CONTRACTS,
        frozenset(),
        bench.stop,
    )
    assert consumer.step() > 0


def test_a_round_that_fails_in_an_unforeseen_way_does_not_end_the_loop() -> None:
    class Broken(Recording):
        def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
            return []

    bench = Bench(Broken())
    bench.send(bench.event())
    assert bench.consumer.step() > 0
    assert bench.queue.depth() == QueueDepth(0, 1)
