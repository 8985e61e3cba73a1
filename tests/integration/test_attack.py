"""The Order Service as a process, under attack: orders are placed in time, and finished."""

from __future__ import annotations

import pytest

from shopflow.domain.order import Status
from tests.live import Live
from tests.sizes import full
from tests.swarm import Attack, Latencies, attacking

ORDERS = 50
LONGEST_MS = 5_000
"""Half of what a request may take to arrive: an attack that holds a place in the way holds it for twice as long."""
SLOW = Attack("600 slow headers", 600, b"POST /orders HTTP/1.1\r\nHost: x\r\nX: ", b"y")
DEAF = Attack("700 that ask for 40 pages and never read", 700, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 40, reads=False)
"""One that trickles and one that does not read. tests/unit/api/test_attack.py has more kinds, on a server alone."""


@pytest.mark.parametrize("attack", [SLOW, pytest.param(DEAF, marks=full)], ids=lambda attack: attack.name)
def test_orders_are_placed_in_time_and_completed_during(
    attack: Attack, live: Live, capsys: pytest.CaptureFixture[str]
) -> None:
    product = live.product(stock=ORDERS)
    order_ids: list[str] = []
    with attacking((live.config.host, live.config.port), attack):
        latencies = Latencies(lambda: order_ids.append(live.place({product: 1})), ORDERS)
        assert {order.status for order in live.closed(order_ids)} == {Status.COMPLETED}
    with capsys.disabled():
        print(f"\n  {attack.name}: {latencies}", end=" ")  # noqa: T201
    assert latencies.longest < LONGEST_MS
    assert live.stock(product) == 0
