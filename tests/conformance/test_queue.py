"""`shopflow.ports.Queue`: at least once, until it is deleted or dead."""

from __future__ import annotations

import pytest

from shopflow.ports import Message, Queue
from tests.conformance.worlds import MAX_RECEIVES, QueuePair, World, eventually, receive, receive_one


def hand_back(queue: Queue, message: Message) -> None:
    assert queue.change_visibility({message: 0}) == []


def died(world: World, pair: QueuePair) -> Message:
    """Receive a message as often as the queue allows. Returns the last delivery, handed back."""
    for count in range(1, MAX_RECEIVES + 1):
        message = receive_one(world, pair.queue)
        assert message.receive_count == count
        hand_back(pair.queue, message)
    return message


def test_an_empty_queue_gives_nothing(world: World) -> None:
    assert world.queue().queue.receive(10, 0) == []


def test_a_message_is_received_as_it_was_sent(world: World) -> None:
    pair = world.queue()
    pair.send("Größe „L“")
    message = receive_one(world, pair.queue)
    assert (message.body, message.receive_count) == ("Größe „L“", 1)


def test_no_more_messages_are_received_than_asked_for(world: World) -> None:
    pair = world.queue()
    for number in range(12):
        pair.send(str(number))
    assert len(eventually(world, lambda: pair.queue.receive(3, 0))) <= 3


def test_each_message_is_received_once_while_it_is_hidden(world: World) -> None:
    pair = world.queue()
    bodies = [f"message {number}" for number in range(12)]
    for body in bodies:
        pair.send(body)
    received = receive(world, pair.queue, len(bodies))
    assert sorted(message.body for message in received) == sorted(bodies)
    assert len({message.message_id for message in received}) == len(bodies)
    assert pair.queue.receive(10, 0) == []


def test_a_message_is_visible_again_after_its_visibility_timeout(world: World) -> None:
    pair = world.queue(visibility_seconds=1)
    pair.send("slow")
    first = receive_one(world, pair.queue)
    again = receive_one(world, pair.queue)
    assert (again.message_id, again.body, again.receive_count) == (first.message_id, "slow", 2)
    assert again.receipt_handle != first.receipt_handle


