"""A quiet shop: one order a second. How long a customer waits, and how many AWS calls an order takes alone."""

from __future__ import annotations

from bench.bed import SIDES, Bed, Bench
from bench.load import Placed, place_one_a_second, wait_for_ends
from bench.results import Result, Row, percentile
from shopflow.domain.money import money
from workers.gateway import SimulatedGateway

TITLE = "One order a second"
NOTES = (
    "Every batch holds one message. AWS calls include the long polls of idle workers, which are 2 s on a local AWS.",
    "Without the gateway: less the time that the simulated gateway took for that order.",
)
FIGURES = (
    ("POST, p50", "ms"),
    ("POST, p99", "ms"),
    ("order from POST to its end, p50", "ms"),
    ("order from POST to its end, p99", "ms"),
    ("the same without the gateway, p50", "ms"),
    ("the same without the gateway, p99", "ms"),
    ("AWS calls", "an order"),
)


def measure(bench: Bench) -> Result:
    columns = []
    for side in SIDES:
        bench.say(side)
        with bench.bed() as bed:
            columns.append(_figures(bed, side, bench.sized(60, 5)))
    values = zip(*columns, strict=True)
    rows = tuple(Row(name, unit, of_sides) for (name, unit), of_sides in zip(FIGURES, values, strict=True))
    return Result("one-a-second", TITLE, tuple(SIDES), rows, NOTES)


def _figures(bed: Bed, side: str, orders: int) -> tuple[float, ...]:
    """The values, in the order of `FIGURES`."""
    with SIDES[side](bed):
        placed = place_one_a_second(bed, orders)
        ended = wait_for_ends(bed, [one.order_id for one in placed])
    posts = [one.post_ms for one in placed]
    took = [ended[one.order_id] - one.at for one in placed]
    own = [ended[one.order_id] - one.at - _gateway_ms(bed, one) for one in placed]
    times = [percentile(values, percent) for values in (posts, took, own) for percent in (50, 99)]
    return (*times, bed.calls().total() / orders)


def _gateway_ms(bed: Bed, order: Placed) -> float:
    """How long the gateway took: it derives its latency from the order's id."""
    slept: list[float] = []
    SimulatedGateway(bed.config.gateway, slept.append).charge(order.order_id, money("1"), None)
    return sum(slept) * 1000
