"""`shopflow.ports.AuditLog`."""

from __future__ import annotations

from dataclasses import replace

import simplejson

from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.ports import MAX_STATEMENTS, AuditEntry
from tests.conformance.samples import an_event, an_order, charged, reserved
from tests.conformance.worlds import World

STORED_AT = 1_700_000_000_123
LATER = STORED_AT + 60_000


def a_history(order: Order) -> list[Event]:
    """The events of a paid order, by their ids. The first has no cause, and none has a payment method."""
    reserving = reserved(order)
    events = [an_event(order), an_event(reserving.after), an_event(charged(reserving.after).after)]
    return sorted(events, key=lambda event: event.event_id)


def test_the_trail_holds_the_events_of_its_order_in_their_order_whatever_order_they_came_in(world: World) -> None:
    history, other = a_history(an_order()), an_event(an_order())
    for event in (history[2], other, history[0], history[1]):
        assert world.audit.insert([event], STORED_AT) == {}
    assert world.audit.trail(history[0].order_id) == [AuditEntry(event, STORED_AT) for event in history]


def test_the_payload_comes_back_to_the_letter(world: World) -> None:
    event = an_event(charged(reserved(an_order()).after).after)
    world.audit.insert([event], STORED_AT)
    [entry] = world.audit.trail(event.order_id)
    stored, sent = (simplejson.dumps(payload, sort_keys=True) for payload in (entry.event.payload, event.payload))
    assert stored == sent
    assert '"totalAmount": 129.80' in sent


def test_inserting_an_event_again_changes_nothing(world: World) -> None:
    event = an_event(an_order())
    world.audit.insert([event], STORED_AT)
    other_text = replace(event, payload={**event.payload, "customerId": "CUST-999"})
    assert world.audit.insert([other_text], LATER) == {}
    assert world.audit.trail(event.order_id) == [AuditEntry(event, STORED_AT)]


def test_a_full_batch_is_stored_around_one_that_is_there_already(world: World) -> None:
    events = [an_event(an_order()) for _ in range(MAX_STATEMENTS)]
    world.audit.insert([events[7]], STORED_AT)
    assert world.audit.insert(events, LATER) == {}
    stored_at = {event.event_id: LATER for event in events} | {events[7].event_id: STORED_AT}
    for event in events:
        assert world.audit.trail(event.order_id) == [AuditEntry(event, stored_at[event.event_id])]


def test_the_receipt_is_there_for_an_event_that_is_stored_and_for_no_other(world: World) -> None:
    stored, other = an_event(an_order()), an_event(an_order())
    world.audit.insert([stored], STORED_AT)
    assert world.audit.has(stored.order_id, stored.event_id)
    assert not world.audit.has(stored.order_id, other.event_id)
    assert not world.audit.has(other.order_id, other.event_id)
