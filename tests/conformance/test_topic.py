"""`shopflow.ports.Topic`, and its delivery to queues."""

from __future__ import annotations

from dataclasses import replace

from shopflow.domain.order import EventType
from shopflow.ports import MAX_BATCH_ENTRIES, Outgoing
from tests.conformance.samples import HEADERS
from tests.conformance.worlds import World, receive, receive_one

TEXT = '{"price": 49.90, "name": "Größe „L“ \\u2014 <&>", "nested": {"a": [1, 2]}}'


def outgoing(event_type: EventType, text: str = TEXT) -> Outgoing:
    return Outgoing(HEADERS.new(event_type).event_id, event_type, text)


def test_the_body_of_a_message_is_the_text_to_the_letter(world: World) -> None:
    """Each subscribed queue gets a copy of its own."""
    topic, queues = world.topic([None, None])
    assert topic.publish([outgoing(EventType.ORDER_CREATED)]) == frozenset()
    for queue in queues:
        message = receive_one(world, queue)
        assert message.body == TEXT
        assert queue.delete([message]) == []


def test_the_trace_travels_beside_the_text(world: World) -> None:
    topic, [queue] = world.topic([None])
    trace_parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    topic.publish([replace(outgoing(EventType.ORDER_CREATED), trace_parent=trace_parent)])
    message = receive_one(world, queue)
    assert (message.body, message.trace_parent) == (TEXT, trace_parent)


def test_a_queue_gets_the_event_types_of_its_filter_only(world: World) -> None:
    wanted = [EventType.ORDER_CREATED, EventType.PAYMENT_FAILED]
    topic, [filtered, everything] = world.topic([wanted, None])
    topic.publish([outgoing(event_type, text=event_type.value) for event_type in EventType])
    assert {message.body for message in receive(world, everything, len(EventType))} == set(EventType)
    assert {message.body for message in receive(world, filtered, len(wanted))} == set(wanted)
    assert filtered.receive(10, 0) == []


def test_a_full_batch_is_delivered_whole(world: World) -> None:
    topic, [queue] = world.topic([None])
    texts = [f"event {number}" for number in range(MAX_BATCH_ENTRIES)]
    assert topic.publish([outgoing(EventType.ORDER_CREATED, text) for text in texts]) == frozenset()
    assert sorted(message.body for message in receive(world, queue, len(texts))) == sorted(texts)
