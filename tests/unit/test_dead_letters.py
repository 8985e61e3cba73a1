"""Dead letters taken for a look, in memory; and what becomes of a look that cannot be finished."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from shopflow import dead_letters
from shopflow.dead_letters import Judged, judge, judge_all, taken
from shopflow.memory.dead_letters import MemoryBacklogs, MemoryDeadLetters
from shopflow.memory.queues import MemoryQueue
from shopflow.messaging.dry_run import Kind, Verdict
from shopflow.ports import Backlog, DeadLetter, Depth, Message
from tests.clocks import ManualClock

LETTER = DeadLetter(Message("id", "handle", "body", 4), 0, {})


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.queue, self.dlq = MemoryQueue(self.clock, "queue"), MemoryQueue(self.clock, "dlq")
        self.letters = MemoryDeadLetters(self.dlq, self.queue)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_so_many_are_taken_and_given_back_at_the_end(bench: Bench) -> None:
    for number in range(25):
        bench.dlq.send(str(number))
    with taken(bench.letters, 22) as letters:
        assert [one.message.body for one in letters] == [str(number) for number in range(22)]
        assert bench.dlq.depth().visible == 3
    assert bench.dlq.depth().visible == 25


def test_what_is_taken_stays_hidden_for_as_long_as_was_asked_for(bench: Bench) -> None:
    bench.dlq.send("message")
    bench.letters.receive(10, hide_seconds=300, wait_seconds=0)
    bench.clock.advance(299)
    assert bench.letters.receive(10, 300, 0) == []
    bench.clock.advance(1)
    [letter] = bench.letters.receive(10, 300, 0)
    assert (letter.message.receive_count, letter.sent_at) == (2, ManualClock().now)


def test_a_redriven_one_is_in_its_queue_and_not_given_back(bench: Bench) -> None:
    bench.dlq.send("message")
    with taken(bench.letters, 10) as letters:
        bench.letters.redrive(letters[0])
        assert bench.letters.depth() == 0
    backlog = MemoryBacklogs({"payment": bench.queue}, {"payment": bench.dlq}).of("payment")
    assert backlog == Backlog(Depth(1, 0), Depth(0, 0))


def test_a_failure_meanwhile_gives_them_back_too(bench: Bench) -> None:
    bench.dlq.send("message")
    with pytest.raises(RuntimeError), taken(bench.letters, 10):
        raise RuntimeError
    assert bench.dlq.depth().visible == 1


def test_of_nothing_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    assert judge_all({"payment": [], "audit": []}) == {"payment": [], "audit": []}


def test_a_dry_run_that_takes_too_long_tells_nothing_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("dry run", options["timeout"])

    monkeypatch.setattr(dead_letters.subprocess, "run", late)  # type: ignore[attr-defined]
    [one] = judge("payment", [LETTER], within_seconds=3)
    assert one.verdict == Verdict(Kind.UNKNOWN, "the dry run took over 3 s")
    assert not one.verdict.kind.worth_a_redrive


def test_a_dry_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPFLOW_ENV_FILE", "/dev/null")
    for name in ("SHOPFLOW_TOPIC_ARN", "SHOPFLOW_ORDERS_TABLE"):
        monkeypatch.delenv(name, raising=False)
    [one] = judge("payment", [LETTER])
    assert one.verdict.kind is Kind.UNKNOWN
    assert "SHOPFLOW_TOPIC_ARN is not set" in one.verdict.text


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict(Kind.BREACH, "not JSON"), "breaks its contract: not JSON"),
        (Verdict(Kind.DONE), "has had its effect"),
    ],
)
def test_a_verdict_is_explained_in_a_sentence(verdict: Verdict, text: str) -> None:
    assert Judged(LETTER, verdict).explanation == text
