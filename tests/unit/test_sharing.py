"""Requests that publish at the same time share a publish, and none of them waits for company or is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shopflow.domain.event import Event
from shopflow.messaging.group_commit import GroupPublisher
from tests.unit.making import an_event_named

TEN = 10


class GatedTopic:
    """Remembers what each call published. While the gate is shut, a call waits at it; ``entered`` counts those."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.poison: str | None = None

    def publish(self, events: Sequence[Event]) -> None:
        self.calls.append([event.event_id for event in events])
        self.entered.release()
        assert self.gate.wait(10)
        if self.poison in self.calls[-1]:
            raise ValueError("not to be published")


def waiting(publisher: GroupPublisher[Event]) -> int:
    return len(publisher._waiting)


def until(publisher: GroupPublisher[Event], count: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if waiting(publisher) == count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{waiting(publisher)} wait, not {count}")


def test_what_comes_while_a_publish_is_under_way_goes_out_with_the_next_one() -> None:
    topic = GatedTopic()
    publisher = GroupPublisher(topic.publish, TEN)
    with ThreadPoolExecutor(TEN + 1) as pool:
        first = pool.submit(publisher.publish, [an_event_named("first")])
        assert topic.entered.acquire(timeout=10)
        others = [pool.submit(publisher.publish, [an_event_named(f"other-{n}")]) for n in range(TEN)]
        until(publisher, TEN)
        topic.gate.set()
        for done in (first, *others):
            done.result(10)
    assert [len(call) for call in topic.calls] == [1, TEN]


def test_a_request_alone_publishes_at_once() -> None:
    topic = GatedTopic()
    topic.gate.set()
    GroupPublisher(topic.publish, TEN).publish([an_event_named("only")])
    assert topic.calls == [["only"]]


def test_no_more_share_a_publish_than_fit_and_each_is_published_once() -> None:
    topic = GatedTopic()
    publisher = GroupPublisher(topic.publish, TEN)
    with ThreadPoolExecutor(26) as pool:
        tasks = [pool.submit(publisher.publish, [an_event_named("first")])]
        assert topic.entered.acquire(timeout=10)
        tasks += [pool.submit(publisher.publish, [an_event_named(f"other-{n}")]) for n in range(25)]
        until(publisher, 25)
        topic.gate.set()
        for task in tasks:
            task.result(10)
    assert max(map(len, topic.calls)) <= TEN
    assert sorted(name for call in topic.calls for name in call) == sorted(
        ["first", *(f"other-{n}" for n in range(25))]
    )
    assert waiting(publisher) == 0


def test_one_that_cannot_be_published_keeps_no_other_from_it() -> None:
    topic = GatedTopic()
    topic.poison = "bad"
    publisher = GroupPublisher(topic.publish, TEN)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(publisher.publish, [an_event_named("first")])
        assert topic.entered.acquire(timeout=10)
        good, bad = (pool.submit(publisher.publish, [an_event_named(name)]) for name in ("good", "bad"))
        until(publisher, 2)
        topic.gate.set()
        first.result(10)
        good.result(10)
        with pytest.raises(ValueError, match="not to be published"):
            bad.result(10)
    assert ["good"] in topic.calls


def test_while_the_topic_does_not_answer_nobody_waits_for_long() -> None:
    topic = GatedTopic()
    publisher = GroupPublisher(topic.publish, TEN, patience_seconds=0.05)
    with ThreadPoolExecutor(31) as pool:
        first = pool.submit(publisher.publish, [an_event_named("first")])
        assert topic.entered.acquire(timeout=10)
        for left in [pool.submit(publisher.publish, [an_event_named(f"left-{n}")]) for n in range(30)]:
            left.result(5)
        assert waiting(publisher) == 0
        topic.gate.set()
        first.result(10)
    assert topic.calls == [["first"]]
