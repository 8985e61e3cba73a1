"""`shopflow.ports.DeadLetters` and `Backlogs`: what an operator sees of a queue, and the way back into it."""

from __future__ import annotations

from shopflow.clock import SystemClock
from shopflow.ports import Backlog, DeadLetter, QueueDepth
from tests.conformance.test_queue import died
from tests.conformance.worlds import SERVICE, QueuePair, World, eventually, receive_one
from workers.dead_letters import Walk


def with_dead_letter(world: World, body: str = "message") -> QueuePair:
    """A queue whose only message is dead."""
    pair = world.queue()
    pair.send(body)
    died(world, pair)
    eventually(world, lambda: pair.queue.receive(1, 0) == [] and pair.dead_letters.depth() == 1)
    return pair


def look(world: World, pair: QueuePair, hide_seconds: int = 60) -> DeadLetter:
    return eventually(world, lambda: pair.dead_letters.receive(10, hide_seconds, 0))[0]


def look_at_all(world: World, pair: QueuePair, count: int) -> list[DeadLetter]:
    """So many letters, hidden."""
    letters: list[DeadLetter] = []

    def enough() -> bool:
        letters.extend(pair.dead_letters.receive(10, 60, 0))
        return len(letters) == count

    eventually(world, enough)
    return letters


def test_a_dead_letter_is_as_it_was_sent_and_hidden_and_counted_while_one_looks_at_it(world: World) -> None:
    pair = with_dead_letter(world, "Größe „L“")
    letter = look(world, pair)
    assert letter.message.body == "Größe „L“"
    assert letter.message.receive_count > 0
    assert letter.sent_at > 1_700_000_000_000
    assert pair.dead_letters.receive(10, 60, 0) == []
    assert pair.dead_letters.depth() == 1
    assert pair.backlogs.of(SERVICE) == Backlog(QueueDepth(0, 0), QueueDepth(0, 1))


def test_a_letter_is_visible_again_at_once_when_it_is_no_longer_hidden(world: World) -> None:
    pair = with_dead_letter(world)
    letter = look(world, pair)
    pair.dead_letters.hide([letter], 0)
    assert look(world, pair).message.message_id == letter.message.message_id


def test_any_number_of_letters_can_be_deleted(world: World) -> None:
    pair = world.queue()
    for number in range(25):
        pair.send_dead(str(number))
    letters = look_at_all(world, pair, 25)
    assert pair.dead_letters.delete(letters[:24]) == 24
    assert pair.dead_letters.depth() == 1
    pair.dead_letters.hide(letters, 0)
    assert look(world, pair).message.message_id == letters[24].message.message_id


def test_a_walk_meets_every_letter_once_and_shows_again_what_it_did_not_take(world: World) -> None:
    pair = world.queue()
    for number in range(45):
        pair.send_dead(str(number))
    eventually(world, lambda: pair.dead_letters.depth() == 45)
    with Walk(pair.dead_letters, SystemClock()) as walk:
        letters = [letter for batch in walk.batches(20) for letter in batch]
        assert sorted(int(letter.message.body) for letter in letters) == list(range(45))
        assert pair.dead_letters.receive(10, 60, 0) == []
        pair.dead_letters.delete(letters[:5])
        walk.took(letters[:5])
    assert walk.ended
    assert len(look_at_all(world, pair, 40)) == 40


def test_a_redriven_message_is_back_in_its_queue_as_a_new_one(world: World) -> None:
    pair = with_dead_letter(world)
    letter = look(world, pair)
    sent_id = pair.dead_letters.redrive(letter)
    pair.dead_letters.hide([letter], 0)  # it is gone: this does no harm
    assert pair.backlogs.of(SERVICE) == Backlog(QueueDepth(1, 0), QueueDepth(0, 0))
    message = receive_one(world, pair.queue)
    assert (message.message_id, message.body, message.receive_count) == (sent_id, "message", 1)
