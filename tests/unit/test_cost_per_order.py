"""What an order may use of AWS, and what an idle system may: counted over the twins, so a regression fails here."""

from __future__ import annotations

import pytest

from bench.costs import WRITE_UNIT_BYTES, OrderCost
from shopflow.domain.order import Status
from tests.counting import (
    ORDERS,
    VISA,
    at_one_a_second,
    at_saturation,
    four_in_five_paid,
    idle_day,
    sizes_of_an_order,
)

MAX_CALLS = 6
MAX_WRITE_UNITS = 10.5
MAX_WRITE_UNITS_WITH_DECLINES = 11.5
MAX_DOLLARS_A_MILLION = 7.75
MAX_IDLE_REQUESTS_A_DAY = 20_000


@pytest.fixture(scope="module")
def happy() -> OrderCost:
    return at_saturation([VISA] * ORDERS)


def test_a_paid_order_takes_few_calls_when_batches_are_full(happy: OrderCost) -> None:
    assert happy.calls <= MAX_CALLS, happy.calls_by_operation


def test_a_million_paid_orders_cost_a_few_dollars(happy: OrderCost) -> None:
    assert happy.dollars_per_million() <= MAX_DOLLARS_A_MILLION, happy.usage


def test_a_paid_order_takes_few_write_units(happy: OrderCost) -> None:
    assert happy.write_units <= MAX_WRITE_UNITS


def test_a_batch_of_ten_is_received_reserved_recorded_and_deleted_in_one_call_each(happy: OrderCost) -> None:
    calls = happy.calls_by_operation
    messages = 6  # one for each of three services, three for the Audit Service
    assert calls["ReceiveMessage"] == calls["DeleteMessageBatch"] == pytest.approx(messages / 10)
    assert calls["TransactWriteItems"] == pytest.approx(1 / 10)


def test_declines_cost_little_more() -> None:
    cost = at_saturation(four_in_five_paid())
    assert cost.write_units <= MAX_WRITE_UNITS_WITH_DECLINES, cost.calls_by_operation


def test_an_order_alone_uses_as_few_write_units_as_it_can() -> None:
    alone = at_one_a_second()
    assert alone.write_units == 12  # the product's row is written for it alone, in a transaction: 2 units, not 0.2


@pytest.mark.parametrize("lines", [1, 6])
def test_an_order_of_up_to_six_lines_never_outgrows_a_write_unit(lines: int) -> None:
    sizes = sizes_of_an_order(lines)
    assert len(sizes) == len(Status) - 2  # it fails neither in stock nor in payment
    assert max(sizes) <= WRITE_UNIT_BYTES


def test_an_idle_system_asks_little_of_aws() -> None:
    requests = {name: usage.all_calls for name, usage in idle_day().items()}
    assert set(requests) == {"inventory", "payment", "notification", "audit", "relay"}
    assert sum(requests.values()) <= MAX_IDLE_REQUESTS_A_DAY, requests


def test_an_idle_system_asks_for_nothing_but_long_polls_and_sweeps() -> None:
    asked = {name: set(usage.calls) for name, usage in idle_day().items()}
    assert asked.pop("relay") == {"Scan"}
    assert all(operations == {"ReceiveMessage"} for operations in asked.values())
