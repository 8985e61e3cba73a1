"""What must hold besides `shopflow.invariants` where a test sees every call: mails, refusals, publications, poison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from shopflow.domain.order import Order
from shopflow.invariants import Breach

MAX_CHARS = 120


def check_mails(order: Order, mails: int, excused: int) -> Iterator[Breach]:
    """A breach when the customer got no mail that is recorded, or got more than one and ``excused`` more.

    Faults excuse a mail: its sender died before it recorded it, could not record it, or had two copies in flight.
    """
    if order.notified_at is not None and not 1 <= mails <= 1 + excused:
        yield Breach(6, order.order_id, f"notified {mails} times, {excused} of them explained by faults")


def check_publications(published: Mapping[str, int], excused: Mapping[str, int]) -> Iterator[Breach]:
    """The events published more often than once and once more for each fault. Both counts are by event id."""
    for event_id, times in sorted(published.items()):
        if times > 1 + excused.get(event_id, 0):
            yield Breach(7, event_id, f"published {times} times, {excused.get(event_id, 0)} explained by faults")


def check_refusal(order: Order, seen: Mapping[str, int], taken: Mapping[str, int]) -> Iterator[Breach]:
    """A breach when the units of a refused ``order`` were in stock.

    ``seen``: the stock that was read; ``taken``: what the same write took. Both are units by product.
    """
    left = {line.product_id: seen.get(line.product_id, 0) - taken.get(line.product_id, 0) for line in order.lines}
    if all(left[line.product_id] >= line.quantity for line in order.lines):
        yield Breach(2, order.order_id, f"refused though the units are there: {left} left of what was seen")


def check_poison(service: str, dead: Set[str], poison: Set[str]) -> Iterator[Breach]:
    """The breaches in one dead-letter queue: bodies that are not poison, and poison that is missing."""
    for body in sorted(dead - poison):
        yield Breach(5, service, f"has work that can be done: {body[:MAX_CHARS]}")
    for body in sorted(poison - dead):
        yield Breach(5, service, f"does not have the poison {body[:MAX_CHARS]}")
