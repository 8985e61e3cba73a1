"""What an order may use of AWS, and what an idle system may: counted over the twins, so more calls fail here."""

from __future__ import annotations

import pytest

from shopflow.domain.order import Status
from tests.billing import WRITE_UNIT_BYTES, Usage
from tests.counting import (
    ORDERS,
    VISA,
    at_one_a_second,
    at_saturation,
    four_in_five_paid,
    idle_day,
    sizes_of_an_order,
)

MAX_CALLS = 4.5
MAX_CALLS_ALONE = 20
MAX_WRITE_UNITS = 10.5
MAX_WRITE_UNITS_WITH_DECLINES = 11.5
MAX_DOLLARS_A_MILLION = 7.75
MAX_IDLE_REQUESTS_A_DAY = 20_000
MESSAGES = 6
"""The messages of a paid order: one for each of three services, three for the Audit Service."""


@pytest.fixture(scope="module")
def paid() -> Usage:
    return at_saturation([VISA] * ORDERS)


def test_a_paid_order_takes_few_calls_write_units_and_dollars_when_batches_are_full(paid: Usage) -> None:
    assert paid.all_calls <= MAX_CALLS, paid.calls
    assert paid.write_units <= MAX_WRITE_UNITS
    assert paid.dollars_a_million <= MAX_DOLLARS_A_MILLION


def test_ten_messages_are_received_reserved_and_deleted_in_one_call_each(paid: Usage) -> None:
    assert paid.calls["ReceiveMessage"] == paid.calls["DeleteMessageBatch"] == pytest.approx(MESSAGES / 10)
    assert paid.calls["TransactWriteItems"] == pytest.approx(1 / 10)


def test_declined_payments_cost_little_more() -> None:
    mixed = at_saturation(four_in_five_paid())
    assert mixed.write_units <= MAX_WRITE_UNITS_WITH_DECLINES, mixed.calls


def test_an_order_alone_uses_few_calls_and_two_write_units_more_for_its_own_transaction() -> None:
    alone = at_one_a_second()
    assert alone.all_calls <= MAX_CALLS_ALONE, alone.calls
    assert alone.write_units == 12


@pytest.mark.parametrize("lines", [1, 6])
def test_an_order_of_up_to_six_lines_fits_into_one_write_unit_in_every_status(lines: int) -> None:
    sizes = sizes_of_an_order(lines)
    assert len(sizes) == len(Status) - 2  # it fails neither in stock nor in payment
    assert max(sizes) <= WRITE_UNIT_BYTES


def test_an_idle_system_makes_few_requests_and_only_long_polls_and_sweeps() -> None:
    day = idle_day()
    assert sum(usage.all_calls for usage in day.values()) <= MAX_IDLE_REQUESTS_A_DAY
    assert set(day.pop("relay").calls) == {"Scan"}
    assert set(day) == {"inventory", "payment", "notification", "audit"}
    assert all(set(usage.calls) == {"ReceiveMessage"} for usage in day.values())
