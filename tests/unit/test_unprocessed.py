"""What DynamoDB leaves unprocessed is asked for again, with pauses that grow and that end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shopflow.aws.tables import MAX_BATCH_GET, SHORT, batch_get
from shopflow.errors import Contention

API_SECONDS = 2.0
"""How long the API may wait for a batch in all, beside the calls themselves."""
ALWAYS = 10**6


class Slept:
    """A clock that only adds up."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Client:
    """DynamoDB that leaves all keys but the first of a call unprocessed, or, for ``deaf`` calls, all of them."""

    def __init__(self, deaf: int = 0) -> None:
        self.calls: list[list[str]] = []
        self._deaf = deaf

    def batch_get_item(self, **request: Any) -> Any:
        ids = [key["orderId"]["S"] for key in request["RequestItems"]["orders"]["Keys"]]
        self.calls.append(ids)
        taken = 0 if len(self.calls) <= self._deaf else 1
        left = [{"orderId": {"S": one}} for one in ids[taken:]]
        answer = {"Responses": {"orders": [{"orderId": {"S": one}} for one in ids[:taken]]}}
        return answer | ({"UnprocessedKeys": {"orders": {"Keys": left}}} if left else {})


def read(client: Any, ids: Sequence[str], slept: Slept, rand: float = 1.0) -> None:
    pauses = replace(SHORT, sleep=slept, backoff=replace(SHORT.backoff, rand=lambda: rand))
    list(batch_get(client, "orders", "orderId", ids, consistent=True, pauses=pauses))


def test_the_pauses_grow_and_none_comes_before_the_first_or_after_the_last_call() -> None:
    slept, client = Slept(), Client()
    read(client, ["a", "b", "c", "d"], slept)
    assert client.calls == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"], ["d"]]
    assert len(slept.pauses) == 3
    assert slept.pauses == sorted(set(slept.pauses))
    assert slept.pauses[0] >= 0.04


def test_nothing_left_unprocessed_means_no_pause() -> None:
    slept = Slept()
    read(Client(), ["a"], slept)
    assert slept.pauses == []


def test_callers_that_were_refused_together_do_not_come_back_together() -> None:
    slept = Slept()
    for rand in (0.0, 0.3, 1.0):
        read(Client(deaf=1), ["a"], slept, rand)
    assert len(set(slept.pauses)) == 3


@pytest.mark.parametrize("rand", [0.0, 1.0])
def test_what_stays_unprocessed_is_contention_after_several_rounds_in_a_bounded_time(rand: float) -> None:
    slept, client = Slept(), Client(deaf=ALWAYS)
    with pytest.raises(Contention, match="unprocessed"):
        read(client, ["a"], slept, rand)
    assert len(client.calls) >= 5
    assert len(slept.pauses) == len(client.calls) - 1
    assert 0.5 < sum(slept.pauses) < API_SECONDS


def test_the_bound_is_for_all_that_is_read_not_for_each_hundred() -> None:
    class LeavesEachHundredTwice:
        def __init__(self) -> None:
            self.left: Counter[str] = Counter()

        def batch_get_item(self, **request: Any) -> Any:
            keys = request["RequestItems"]["orders"]["Keys"]
            first = keys[0]["orderId"]["S"]
            self.left[first] += 1
            return {"Responses": {}, "UnprocessedKeys": request["RequestItems"] if self.left[first] <= 2 else {}}

    slept, client = Slept(), LeavesEachHundredTwice()
    with pytest.raises(Contention):
        read(client, [str(number) for number in range(4 * MAX_BATCH_GET)], slept)
    assert len(client.left) > 1
    assert sum(slept.pauses) < API_SECONDS
