"""Concurrent calls share a request; none of them waits for company, is forgotten or fails another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shopflow.errors import Unavailable
from shopflow.messaging.group_commit import GroupCommit

TEN = 10


class Backend:
    """Remembers the items of each request. While ``gate`` is shut, a request waits there; ``entered`` counts them."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.errors: dict[str, Exception] = {}

    def request(self, items: Sequence[str]) -> list[str | Exception]:
        self.requests.append(list(items))
        self.entered.release()
        assert self.gate.wait(10)
        for item in items:
            if item in self.errors:
                raise self.errors[item]
        return [item.upper() for item in items]


class Bench:
    """A group on a backend whose first request, of the item "first", is under way and waits at the gate."""

    def __init__(self, pool: ThreadPoolExecutor, key: Callable[[str], Hashable] = id, patience: float | None = None):
        self.backend = Backend()
        self.group: GroupCommit[str, str] = GroupCommit(self.backend.request, TEN, key, patience)
        self._pool = pool
        self.first = pool.submit(self.group.submit, ["first"])
        assert self.backend.entered.acquire(timeout=10)

    def submit(self, *items: str) -> list[Future[list[str | Exception]]]:
        """A caller for each item, all waiting when this returns."""
        futures = [self._pool.submit(self.group.submit, [item]) for item in items]
        pause = threading.Event()
        while len(self.group._waiting) < len(items):
            pause.wait(0.01)
        return futures


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(32)


def test_a_call_alone_starts_at_once() -> None:
    backend = Backend()
    backend.gate.set()
    assert GroupCommit(backend.request, TEN).submit(["a", "b"]) == ["A", "B"]
    assert backend.requests == [["a", "b"]]


def test_calls_that_come_during_a_request_share_the_next_ones(pool: ThreadPoolExecutor) -> None:
    bench = Bench(pool)
    names = [f"other-{number}" for number in range(25)]
    others = bench.submit(*names)
    bench.backend.gate.set()
    assert bench.first.result(10) == ["FIRST"]
    assert [other.result(10) for other in others] == [[name.upper()] for name in names]
    assert sorted(len(request) for request in bench.backend.requests) == [1, 5, TEN, TEN]
    assert sorted(name for request in bench.backend.requests[1:] for name in request) == sorted(names)


def test_two_items_of_one_key_are_never_in_one_request(pool: ThreadPoolExecutor) -> None:
    bench = Bench(pool, key=lambda item: item[0])
    others = bench.submit("a1", "a2", "b1")
    bench.backend.gate.set()
    assert sorted(str(other.result(10)[0]) for other in others) == ["A1", "A2", "B1"]
    assert [sorted(item[0] for item in request) for request in bench.backend.requests[1:]] == [["a", "b"], ["a"]]


def test_an_item_that_is_refused_fails_no_other(pool: ThreadPoolExecutor) -> None:
    bench = Bench(pool)
    bench.backend.errors["bad"] = ValueError("refused")
    good, bad = bench.submit("good", "bad")
    bench.backend.gate.set()
    assert (good.result(10), bad.result(10)) == (["GOOD"], [bench.backend.errors["bad"]])


def test_an_outage_fails_all_without_a_second_request(pool: ThreadPoolExecutor) -> None:
    bench = Bench(pool)
    bench.backend.errors["one"] = Unavailable("no answer")
    one, other = bench.submit("one", "other")
    bench.backend.gate.set()
    assert one.result(10) == other.result(10) == [bench.backend.errors["one"]]
    assert len(bench.backend.requests) == 2


def test_a_caller_waits_for_a_hanging_request_only_as_long_as_its_patience(pool: ThreadPoolExecutor) -> None:
    bench = Bench(pool, patience=0.05)
    [late] = [pool.submit(bench.group.submit, ["late"])]
    assert isinstance(late.result(10)[0], Unavailable)
    bench.backend.gate.set()
    assert bench.first.result(10) == ["FIRST"]
    assert bench.backend.requests == [["first"]], "what was given up is not requested later"
