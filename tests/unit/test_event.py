"""Events: payloads that can be rebuilt, and orders that can be replayed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event, payload_of, replay
from shopflow.domain.order import EventType, IllegalTransition, Order
from shopflow.domain.times import to_ms, to_text
from tests.clocks import ManualClock
from tests.conformance.samples import (
    CATALOG,
    an_event,
    an_order,
    charged,
    declined,
    notified,
    refused,
    released,
    reserved,
)

LAST_MOMENT = to_ms("9999-12-31T23:59:59.999Z")
PENDING = an_order()
RESERVED = reserved(PENDING).after
DECLINED = declined(RESERVED).after
HISTORIES = {
    "completed": [PENDING, RESERVED, charged(RESERVED).after],
    "refused": [PENDING, refused(PENDING).after],
    "released": [PENDING, RESERVED, DECLINED, released(DECLINED).after],
}


def _events(history: list[Order]) -> list[Event]:
    return [an_event(order) for order in history]


@pytest.mark.parametrize("name", HISTORIES)
def test_the_payload_of_every_earlier_event_can_be_rebuilt_from_the_finished_order(name: str) -> None:
    history = HISTORIES[name]
    finished = notified(history[-1]).after
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


@given(now=st.integers(0, 2**47), cause_ms=st.integers(0, 2**47), noise=st.binary(min_size=10, max_size=10))
def test_an_effect_sorts_after_its_cause_however_the_clocks_differ(now: int, cause_ms: int, noise: bytes) -> None:
    first = HeaderFactory(ManualClock(cause_ms), lambda _: b"\xff" * 10).new(EventType.ORDER_CREATED)
    cause = an_event(replace(PENDING, outbox=first))
    effect = HeaderFactory(ManualClock(now), lambda _: noise).new(EventType.INVENTORY_RESERVED, cause)
    assert effect.event_id > first.event_id
    assert effect.time_ms > first.time_ms
    assert effect.causation_id == first.event_id


@given(st.integers(0, LAST_MOMENT - 1))
def test_a_moment_survives_its_text_and_texts_sort_as_moments_do(moment: int) -> None:
    assert to_ms(to_text(moment)) == moment
    assert to_text(moment) < to_text(moment + 1)


def test_every_event_that_the_domain_makes_passes_its_contract_and_comes_back() -> None:
    contracts = Contracts(CATALOG)
    for event in (event for history in HISTORIES.values() for event in _events(history)):
        assert contracts.decode(contracts.encode(event)) == event
