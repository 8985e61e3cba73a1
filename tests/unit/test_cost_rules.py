"""What AWS charges for a request: the rules of the developer guide, each with an example of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench.billing import Request, usage_of
from bench.costs import (
    OrderCost,
    Prices,
    Usage,
    billed_requests,
    index_write_units,
    item_bytes,
    read_units,
    write_units,
)

ENTRY = {"orderId": {"S": "ORD-1"}, "openedAt": {"S": "2026-01-31T12:00:00.000Z"}}


def _of_bytes(size: int) -> dict[str, Any]:
    """An item of that size."""
    return {"a": {"S": "x" * (size - 1)}}


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (None, 0),
        ({}, 0),
        ({"name": {"S": "käse"}}, 4 + 5),
        ({"n": {"N": "49.99"}}, 1 + 2 + 1),
        ({"n": {"N": "100"}}, 1 + 1 + 1),
        ({"n": {"N": "-0.05"}}, 1 + 1 + 1),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"l": {"L": []}}, 1 + 3),
        ({"l": {"L": [{"S": "ab"}, {"NULL": True}]}}, 1 + 3 + (1 + 2) + (1 + 1)),
        ({"m": {"M": {"k": {"S": "ab"}}}}, 1 + 3 + (1 + 1 + 2)),
    ],
)
def test_an_item_is_as_large_as_its_names_and_values(item: Mapping[str, Any] | None, size: int) -> None:
    assert item_bytes(item) == size


@pytest.mark.parametrize(("before", "after", "units"), [(0, 10, 1), (0, 1024, 1), (0, 1025, 2), (3000, 10, 3)])
def test_a_write_pays_for_each_kilobyte_of_the_larger_of_before_and_after(before: int, after: int, units: int) -> None:
    old, new = (_of_bytes(before) if before else None), _of_bytes(after)
    assert write_units(old, new) == units
    assert write_units(old, new, transactional=True) == 2 * units


def test_a_write_refused_for_want_of_its_item_is_paid_for() -> None:
    assert write_units(None, None) == 1


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, None, 0),
        (ENTRY, ENTRY, 0),
        (None, ENTRY, 1),
        (ENTRY, None, 1),
        (ENTRY, ENTRY | {"openedAt": {"S": "2026-02-01T12:00:00.000Z"}}, 2),
    ],
)
def test_an_index_is_paid_for_when_its_entry_comes_goes_or_moves(before: Any, after: Any, units: int) -> None:
    assert index_write_units(before, after) == units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (4096, 1), (4097, 2)])
def test_a_read_pays_for_each_four_kilobytes_and_half_of_that_when_it_may_be_stale(size: int, units: int) -> None:
    assert read_units(size, consistent=True) == units
    assert read_units(size, consistent=False) == units / 2


@pytest.mark.parametrize(("payload", "requests"), [(0, 1), (64 * 1024, 1), (64 * 1024 + 1, 2), (256 * 1024, 4)])
def test_a_message_service_counts_a_request_anew_for_each_64_kilobytes(payload: int, requests: int) -> None:
    assert billed_requests(payload) == requests


def test_dollars_are_what_each_thing_costs_a_million() -> None:
    prices = Prices("nowhere", "2026-01-01", sqs_requests=1, sns_requests=10, write_units=100, read_units=1000)
    usage = Usage(sqs_requests=2, sns_requests=3, write_units=4, read_units=5)
    assert usage.dollars(prices) == pytest.approx(5432 / 1_000_000)
    assert OrderCost(2, usage).dollars_per_million(prices) == pytest.approx(5432 / 2)


class _NoTables:
    def item(self, table: str, key: Mapping[str, Any]) -> None:
        return None

    def all(self, table: str) -> list[Mapping[str, Any]]:
        return []

    def trail(self, order_id: str) -> list[Mapping[str, Any]]:
        return []


@pytest.mark.parametrize(
    "request_of",
    [
        Request("DeleteItem", {"TableName": "orders", "Key": {}}),
        Request("BatchExecuteStatement", {"Statements": [{"Statement": 'DELETE FROM "events"', "Parameters": []}]}),
        Request("TransactWriteItems", {"TransactItems": [{"ConditionCheck": {"TableName": "orders", "Key": {}}}]}),
    ],
    ids=lambda request: request.operation,
)
def test_a_request_that_has_no_rule_is_not_passed_over(request_of: Request) -> None:
    with pytest.raises(ValueError, match="no rule for what"):
        usage_of(request_of, _NoTables(), _NoTables())
