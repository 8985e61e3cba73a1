"""The Fraud Service over in-memory twins: what it flags, and that nothing is lost or told twice."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
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


def _order(quantity: int, price: str, lines: int = 1) -> Mapping[str, object]:
    items = [{"quantity": quantity, "unitPrice": Decimal(price)}] * lines
    return {"items": items, "totalAmount": quantity * Decimal(price) * lines}


@pytest.mark.parametrize(
    ("order", "points", "flagged"),
    [
        (_order(1, "49.99"), 0, False),
        (_order(1, "999.99"), 0, False),
        (_order(1, "1000.00"), 60, True),
        (_order(9, "1.00", lines=2), 0, False),
        (_order(10, "1.00"), 30, False),
        (_order(5, "1.00", lines=4), 40, False),
        (_order(20, "1.00"), 70, True),
        (_order(50, "49.99"), MAX_POINTS, True),
    ],
)
def test_an_order_is_scored_by_its_amount_and_its_units(
    order: Mapping[str, object], points: int, flagged: bool
) -> None:
    scored = score(order)
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
    """The Fraud Service on a queue, and a queue that hears what it says."""

    def __init__(self, topic: MemoryTopic | None = None) -> None:
        self.clock = ManualClock()
        self.queue = MemoryQueue(self.clock, NAME)
        self.heard = MemoryQueue(self.clock, "audit")
        topic = topic or MemoryTopic()
        topic.subscribe(self.heard, {FLAGGED})
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
        return [CONTRACTS.decode(message.body) for message in self.heard.receive(10, 0)]


def test_a_suspicious_order_is_flagged_and_says_why() -> None:
    bench = Bench()
    cause = bench.place(quantity=50)
    assert bench.consumer.step() == 0
    (flag,) = bench.flags()
    assert (flag.event_type, flag.order_id, flag.causation_id) == (FLAGGED, cause.order_id, cause.event_id)
    assert flag.payload["score"] == MAX_POINTS
    assert "the amount is 1000 or more" in flag.payload["reasons"]
    assert flag.event_id > cause.event_id
    assert bench.queue.depth() == QueueDepth(0, 0)


def test_an_ordinary_order_is_not_flagged() -> None:
    bench = Bench()
    bench.place(quantity=1)
    bench.consumer.step()
    assert (bench.flags(), bench.queue.depth()) == ([], QueueDepth(0, 0))


def test_a_redelivery_is_the_same_event_which_the_audit_log_holds_once() -> None:
    bench = Bench()
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


def test_two_orders_never_share_an_event() -> None:
    bench = Bench()
    for number in range(5):
        bench.place(50, f"ORD-{number:08}")
    bench.consumer.step()
    assert len({flag.event_id for flag in bench.flags()}) == 5


@pytest.mark.parametrize("entirely", [True, False])
def test_what_the_topic_refuses_is_not_acknowledged_but_tried_again(entirely: bool) -> None:
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
