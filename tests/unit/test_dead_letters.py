"""A walk through a whole dead-letter queue, in memory: each letter comes once, and all are visible again at the end."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from shopflow.errors import Unavailable
from shopflow.memory.queues import MemoryDeadLetters, MemoryQueue
from shopflow.ports import DeadLetter, Message
from tests.clocks import ManualClock
from workers import dead_letters
from workers.dead_letters import Survey, Walk
from workers.dry_run import Judged, Kind, Verdict


class Letters(MemoryDeadLetters):
    """A dead-letter queue of ``count`` letters: 0, 1, 2 … ``failing``: which call of `hide` fails."""

    def __init__(self, count: int, failing: int = 0) -> None:
        self.clock = ManualClock()
        self.dlq = MemoryQueue(self.clock, "dlq")
        super().__init__(self.dlq, MemoryQueue(self.clock, "queue"))
        self._failing = failing
        for number in range(count):
            self.dlq.send(str(number))

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        self._failing -= 1
        if self._failing == 0:
            raise Unavailable("away")
        super().hide(letters, seconds)

    def walk(self, hide_seconds: int | None = None) -> Walk:
        return Walk(self, self.clock, hide_seconds)

    @property
    def visible(self) -> int:
        return self.dlq.depth().waiting


def bodies(letters: Sequence[DeadLetter]) -> list[int]:
    return [int(letter.message.body) for letter in letters]


def test_a_walk_delivers_the_whole_queue_once_and_makes_it_visible_again() -> None:
    letters = Letters(1001)
    with letters.walk() as walk:
        assert [body for batch in walk.batches() for body in bodies(batch)] == list(range(1001))
        assert (walk.depth, walk.seen, walk.ended, letters.visible) == (1001, 1001, True, 0)
        assert {letter.message.body for letter in walk._hidden.values()} == {""}, "it keeps no bodies"
    assert letters.visible == 1001


def test_a_letter_that_is_visible_again_before_the_walk_ends_counts_once() -> None:
    letters, met = Letters(200), list[int]()
    with letters.walk(hide_seconds=60) as walk:
        for batch in walk.batches(10):
            met += bodies(batch)
            letters.clock.advance(29)
    assert (met, walk.seen, letters.visible) == (list(range(200)), 200, 200)


def test_letters_are_visible_again_whatever_ends_the_walk() -> None:
    letters = Letters(250)

    def interrupted() -> None:
        with letters.walk() as walk:
            for _ in walk.batches():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert letters.visible == 250


def test_letters_that_cannot_be_made_visible_are_logged_and_come_back_by_themselves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    letters = Letters(150, failing=2)
    with caplog.at_level(logging.WARNING), letters.walk() as walk:
        list(walk.batches())
    assert "50 dead letters become visible again only by themselves, within 123 s: away" in caplog.text
    letters.clock.advance(123)
    assert letters.visible == 150


@pytest.mark.parametrize(("takes", "seen"), [(False, 100), (True, 150)])
def test_a_walk_stops_before_sqs_refuses_more_messages_in_flight(
    monkeypatch: pytest.MonkeyPatch, takes: bool, seen: int
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_HIDDEN", 100)
    letters = Letters(150)
    with letters.walk() as walk:
        for batch in walk.batches(10):
            if takes:
                letters.delete(batch)
                walk.took(batch)
    assert (walk.ended, walk.seen, walk.total) == (takes, seen, 150)


def judged(*verdicts: tuple[Kind, str]) -> list[Judged]:
    letter = DeadLetter(Message("id", "handle", "body", 4), 0, {})
    return [Judged(letter, Verdict(kind, text)) for kind, text in verdicts]


def test_a_survey_groups_letters_by_reason_and_those_that_would_succeed_come_first() -> None:
    survey = Survey()
    survey.add(judged(*[(Kind.BREACH, "not JSON: Expecting value: line 1")] * 3))
    survey.add(judged(*((Kind.BREACH, f"order {name} does not exist") for name in ("ORD-A1B2C3D4", "ORD-ZZZZ0000"))))
    survey.add(judged((Kind.READY, "would charge $9.99"), (Kind.READY, "would charge $19.98")))
    assert [(group.reason, group.count) for group in survey.groups] == [
        ("can be processed: would charge $…", 2),
        ("breaks its contract: not JSON", 3),
        ("breaks its contract: order ORD-… does not exist", 2),
    ]
    assert (survey.looked_at, survey.would_succeed, survey.would_fail) == (7, 2, 5)
