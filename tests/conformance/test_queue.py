"""`shopflow.ports.Queue`: a message is delivered at least once, until it is deleted or dead."""

from __future__ import annotations

from shopflow.ports import Message, Queue
from tests.conformance.worlds import MAX_RECEIVES, QueuePair, World, eventually, receive, receive_one


def nack(queue: Queue, message: Message) -> None:
    assert queue.change_visibility({message: 0}) == []


def died(world: World, pair: QueuePair) -> Message:
    """Receive a message as often as the queue allows. Returns the last delivery, nacked."""
    for count in range(1, MAX_RECEIVES + 1):
        message = receive_one(world, pair.queue)
        assert message.receive_count == count
        nack(pair.queue, message)
    return message


def received(world: World, pair: QueuePair, *bodies: str) -> list[Message]:
    """The messages with these bodies, sent and received, in the order of the bodies."""
    for body in bodies:
        pair.send(body)
    found = {message.body: message for message in receive(world, pair.queue, len(bodies))}
    return [found[body] for body in bodies]


def test_each_message_is_received_as_it_was_sent_and_once_while_it_is_hidden(world: World) -> None:
    pair = world.queue()
    messages = received(world, pair, "Größe „L“", *(f"message {number}" for number in range(12)))
    assert {message.receive_count for message in messages} == {1}
    assert len({message.message_id for message in messages}) == 13
    assert pair.queue.receive(10, 0) == []


def test_a_message_is_visible_again_after_its_visibility_timeout(world: World) -> None:
    pair = world.queue(visibility_seconds=1)
    [first] = received(world, pair, "slow")
    again = receive_one(world, pair.queue)
    assert (again.message_id, again.body, again.receive_count) == (first.message_id, "slow", 2)
    assert again.receipt_handle != first.receipt_handle


def test_a_message_hidden_for_longer_stays_hidden_beyond_its_timeout(world: World) -> None:
    pair = world.queue(visibility_seconds=2)
    slow, slower = received(world, pair, "slow", "slower")
    assert pair.queue.change_visibility({slower: 600}) == []
    assert receive_one(world, pair.queue).message_id == slow.message_id
    assert pair.queue.receive(10, 0) == []


def test_the_visibility_of_each_message_of_a_batch_is_its_own(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    messages = received(world, pair, *map(str, range(10)))
    sooner = {message.body: seconds for message, seconds in zip(messages, [0, 1, 0, 1, 0], strict=False)}
    assert pair.queue.change_visibility({one: sooner.get(one.body, 300) for one in messages}) == []
    assert {message.body for message in receive(world, pair.queue, len(sooner))} == sooner.keys()
    assert pair.queue.receive(10, 0) == []


def test_the_visibility_of_a_message_that_is_gone_cannot_be_changed(world: World) -> None:
    pair = world.queue()
    gone, here = received(world, pair, "gone", "here")
    assert pair.queue.delete([gone]) == []
    assert pair.queue.change_visibility({gone: 30, here: 30}) == [gone]


def test_the_visibility_of_a_message_that_was_received_again_cannot_be_changed(world: World) -> None:
    pair = world.queue()
    [stale] = received(world, pair, "message")
    nack(pair.queue, stale)
    receive_one(world, pair.queue)
    assert pair.queue.change_visibility({stale: 0}) == [stale]
    assert pair.queue.receive(1, 0) == []


def test_a_full_batch_can_be_deleted_after_its_timeout_until_it_is_received_again(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    messages = received(world, pair, *map(str, range(10)), "kept")
    for message in messages:
        nack(pair.queue, message)
    assert pair.queue.delete(messages[:10]) == []
    assert receive_one(world, pair.queue).body == "kept"
    assert pair.queue.receive(10, 0) == []


def test_deleting_with_an_old_receipt_handle_keeps_the_newer_delivery(world: World) -> None:
    pair = world.queue()
    [stale] = received(world, pair, "message")
    nack(pair.queue, stale)
    newer = receive_one(world, pair.queue)
    assert pair.queue.delete([stale]) == []
    nack(pair.queue, newer)
    assert receive_one(world, pair.queue).receive_count == 3


def test_after_its_last_receive_a_message_is_in_the_dead_letter_queue_instead(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("poison „L“")
    last = died(world, pair)
    assert pair.queue.receive(10, 0) == []
    dead = receive_one(world, pair.dlq)
    assert (dead.body, dead.message_id) == ("poison „L“", last.message_id)
    assert pair.queue.receive(10, 0) == []
    assert pair.dlq.delete([dead]) == []
    assert pair.dlq.change_visibility({dead: 0}) == [dead]


def test_a_message_that_times_out_for_the_last_time_is_dead_too(world: World) -> None:
    pair = world.queue(visibility_seconds=1)
    pair.send("crash")
    counts = [receive_one(world, pair.queue).receive_count for _ in range(MAX_RECEIVES)]
    assert counts == [1, 2, 3]

    def dead() -> list[Message]:
        assert pair.queue.receive(10, 0) == []
        return pair.dlq.receive(10, 0)

    assert [message.body for message in eventually(world, dead)] == ["crash"]
