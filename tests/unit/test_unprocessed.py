"""What DynamoDB leaves unprocessed is asked for again, with pauses that grow and that end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shopflow.aws.tables import MAX_BATCH_GET, PAUSES, batch_get
from shopflow.errors import Contention

API_SECONDS = 2.0
"""How long the API may wait for a batch in all, beside the calls themselves."""


class Client:
    """DynamoDB that processes ``taken`` keys of a call, the first ones, and leaves the others."""

    def __init__(self, taken: int) -> None:
        self.calls: list[list[str]] = []
        self._taken = taken

    def batch_get_item(self, **request: Any) -> Any:
        ids = [key["orderId"]["S"] for key in request["RequestItems"]["orders"]["Keys"]]
        self.calls.append(ids)
        left = [{"orderId": {"S": one}} for one in ids[self._taken :]]
        answer = {"Responses": {"orders": [{"orderId": {"S": one}} for one in ids[: self._taken]]}}
        return answer | ({"UnprocessedKeys": {"orders": {"Keys": left}}} if left else {})


def read(client: Any, ids: Sequence[str], slept: list[float], rand: float = 1.0) -> None:
    """Read these orders. ``slept`` gets the seconds of each pause."""
    pauses = replace(PAUSES, rand=lambda: rand)
    list(batch_get(client, "orders", "orderId", ids, consistent=True, pauses=pauses, sleep=slept.append))


def test_the_pauses_grow_and_none_comes_before_the_first_or_after_the_last_call() -> None:
    client, slept = Client(taken=1), list[float]()
    read(client, ["a", "b", "c", "d"], slept)
    assert client.calls == [["a", "b", "c", "d"], ["b", "c", "d"], ["c", "d"], ["d"]]
    first, second, third = slept
    assert 0.04 <= first < second < third


@pytest.mark.parametrize("count", [1, 4 * MAX_BATCH_GET])
@pytest.mark.parametrize("rand", [0.0, 0.3, 1.0])
def test_what_stays_unprocessed_is_contention_after_several_rounds_in_a_bounded_time(count: int, rand: float) -> None:
    """The bound is for all that is read, not for each hundred."""
    client, slept = Client(taken=0), list[float]()
    with pytest.raises(Contention, match="unprocessed"):
        read(client, [str(number) for number in range(count)], slept, rand)
    assert len(client.calls) == len(slept) + 1 >= 5
    assert 0.5 < sum(slept) < API_SECONDS
