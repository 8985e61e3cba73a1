"""A walk through a whole dead-letter queue, in memory: each letter once, everything given back."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from shopflow import dead_letters
from shopflow.dead_letters import HIDE_SECONDS, SLOWEST_PER_SECOND, Walk
from shopflow.errors import Unavailable
from shopflow.memory.queues import MemoryBacklogs, MemoryDeadLetters, MemoryQueue
from shopflow.ports import Backlog, DeadLetter, Message, QueueDepth
from tests.clocks import ManualClock
from workers.dead_letters import MAX_REASONS, Judged, Survey, best_first
from workers.dry_run import Kind, Verdict

LETTER = DeadLetter(Message("id", "handle", "body", 4), 0, {})


class Recorded(MemoryDeadLetters):
    """Counts the calls that hide something, and fails or is interrupted at the ones named in ``trouble``."""

    def __init__(self, dlq: MemoryQueue, queue: MemoryQueue) -> None:
        super().__init__(dlq, queue)
        self.hidden: list[int] = []
        self.trouble: dict[int, BaseException] = {}

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        self.hidden.append(seconds)
        if len(self.hidden) in self.trouble:
            raise self.trouble[len(self.hidden)]
        super().hide(letters, seconds)


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.queue, self.dlq = MemoryQueue(self.clock, "queue"), MemoryQueue(self.clock, "dlq")
        self.letters = Recorded(self.dlq, self.queue)

    def bury(self, count: int) -> None:
        for number in range(count):
            self.dlq.send(str(number))

    def walk(self, hide_seconds: int | None = None) -> Walk:
        return Walk(self.letters, self.clock, hide_seconds)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def bodies(batches: Sequence[Sequence[DeadLetter]]) -> list[str]:
    return [letter.message.body for batch in batches for letter in batch]


def test_the_whole_queue_is_met_once_and_given_back_at_the_end(bench: Bench) -> None:
    bench.bury(3001)
    with bench.walk() as walk:
        assert bodies(list(walk.batches())) == [str(number) for number in range(3001)]
        assert (walk.depth, walk.seen, walk.ended) == (3001, 3001, True)
        assert bench.dlq.depth().waiting == 0
    assert bench.dlq.depth().waiting == 3001


def test_no_more_letters_are_in_memory_than_a_batch_and_of_the_others_no_body(bench: Bench) -> None:
    bench.bury(95)
    with bench.walk() as walk:
        assert [len(batch) for batch in walk.batches(30)] == [30, 30, 30, 5]
        assert {letter.message.body for letter, _ in walk._held.values()} == {""}


def test_a_walk_slower_than_the_visibility_timeout_still_meets_each_letter_once(bench: Bench) -> None:
    bench.bury(200)
    met: list[str] = []
    with bench.walk(hide_seconds=60) as walk:
        for batch in walk.batches(10):
            met += bodies([batch])
            bench.clock.advance(29)
            assert bench.dlq.depth().waiting == 200 - len(met), "nobody else sees what was met"
    assert met == [str(number) for number in range(200)]
    assert bench.dlq.depth().waiting == 200


def test_a_letter_that_comes_again_because_its_time_ran_out_counts_once_and_is_given_back(bench: Bench) -> None:
    """The machine slept: nothing was renewed."""
    bench.bury(30)
    met = []
    with bench.walk(hide_seconds=60) as walk:
        for batch in walk.batches(10):
            met += bodies([batch])
            if len(met) == 20:
                bench.clock.advance(3600)
                bench.letters.hidden.clear()
    assert (sorted(met, key=int), walk.seen) == ([str(number) for number in range(30)], 30)
    assert bench.dlq.depth().waiting == 30


def test_letters_are_hidden_for_as_long_as_a_slow_walk_through_a_queue_of_that_depth_takes(bench: Bench) -> None:
    bench.bury(500)
    assert bench.walk().hide_seconds == HIDE_SECONDS + 500 // SLOWEST_PER_SECOND


def test_what_was_taken_is_not_given_back(bench: Bench) -> None:
    bench.bury(2)
    with bench.walk() as walk:
        [[first, _]] = walk.batches()
        bench.letters.redrive(first)
        walk.took([first])
        assert bench.letters.depth() == 1
    backlog = MemoryBacklogs({"payment": bench.queue}, {"payment": bench.dlq}).of("payment")
    assert backlog == Backlog(QueueDepth(1, 0), QueueDepth(1, 0))


def test_a_letter_that_arrives_meanwhile_is_met_too(bench: Bench) -> None:
    bench.bury(20)
    met: list[str] = []
    with bench.walk() as walk:
        for batch in walk.batches(10):
            if not met:
                bench.dlq.send("new")
            met += bodies([batch])
    assert met[-1] == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_ends_a_walk_gives_everything_back(bench: Bench, error: type[BaseException]) -> None:
    bench.bury(250)

    def walk_into_it() -> None:
        with bench.walk() as walk:
            for _ in walk.batches():
                raise error

    with pytest.raises(error):
        walk_into_it()
    assert bench.dlq.depth().waiting == 250


def test_an_interrupt_while_letters_are_given_back_comes_after_that(bench: Bench) -> None:
    bench.bury(250)
    bench.letters.trouble[2] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), bench.walk() as walk:
        list(walk.batches())
    assert bench.dlq.depth().waiting == 250


def test_a_second_interrupt_ends_that_too_and_the_letters_come_back_by_themselves(bench: Bench) -> None:
    bench.bury(250)
    bench.letters.trouble[1] = KeyboardInterrupt()

    def interrupted() -> None:
        with bench.walk(hide_seconds=60) as walk:
            list(walk.batches())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (len(bench.letters.hidden), bench.dlq.depth().waiting) == (1, 0)
    bench.clock.advance(60)
    assert bench.dlq.depth().waiting == 250


def test_what_cannot_be_given_back_is_told_and_spoils_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.bury(150)
    bench.letters.trouble[2] = Unavailable("away")
    with caplog.at_level(logging.WARNING), bench.walk() as walk:
        assert len(bodies(list(walk.batches()))) == 150
    assert "50 dead letters come back only by themselves, within 123 s: away" in caplog.text


def test_a_walk_ends_before_sqs_refuses_to_have_more_in_flight(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MAX_HELD", 100)
    bench.bury(150)
    with bench.walk() as walk:
        assert len(bodies(list(walk.batches()))) == 100
        assert (walk.ended, walk.seen, walk.depth) == (False, 100, 150)


def test_what_leaves_the_queue_makes_place_for_what_is_behind_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MAX_HELD", 100)
    bench.bury(150)
    with bench.walk() as walk:
        for batch in walk.batches(10):
            bench.letters.delete(batch)
            walk.took(batch)
    assert (walk.ended, bench.letters.depth()) == (True, 0)


def test_progress_is_told_once_a_second(bench: Bench) -> None:
    bench.bury(100)
    shown: list[str] = []
    with Walk(bench.letters, bench.clock, show=shown.append) as walk:
        for _ in walk.batches(10):
            bench.clock.advance(0.5)
    assert shown == [*(f"{number} of about 100 looked at" for number in (30, 50, 70, 90)), "giving 100 back"]


def test_what_is_received_stays_hidden_for_as_long_as_was_asked_for(bench: Bench) -> None:
    bench.dlq.send("message")
    bench.letters.receive(10, hide_seconds=300, wait_seconds=0)
    bench.clock.advance(299)
    assert bench.letters.receive(10, 300, 0) == []
    bench.clock.advance(1)
    [letter] = bench.letters.receive(10, 300, 0)
    assert (letter.message.receive_count, letter.sent_at) == (2, ManualClock().now)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict(Kind.BREACH, "not JSON"), "breaks its contract: not JSON"),
        (Verdict(Kind.DONE), "has had its effect"),
    ],
)
def test_a_verdict_is_explained_in_a_sentence(verdict: Verdict, text: str) -> None:
    assert Judged(LETTER, verdict).explanation == text


def judged(*verdicts: Verdict) -> list[Judged]:
    return [Judged(LETTER, verdict) for verdict in verdicts]


BREACH = Verdict(Kind.BREACH, "not JSON: Expecting value: line 1 column 1 (char 0)")


def test_a_survey_groups_what_has_the_same_reason_and_what_would_succeed_comes_first() -> None:
    unknown = [
        Verdict(Kind.BREACH, f"correlationId: order ORD-{name} does not exist") for name in ("A1B2C3D4", "ZZZZ0000")
    ]
    charges = [Verdict(Kind.READY, f"would charge ${amount}") for amount in ("9.99", "19.98")]
    survey = Survey()
    survey.add(judged(BREACH, *unknown, BREACH, BREACH, *charges))
    assert [(group.reason, group.count) for group in survey.groups] == [
        ("can be processed: would charge $…", 2),
        ("breaks its contract: not JSON", 3),
        ("breaks its contract: correlationId: order ORD-… does not exist", 2),
    ]
    assert (survey.looked_at, survey.would_succeed, survey.would_fail) == (7, 2, 5)


def test_a_survey_of_a_million_reasons_is_no_larger_than_one_of_hundreds() -> None:
    survey = Survey()
    survey.add(judged(*(Verdict(Kind.FAILS, f"reason {number}") for number in range(MAX_REASONS + 50))))
    assert (len(survey.groups), survey.looked_at) == (MAX_REASONS + 1, MAX_REASONS + 50)
    assert ("fails: for another reason", 50) in [(group.reason, group.count) for group in survey.groups]


def test_of_many_those_are_shown_first_that_would_succeed() -> None:
    done, ready, unknown = Verdict(Kind.DONE), Verdict(Kind.READY), Verdict(Kind.UNKNOWN)
    shown = best_first(judged(BREACH, unknown, done, ready), most=3)
    assert [one.kind for one in shown] == [Kind.READY, Kind.DONE, Kind.UNKNOWN]
