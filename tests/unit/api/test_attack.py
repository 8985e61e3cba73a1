"""An honest client orders in time while hundreds of others do their worst."""

from __future__ import annotations

import pytest

from api.http_server import Limits
from tests.sizes import full
from tests.swarm import Attack, Latencies, attacking
from tests.unit.api.shop import Client, Shop, serving
from tests.unit.api.test_http import ORDER, get, post
from tests.waiting import eventually

ORDERS = 100
LONGEST_MS = 5_000
"""Half of what a request may take to arrive: an attack that holds a place in the way holds it for twice as long."""
MEDIAN_MS = 100
"""What the median may be among clients that never read."""
MEGABYTE = b" " * 1_000_000

SMALL = Attack("60 slow headers on a server of 50 connections", 60, b"POST /orders HTTP/1.1\r\nHost: x\r\nX: ", b"y")
"""For `make test`, which may run on a busy machine: the same displacement with a tenth of the clients."""
TRICKLE = [
    Attack("600 slow headers", 600, b"POST /orders HTTP/1.1\r\nHost: x\r\nX: ", b"y"),
    Attack("600 slow bodies", 600, post(length="60000")[: -len(ORDER)], b" "),
    Attack("500 idle connections", 500),
    Attack("600 bodies of 1 MB that never come", 600, post(b"", length="1000000")),
]
FLOOD = [
    Attack("100 bodies of 1 MB", 100, post(MEGABYTE)),
    Attack("100 bodies of 1 MB said to be 64 KB", 100, post(MEGABYTE, length="65536")),
    Attack("100 bodies of 1 MB said to be 10 bytes", 100, post(MEGABYTE, length="10")),
]
DEAF = [
    Attack("700 that ask for 40 pages and never read", 700, get("/") * 40, reads=False),
    Attack(
        "700 that ask 40 times for the OpenAPI document and never read", 700, get("/openapi.json") * 40, reads=False
    ),
    Attack("700 that ask 40 times for their health and never read", 700, get() * 40, reads=False),
]


@pytest.mark.parametrize(
    "attack",
    [SMALL, *(pytest.param(one, marks=[full, pytest.mark.alone]) for one in (*TRICKLE, *FLOOD, *DEAF))],
    ids=lambda attack: attack.name,
)
def test_an_honest_order_is_placed_in_time_during(
    attack: Attack, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(shop, Limits(connections=50) if attack is SMALL else Limits()) as server:
        client = Client(server)

        def order() -> None:
            assert client.post().status == 201

        quiet = Latencies(order, ORDERS)
        with attacking(client.address, attack) as bytes_sent:
            under_attack = Latencies(order, ORDERS)
            if attack in FLOOD:
                eventually(lambda: bytes_sent.value >= attack.clients * len(MEGABYTE))
            else:
                eventually(lambda: len(server.connections._open) >= min(attack.clients, server.limits.connections))
        assert len(shop.saved) == 2 * ORDERS
    with capsys.disabled():
        print(f"\n  {attack.name}: {under_attack} (quiet: longest {quiet.longest:.1f} ms)", end=" ")  # noqa: T201
    assert under_attack.longest < LONGEST_MS
    assert attack not in DEAF or under_attack.median < MEDIAN_MS
