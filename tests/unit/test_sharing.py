"""Group commit: requests at the same time share a publish, and a request alone does not wait for others."""

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
    """Remembers what each call published. A call waits until the gate is open; ``entered`` counts the calls."""

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


def test_a_request_alone_publishes_at_once() -> None:
    topic = GatedTopic()
    topic.gate.set()
    GroupPublisher(topic.publish, TEN).publish([an_event_named("only")])
    assert topic.calls == [["only"]]


def test_requests_that_come_during_a_publish_share_the_next_ones_and_each_is_published_once() -> None:
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
    assert [len(call) for call in topic.calls] == [1, TEN, TEN, 5]
    assert sorted(name for call in topic.calls for name in call) == sorted(
        ["first", *(f"other-{n}" for n in range(25))]
    )
    assert waiting(publisher) == 0


def test_an_event_that_cannot_be_published_fails_alone() -> None:
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


def test_no_request_waits_long_for_a_topic_that_does_not_answer() -> None:
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
