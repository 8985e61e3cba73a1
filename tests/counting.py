"""How much of AWS an order uses, counted over the in-memory twins: `python -m tests.counting` writes it as JSON.

The count is the same on every machine, at any time. `python -m bench.counted` shows it as a table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.costs import OrderCost, Usage, item_bytes
from shopflow.aws.items import order_to_item
from shopflow.config import load_config
from tests.clocks import ManualClock
from tests.metering import Meter
from tests.system import CATALOG, System
from tests.twins import wire

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
ORDERS = 100
DOWN_THE_CHAIN = ("inventory", "payment", "notification", "audit")
"""Who works first: so each finds all that the one before it left, in full batches. Backwards, none lets any gather."""
DAY_SECONDS = 24 * 3600
SETTINGS = load_config(
    dict.fromkeys(
        (
            "SHOPFLOW_TOPIC_ARN",
            "SHOPFLOW_ORDERS_TABLE",
            "SHOPFLOW_INVENTORY_TABLE",
            "SHOPFLOW_EVENTS_TABLE",
            "SHOPFLOW_OPEN_ORDERS_INDEX",
        ),
        "any",
    )
)
"""The settings that a deployment has when nobody changes them."""


class Counted:
    """A system under a meter, with a clock that a test turns."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        twins = wire(CATALOG, self.clock)
        self.meter = Meter(twins)
        self.system = System({"PROD-001": 10 * ORDERS}, clock=self.clock, twins=twins, tap=self.meter)

    def work_off(self, services: Sequence[str]) -> None:
        """Let each of ``services`` in turn empty its queue, until all are empty. Nobody receives in vain."""
        while any(self._waiting(name) for name in services):
            for name in services:
                while self._waiting(name):
                    self.system.step(name)

    def _waiting(self, name: str) -> int:
        return self.system.queues[name].depth().waiting


def at_saturation(payment_methods: Sequence[str]) -> OrderCost:
    """One-line orders, one for each payment method, all placed at once: every batch is full."""
    counted = Counted()
    counted.system.place_together({"PROD-001": 1}, payment_methods)
    counted.work_off(DOWN_THE_CHAIN)
    return _checked(counted, len(payment_methods))


def at_one_a_second(orders: int = 20) -> OrderCost:
    """One-line orders, each of which is through before the next one comes: every batch is of one."""
    counted = Counted()
    for _ in range(orders):
        counted.system.place({"PROD-001": 1}, VISA)
        counted.work_off(DOWN_THE_CHAIN[::-1])
        counted.clock.advance(1)
    return _checked(counted, orders)


def _checked(counted: Counted, orders: int) -> OrderCost:
    """No order may be left half done: it would cost less than it does."""
    if counted.system.tables.opened or len(counted.system.tables.orders) != orders:
        raise RuntimeError("not every order came to its end")
    return OrderCost(orders, counted.meter.usage)


def sizes_of_an_order(lines: int) -> list[int]:
    """Bytes of the stored order in each status that it takes on its way to COMPLETED; names of 16 characters."""
    counted = Counted()
    products = {f"PROD-{number:03}": 1 for number in range(lines)}
    counted.system.twins.seed(products)
    order_id = counted.system.place(products, VISA, "k" * 22).order_id
    sizes = {}
    for name in (None, *DOWN_THE_CHAIN):
        if name:
            counted.system.step(name)
        order = counted.system.tables.orders[order_id]
        sizes[order.status] = item_bytes(order_to_item(order))
    return list(sizes.values())


@dataclass
class UntilTonight:
    """A flag that is set a day from now. Whoever waits for it turns the clock."""

    clock: ManualClock
    end: int

    def is_set(self) -> bool:
        return self.clock.now >= self.end

    def wait(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return self.is_set()


def idle_day() -> dict[str, Usage]:
    """What each service uses in a day in which nobody orders anything, as one process with the usual settings."""
    counted = Counted()
    for name in counted.system.consumers:
        _poll_for_a_day(counted, name)
    evening: Any = UntilTonight(counted.clock, counted.clock.now + DAY_SECONDS * 1000)
    counted.system.relay.run(evening, SETTINGS.relay_interval_seconds)
    return dict(counted.meter.by_service)


def _poll_for_a_day(counted: Counted, name: str) -> None:
    """Each round of the consumer over an empty queue ends with the long poll, which the twin does not wait for."""
    counted.system.step(name)
    rounds = SETTINGS.consumer_threads * DAY_SECONDS // SETTINGS.receive_wait_seconds
    counted.meter.by_service[name] = counted.meter.by_service[name].times(rounds)


def _as_json(cost: OrderCost) -> dict[str, Any]:
    return {
        "orders": cost.orders,
        "calls": dict(cost.usage.calls),
        "sqsRequests": cost.usage.sqs_requests,
        "snsRequests": cost.usage.sns_requests,
        "writeUnits": cost.usage.write_units,
        "readUnits": cost.usage.read_units,
    }


def main() -> int:
    json.dump(
        {
            "happy": _as_json(at_saturation([VISA] * ORDERS)),
            "declined20": _as_json(at_saturation(four_in_five_paid())),
            "oneASecond": _as_json(at_one_a_second()),
            "idleDay": {name: usage.all_calls for name, usage in idle_day().items()},
        },
        sys.stdout,
        indent=2,
    )
    return 0


def four_in_five_paid() -> list[str]:
    return ([VISA] * 4 + [EXPIRED]) * (ORDERS // 5)


if __name__ == "__main__":
    sys.exit(main())
