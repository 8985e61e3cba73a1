"""The Fraud Service over in-memory twins: what it flags, and that it loses and doubles nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import fraud
from examples.fraud.scoring import MAX_POINTS, score
from examples.fraud.service import FLAGGED, NAME, Fraud
from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, create
from shopflow.errors import Unavailable
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.memory.tables import MemoryAuditLog
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.outbox import Outbox, Publisher, stored_event
from shopflow.ports import Outgoing, QueueDepth
from tests.clocks import ManualClock
from tests.unit.making import line, pending

OVERLAY = Path(fraud.__file__).with_name("catalog.json")
CATALOG = load_catalog(OVERLAY)
CONTRACTS = Contracts(CATALOG)


@pytest.mark.parametrize(
    ("quantity", "price", "lines", "points", "flagged"),
    [
        (1, "999.99", 1, 0, False),
        (1, "1000.00", 1, 60, True),
        (9, "1.00", 2, 0, False),
        (10, "1.00", 1, 30, False),
        (5, "1.00", 4, 40, False),
        (20, "1.00", 1, 70, True),
        (50, "49.99", 1, MAX_POINTS, True),
    ],
)
def test_an_order_is_scored_by_its_amount_and_its_units(
    quantity: int, price: str, lines: int, points: int, flagged: bool
) -> None:
    items = [{"quantity": quantity, "unitPrice": Decimal(price)}] * lines
    scored = score({"items": items, "totalAmount": quantity * Decimal(price) * lines})
    assert (scored.points, scored.flagged, bool(scored.reasons)) == (points, flagged, points > 0)


class Refusing(MemoryTopic):
    """A topic that refuses the first batches, in either way that SNS does."""

    def __init__(self, times: int, entirely: bool) -> None:
        super().__init__()
        self.times = times
        self.entirely = entirely

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        self.times -= 1
        if self.times < 0:
            return super().publish(batch)
        if self.entirely:
            raise Unavailable("no topic")
        return frozenset(one.event_id for one in batch)


class Bench:
    """The Fraud Service on a queue, and a queue that gets what it publishes."""

    def __init__(self, topic: MemoryTopic | None = None) -> None:
        self.clock = ManualClock()
        self.queue = MemoryQueue(self.clock, NAME)
        self.published = MemoryQueue(self.clock, "audit")
        topic = topic or MemoryTopic()
        topic.subscribe(self.published, {FLAGGED})
        handler = Fraud(topic, Outbox(CATALOG, CONTRACTS))
        consumes = CATALOG.services[NAME].consumes
        publisher = Publisher(topic)
        self.consumer = Consumer(
            handler, self.queue, publisher, CONTRACTS, consumes, threading.Event(), now=self._seconds
        )
        self._headers = HeaderFactory(self.clock)

    def _seconds(self) -> float:
        return self.clock.now / 1000

    def place(self, quantity: int, order_id: str = "ORD-A1B2C3D4") -> Event:
        order = create(pending(order_id, line(quantity=quantity)), self._headers.new(EventType.ORDER_CREATED))
        event = stored_event(CATALOG, order)
        self.queue.send(CONTRACTS.encode(event))
        return event

    def flags(self) -> list[Event]:
        return [CONTRACTS.decode(message.body) for message in self.published.receive(10, 0)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_suspicious_order_is_flagged_and_says_why(bench: Bench) -> None:
    cause = bench.place(quantity=50)
    assert bench.consumer.step() == 0
    (flag,) = bench.flags()
    assert (flag.event_type, flag.order_id, flag.causation_id) == (FLAGGED, cause.order_id, cause.event_id)
    assert flag.payload["score"] == MAX_POINTS
    assert "the amount is 1000 or more" in flag.payload["reasons"]
    assert flag.event_id > cause.event_id
    assert bench.queue.depth() == QueueDepth(0, 0)


def test_a_redelivery_is_the_same_event_which_the_audit_log_holds_once(bench: Bench) -> None:
    event = bench.place(quantity=50)
    bench.consumer.step()
    bench.clock.advance(3600)
    bench.queue.send(CONTRACTS.encode(event))
    bench.consumer.step()
    first, again = bench.flags()
    assert first == again
    log = MemoryAuditLog()
    assert not log.insert([first], 1)
    assert not log.insert([again], 2)
    assert len(log.trail(event.order_id)) == 1


def test_only_suspicious_orders_are_flagged_each_with_an_event_of_its_own(bench: Bench) -> None:
    for number, quantity in enumerate([50, 1, 50]):
        bench.place(quantity, f"ORD-{number:08}")
    bench.consumer.step()
    flags = bench.flags()
    assert [flag.order_id for flag in flags] == ["ORD-00000000", "ORD-00000002"]
    assert len({flag.event_id for flag in flags}) == 2
    assert bench.queue.depth() == QueueDepth(0, 0)


@pytest.mark.parametrize("entirely", [True, False])
def test_what_the_topic_refuses_is_tried_again_before_it_is_acknowledged(entirely: bool) -> None:
    bench = Bench(Refusing(times=2, entirely=entirely))
    cause = bench.place(quantity=50)
    for _ in range(3):
        assert not bench.flags()
        bench.consumer.step()
        bench.clock.advance(20)
    assert [flag.causation_id for flag in bench.flags()] == [cause.event_id]
    assert bench.queue.depth() == QueueDepth(0, 0)


MONEY = st.decimals(0, 10**12, places=2)


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(st.lists(st.tuples(st.integers(1, 1000), MONEY), min_size=1, max_size=50), MONEY)
def test_every_valid_order_is_scored_and_each_flag_is_valid(lines: list[tuple[int, Decimal]], total: Decimal) -> None:
    bench = Bench()
    event = bench.place(quantity=1)
    bench.consumer.step()
    bench.flags()
    items = [{**event.payload["items"][0], "quantity": units, "unitPrice": price} for units, price in lines]
    payload = {**event.payload, "items": items, "totalAmount": total}
    bench.queue.send(CONTRACTS.encode(replace(event, payload=payload)))
    bench.consumer.step()
    assert bench.queue.depth() == QueueDepth(0, 0)
    assert len(bench.flags()) == score(payload).flagged
