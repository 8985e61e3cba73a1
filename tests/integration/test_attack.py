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
PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ATTACKS = [
    Attack("600 slow headers", 600, HEAD + b"X: ", b"y"),
    Attack("600 slow bodies", 600, HEAD + b"Content-Length: 60000\r\n\r\n{", b" "),
    Attack("500 idle connections", 500),
    Attack("700 that ask for 40 pages and never read", 700, PAGE * 40, reads=False),
    Attack("100 bodies of 1 MB", 100, HEAD + b"Content-Length: 1000000\r\n\r\n" + b" " * 1_000_000),
]


@pytest.mark.parametrize(
    "attack", [ATTACKS[0], *(pytest.param(one, marks=full) for one in ATTACKS[1:])], ids=lambda attack: attack.name
)
def test_orders_are_placed_in_time_and_completed_during(
    attack: Attack, live: Live, capsys: pytest.CaptureFixture[str]
) -> None:
    product = live.product(stock=ORDERS)
    order_ids: list[str] = []
    with attacking((live.config.host, live.config.port), attack):
        latencies = Latencies.of(lambda: order_ids.append(live.place({product: 1})), ORDERS)
        assert {order.status for order in live.closed(order_ids)} == {Status.COMPLETED}
    with capsys.disabled():
        print(f"\n  {attack.name}: {latencies}", end=" ")  # noqa: T201
    assert latencies.longest < LONGEST_MS
    assert live.stock(product) == 0