def test_a_message_handed_back_is_visible_at_once(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("not today")
    hand_back(pair.queue, receive_one(world, pair.queue))
    assert receive_one(world, pair.queue).receive_count == 2


def test_a_message_hidden_for_longer_stays_hidden_beyond_its_timeout(world: World) -> None:
    pair = world.queue(visibility_seconds=2)
    pair.send("slow")
    pair.send("slower")
    slow, slower = sorted(receive(world, pair.queue, 2), key=lambda message: message.body)
    assert pair.queue.change_visibility({slower: 600}) == []
    assert receive_one(world, pair.queue).message_id == slow.message_id
    assert pair.queue.receive(10, 0) == []


def test_a_message_hidden_for_less_is_visible_sooner(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("quick")
    assert pair.queue.change_visibility({receive_one(world, pair.queue): 1}) == []
    assert receive_one(world, pair.queue).receive_count == 2


def test_the_visibility_of_each_message_of_a_batch_is_its_own(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    for number in range(10):
        pair.send(str(number))
    messages = receive(world, pair.queue, 10)
    back = {message.body for message in messages[::2]}
    seconds = {message: 0 if message.body in back else 300 for message in messages}
    assert pair.queue.change_visibility(seconds) == []
    assert {message.body for message in receive(world, pair.queue, len(back))} == back
    assert pair.queue.receive(10, 0) == []


def test_the_visibility_of_a_message_that_is_gone_cannot_be_changed(world: World) -> None:
    pair = world.queue()
    pair.send("done")
    pair.send("still here")
    gone, here = sorted(receive(world, pair.queue, 2), key=lambda message: message.body)
    assert pair.queue.delete([gone]) == []
    assert pair.queue.change_visibility({gone: 30, here: 30}) == [gone]


def test_the_visibility_of_a_message_that_was_received_again_cannot_be_changed(world: World) -> None:
    pair = world.queue()
    pair.send("message")
    stale = receive_one(world, pair.queue)
    hand_back(pair.queue, stale)
    receive_one(world, pair.queue)
    assert pair.queue.change_visibility({stale: 0}) == [stale]
    assert pair.queue.receive(1, 0) == []


def test_a_deleted_message_is_gone(world: World) -> None:
    pair = world.queue(visibility_seconds=1)
    pair.send("done")
    pair.send("kept")
    done, kept = sorted(receive(world, pair.queue, 2), key=lambda message: message.body)
    assert pair.queue.delete([done]) == []
    again = receive_one(world, pair.queue)
    assert again.message_id == kept.message_id
    assert pair.queue.delete([again]) == []
    assert pair.queue.receive(10, 0) == []


def test_a_full_batch_is_deleted(world: World) -> None:
    pair = world.queue(visibility_seconds=1)
    for number in range(10):
        pair.send(str(number))
    assert pair.queue.delete(receive(world, pair.queue, 10)) == []
    pair.send("marker")
    for count in (1, 2):
        marker = receive_one(world, pair.queue)
        assert (marker.body, marker.receive_count) == ("marker", count)


def test_deleting_a_message_twice_counts_as_deleted(world: World) -> None:
    pair = world.queue()
    pair.send("done")
    message = receive_one(world, pair.queue)
    assert pair.queue.delete([message]) == []
    assert pair.queue.delete([message]) == []


def test_deleting_with_an_old_receipt_handle_leaves_the_newer_delivery_alone(world: World) -> None:
    pair = world.queue()
    pair.send("message")
    stale = receive_one(world, pair.queue)
    hand_back(pair.queue, stale)
    newer = receive_one(world, pair.queue)
    assert pair.queue.delete([stale]) == []
    hand_back(pair.queue, newer)
    assert receive_one(world, pair.queue).receive_count == 3


def test_a_message_whose_timeout_has_passed_can_be_deleted_until_it_is_received_again(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("late")
    message = receive_one(world, pair.queue)
    hand_back(pair.queue, message)
    assert pair.queue.delete([message]) == []
    assert pair.queue.receive(10, 0) == []


def test_after_its_last_receive_a_message_is_in_the_dead_letter_queue_instead(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("poison „L“")
    last = died(world, pair)
    assert pair.queue.receive(10, 0) == []
    dead = receive_one(world, pair.dlq)
    assert (dead.body, dead.message_id) == ("poison „L“", last.message_id)
    assert pair.queue.receive(10, 0) == []


def test_a_message_that_times_out_for_the_last_time_is_dead_too(world: World) -> None:
    pair = world.queue(visibility_seconds=1)
    pair.send("crash")
    counts = [receive_one(world, pair.queue).receive_count for _ in range(MAX_RECEIVES)]
    assert counts == [1, 2, 3]

    def dead() -> list[Message]:
        assert pair.queue.receive(10, 0) == []
        return pair.dlq.receive(10, 0)

    assert [message.body for message in eventually(world, dead)] == ["crash"]


def test_a_dead_message_does_not_hold_up_the_others(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("poison")
    died(world, pair)
    pair.send("healthy")
    assert receive_one(world, pair.queue).body == "healthy"


def test_a_dead_message_is_deleted_from_its_dead_letter_queue(world: World) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("poison")
    died(world, pair)
    assert pair.queue.receive(10, 0) == []
    dead = receive_one(world, pair.dlq)
    assert pair.dlq.delete([dead]) == []
    assert pair.dlq.change_visibility({dead: 0}) == [dead]


@pytest.mark.parametrize("receives", [1, 2])
def test_a_message_that_succeeds_before_its_last_receive_never_dies(world: World, receives: int) -> None:
    pair = world.queue(visibility_seconds=600)
    pair.send("flaky")
    for _ in range(receives):
        hand_back(pair.queue, receive_one(world, pair.queue))
    assert pair.queue.delete([receive_one(world, pair.queue)]) == []
    assert pair.queue.receive(10, 0) == []
    assert pair.dlq.receive(10, 0) == []
