"""How much of AWS an order uses, counted over the in-memory twins. `python -m tests.counting` prints it.

The real services run in one thread under `tests.metering.Meter`. The count is the same on every machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from shopflow.aws.items import order_to_item
from shopflow.config import load_config
from tests.billing import PRICES_SINCE, READ_UNIT, SNS_REQUEST, SQS_REQUEST, WRITE_UNIT, Usage, item_bytes
from tests.clocks import ManualClock
from tests.metering import Meter
from tests.system import CATALOG, System
from tests.twins import wire

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
ORDERS = 100
DOWN_THE_CHAIN = ("inventory", "payment", "notification", "audit")
"""The order of services in which all batches are full: each works on everything that the one before it left."""
DAY_SECONDS = 24 * 3600
MAX_SWEEPS = 5
REQUIRED = ("TOPIC_ARN", "ORDERS_TABLE", "INVENTORY_TABLE", "EVENTS_TABLE", "OPEN_ORDERS_INDEX")
SETTINGS = load_config({f"SHOPFLOW_{name}": "any" for name in REQUIRED})
"""The default settings of a deployment."""


class Counted:
    """A system under a meter, with a clock that the test advances."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        twins = wire(CATALOG, self.clock)
        self.meter = Meter(twins)
        self.system = System({"PROD-001": 10 * ORDERS}, clock=self.clock, twins=twins, tap=self.meter)

    def work_off(self, services: Sequence[str]) -> None:
        """Let each of ``services`` in turn empty its queue, until all queues are empty. No receive is empty."""
        while any(self._waiting(name) for name in services):
            for name in services:
                while self._waiting(name):
                    self.system.step(name)

    def close_declined(self) -> None:
        """Let the relay close the declined orders: it looks at them when they are old enough."""
        for _ in range(MAX_SWEEPS):
            if self.system.tables.opened:
                self.clock.advance(SETTINGS.relay_interval_seconds)
                self.system.sweep()

    def _waiting(self, name: str) -> int:
        return self.system.queues[name].depth().waiting


def at_saturation(payment_methods: Sequence[str]) -> Usage:
    """The usage of one order when one-line orders, one for each payment method, come at once: all batches are full."""
    counted = Counted()
    counted.system.place_together({"PROD-001": 1}, payment_methods)
    counted.work_off(DOWN_THE_CHAIN)
    counted.close_declined()
    return _of_one_order(counted, len(payment_methods))


def at_one_a_second(orders: int = 20) -> Usage:
    """The usage of one order when each one-line order ends before the next one comes: every batch holds one message.

    A service with a batch window is the exception: its batches hold the messages of that many seconds.
    """
    counted = Counted()
    windows = {name: CATALOG.services[name].batch_window_seconds for name in DOWN_THE_CHAIN}
    for number in range(1, orders + 1):
        counted.system.place({"PROD-001": 1}, VISA)
        counted.work_off([name for name, seconds in windows.items() if not seconds])
        counted.work_off([name for name, seconds in windows.items() if seconds and number % seconds == 0])
        counted.clock.advance(1)
    return _of_one_order(counted, orders)


def four_in_five_paid() -> list[str]:
    return ([VISA] * 4 + [EXPIRED]) * (ORDERS // 5)


def _of_one_order(counted: Counted, orders: int) -> Usage:
    """Raises when an order is unfinished: it would cost less than it does."""
    if counted.system.tables.opened or len(counted.system.tables.orders) != orders:
        raise RuntimeError("an order is unfinished")
    return counted.meter.usage.times(1 / orders)


def sizes_of_an_order(lines: int) -> list[int]:
    """Bytes of the stored order in each status on its way to COMPLETED; product names have 16 characters."""
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
    """A `threading.Event` that is set a day from now. Waiting for it turns the clock."""

    clock: ManualClock
    end: int

    def is_set(self) -> bool:
        return self.clock.now >= self.end

    def wait(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return self.is_set()


def idle_day() -> dict[str, Usage]:
    """What each service uses in a day without orders: one process of each, with the default settings."""
    counted = Counted()
    polls_a_day = DAY_SECONDS // SETTINGS.receive_wait_seconds
    for name in counted.system.consumers:
        counted.system.step(name)  # on AWS it ends with a long poll; the twin does not wait
        counted.meter.by_service[name] = counted.meter.by_service[name].times(polls_a_day)
    evening: Any = UntilTonight(counted.clock, counted.clock.now + DAY_SECONDS * 1000)
    counted.system.relay.run(evening, SETTINGS.relay_interval_seconds)
    return dict(counted.meter.by_service)


def table_of(usages: Mapping[str, Usage]) -> Table:
    """A column for each usage; a row for each operation, unit and price."""
    table = Table(box=SIMPLE)
    table.add_column("one order of one line", no_wrap=True, min_width=26)
    for name in usages:
        table.add_column(name, justify="right")

    def add(name: str, values: Sequence[float]) -> None:
        table.add_row(name, *(f"{value:.2f}" for value in values))

    for operation in sorted({name for usage in usages.values() for name in usage.calls}):
        add(operation, [usage.calls.get(operation, 0) for usage in usages.values()])
    table.add_section()
    add("AWS calls in all", [usage.all_calls for usage in usages.values()])
    add("write units", [usage.write_units for usage in usages.values()])
    add("read units", [usage.read_units for usage in usages.values()])
    add("dollars a million", [usage.dollars_a_million for usage in usages.values()])
    return table


def main() -> None:
    about = "Count over the in-memory twins what an order uses of AWS, and what that costs."
    argparse.ArgumentParser(prog="python -m tests.counting", description=about).parse_args()
    console = Console(highlight=False)
    orders = {
        "full batches": at_saturation([VISA] * ORDERS),
        "full, 20 % declined": at_saturation(four_in_five_paid()),
        "1 order/s": at_one_a_second(),
    }
    console.print(table_of(orders))
    idle = {name: usage.all_calls for name, usage in idle_day().items()}
    by_service = ", ".join(f"{name} {requests:,.0f}" for name, requests in idle.items())
    console.print(f"Requests in a day without orders: {sum(idle.values()):,.0f} ({by_service})")
    console.print(
        f"Dollars a million in us-east-1 since {PRICES_SINCE}: SQS {SQS_REQUEST:.2f}, SNS {SNS_REQUEST:.2f}, "
        f"write units {WRITE_UNIT}, read units {READ_UNIT}"
    )


if __name__ == "__main__":
    main()
