"""Events: payloads that can be rebuilt, and orders that can be replayed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event, payload_of, replay
from shopflow.domain.order import EventHeader, EventType, IllegalTransition, Order, notify, release
from shopflow.domain.times import to_ms, to_text
from shopflow.messaging.outbox import stored_event
from tests.unit.making import T0, charged, declined, header, pending, refused, reserved

CATALOG = load_catalog()
LAST_MOMENT = to_ms("9999-12-31T23:59:59.999Z")
RELEASED = release(declined(), header(EventType.INVENTORY_RELEASED, T0 + 3)).after
HISTORIES = {
    "completed": [pending(), reserved(), charged()],
    "refused": [pending(), refused()],
    "released": [pending(), reserved(), declined(), RELEASED],
}


def _events(history: list[Order]) -> list[Event]:
    return [stored_event(CATALOG, order) for order in history]


@pytest.mark.parametrize("name", HISTORIES)
def test_the_payload_of_every_earlier_event_can_be_rebuilt_from_the_finished_order(name: str) -> None:
    history = HISTORIES[name]
    last = history[-1]
    finished = last if name == "released" else notify(last, T0 + 9).after
    for event in _events(history):
        assert payload_of(finished, EventType(event.event_type)) == event.payload


@pytest.mark.parametrize("name", HISTORIES)
def test_replaying_the_events_gives_the_order_without_its_bookkeeping(name: str) -> None:
    history = HISTORIES[name]
    assert replay(_events(history)) == replace(history[-1], outbox=None, superseded=None, opened_at=None)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_trail_with_an_event_missing_doubled_or_swapped_does_not_replay(name: str) -> None:
    events = _events(HISTORIES[name])
    broken = [events[1:], [*events, events[-1]], [events[1], events[0], *events[2:]]]
    for trail in broken:
        with pytest.raises(IllegalTransition):
            replay(trail)


class FixedClock:
    def __init__(self, now: int) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now


@given(now=st.integers(0, 2**47), cause_ms=st.integers(0, 2**47), noise=st.binary(min_size=10, max_size=10))
def test_an_effect_sorts_after_its_cause_however_the_clocks_differ(now: int, cause_ms: int, noise: bytes) -> None:
    first = HeaderFactory(FixedClock(cause_ms), lambda _: b"\xff" * 10).new(EventType.ORDER_CREATED)
    cause = stored_event(CATALOG, replace(pending(), outbox=first))
    effect = HeaderFactory(FixedClock(now), lambda _: noise).new(EventType.INVENTORY_RESERVED, cause)
    assert effect.event_id > first.event_id
    assert effect.time_ms > first.time_ms
    assert effect.causation_id == first.event_id


@given(st.integers(0, LAST_MOMENT - 1))
def test_a_moment_survives_its_text_and_texts_sort_as_moments_do(moment: int) -> None:
    assert to_ms(to_text(moment)) == moment
    assert to_text(moment) < to_text(moment + 1)


def test_every_event_that_the_domain_makes_passes_its_contract_and_comes_back() -> None:
    contracts = Contracts(CATALOG)
    ulid = "01KGA3AX00000000000000000A"
    for history in HISTORIES.values():
        for order in history:
            assert order.outbox is not None
            outbox = EventHeader(ulid, order.outbox.event_type, order.outbox.time_ms)
            event = stored_event(CATALOG, replace(order, outbox=outbox))
            assert contracts.decode(contracts.encode(event)) == event
