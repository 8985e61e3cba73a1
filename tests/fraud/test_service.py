"""The Fraud Service over in-memory twins: what it flags, and that it loses and doubles nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import fraud
from examples.fraud.service import FLAGGED, FLAGGED_FROM, MAX_POINTS, Fraud, score
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import Unavailable
from shopflow.memory.queues import MemoryQueue
from shopflow.messaging.outbox import Outbox
from shopflow.ports import Outgoing
from tests.conformance.samples import a_line
from tests.unit.one_queue import OneQueue

OVERLAY = Path(fraud.__file__).with_name("catalog.json")
CATALOG = load_catalog(OVERLAY)
CONTRACTS = Contracts(CATALOG)


@pytest.mark.parametrize(
    ("quantity", "lines", "total", "points"),
    [
        (1, 1, "999.99", 0),
        (1, 1, "1000.00", 60),
        (9, 2, "18.00", 0),
        (10, 1, "10.00", 30),
        (5, 4, "20.00", 40),
        (20, 1, "20.00", 70),
        (50, 1, "2499.50", MAX_POINTS),
    ],
)
def test_an_order_is_scored_by_its_amount_and_its_units(quantity: int, lines: int, total: str, points: int) -> None:
    scored, reasons = score({"items": [{"quantity": quantity}] * lines, "totalAmount": Decimal(total)})
    assert (scored, bool(reasons)) == (points, points > 0)


class Bench(OneQueue):
    """The Fraud Service on a queue, and a queue that gets what it publishes."""

    def __init__(self) -> None:
        super().__init__(Fraud(self, Outbox(CATALOG, CONTRACTS)), CATALOG)
        self.refuses: Callable[[Sequence[Outgoing]], frozenset[str]] | None = None
        self.published = MemoryQueue(self.clock, "audit")
        self.topic.subscribe(self.published, {FLAGGED})
        self.consumer = self.consumer_of(self.queue, self.stop)

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        """`shopflow.ports.Topic` for the handler."""
        return self.refuses(batch) if self.refuses else self.topic.publish(batch)

    def place(self, quantity: int, number: int = 1) -> Event:
        event = self.event(number, a_line(quantity=quantity))
        self.send(event)
        return event

    def flags(self) -> list[Event]:
        return [CONTRACTS.decode(message.body) for message in self.published.receive(10, 0)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_suspicious_order_is_flagged_and_says_why_and_a_redelivery_is_the_same_event(bench: Bench) -> None:
    cause = bench.place(quantity=50)
    bench.consumer.step()
    bench.clock.advance(3600)
    bench.queue.send(CONTRACTS.encode(cause))
    bench.consumer.step()
    flag, again = bench.flags()
    assert flag == again
    assert (flag.event_type, flag.order_id, flag.causation_id) == (FLAGGED, cause.order_id, cause.event_id)
    assert flag.payload["score"] == MAX_POINTS
    assert "the amount is 1000 or more" in flag.payload["reasons"]
    assert flag.event_id > cause.event_id
    assert bench.depths() == (0, 0, 0)


def test_only_suspicious_orders_are_flagged_each_with_an_event_of_its_own(bench: Bench) -> None:
    for number, quantity in enumerate([50, 1, 50]):
        bench.place(quantity, number)
    bench.consumer.step()
    flags = bench.flags()
    assert [flag.order_id for flag in flags] == ["ORD-00000000", "ORD-00000002"]
    assert len({flag.event_id for flag in flags}) == 2
    assert bench.depths() == (0, 0, 0)


def unavailable(_: Sequence[Outgoing]) -> frozenset[str]:
    raise Unavailable("no topic")


@pytest.mark.parametrize("refuses", [unavailable, lambda batch: frozenset(one.event_id for one in batch)])
def test_what_the_topic_refuses_is_tried_again_before_it_is_acknowledged(
    bench: Bench, refuses: Callable[[Sequence[Outgoing]], frozenset[str]]
) -> None:
    cause = bench.place(quantity=50)
    bench.refuses = refuses
    for _ in range(2):
        bench.consumer.step()
        bench.clock.advance(20)
    assert not bench.flags()
    bench.refuses = None
    bench.consumer.step()
    assert [flag.causation_id for flag in bench.flags()] == [cause.event_id]
    assert bench.depths() == (0, 0, 0)


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
    assert bench.depths() == (0, 0, 0)
    assert len(bench.flags()) == (score(payload)[0] >= FLAGGED_FROM)
