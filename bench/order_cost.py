"""Part 3: AWS requests, units and dollars an order, counted in the services; and the requests of an idle day."""

from __future__ import annotations

import time

from bench.calls import begun_between, messages_a_receive, read_calls, requests_a_day, until_last_deletion
from bench.costs import MILLION, PRICES, OrderCost
from bench.figures import Conditions, Figure, Plot, Result, Row, Target, at_least, at_most
from bench.load import DECLINED, VISA, HttpClient, Place
from bench.runner import Bench
from bench.runs import Run, finished, saturated
from bench.testbed import WORKERS, Testbed
from scripts.services import ORDER

TITLE = "Requests and cost an order"
FOUR_OF_FIVE = (VISA,) * 4 + (DECLINED,)
LAMBDA_POLLERS = 5
"""Pollers that an event-source mapping keeps on each queue (AWS Lambda developer guide, "Amazon SQS event sources")."""
POLLS_A_DAY = 86_400 / 20
NOTES = (
    "Counted by an event hook in every client of every service, retries included. Units are what the emulator's "
    "ReturnConsumedCapacity says, which takes every audit record for one unit; of batch reads it says nothing, so they "
    "are computed.",
    "Saturation: each worker starts on a backlog, so batches are full; the relay is off, since audit comes last.",
    f"Dollars a million in {PRICES.region} since {PRICES.since}: SQS {PRICES.sqs_requests}, SNS {PRICES.sns_requests}, "
    f"writes {PRICES.write_units}, reads {PRICES.read_units}.",
    "Idle: each operation's pace in each process over the window, times a day.",
)


def measure(bench: Bench) -> Result:
    count = bench.sized(500, 60)
    with bench.testbed() as bed:
        bench.advance(0.05, "saturation, happy path")
        happy = saturated(bed, count)
    with bench.testbed() as bed:
        bench.advance(0.3, "saturation, one payment in five declined")
        mixed = saturated(bed, count, payment_methods=FOUR_OF_FIVE)
    with bench.testbed() as bed:
        bench.advance(0.55, "one order a second, then idle")
        slow, idle, conditions = _slow_and_idle(bench, bed)
    figures = (
        *_of_run("happy path", happy, calls=at_most(6), units=at_most(10.5), dollars=at_most(7.75)),
        *_of_run("80/20", mixed, units=at_most(11.5), declined=at_least(20)),
        *_of_run("1 order/s", slow),
        *_of_idle(idle, conditions),
    )
    return Result("order-cost", TITLE, figures, NOTES, (_plot({"saturation": happy, "1 order/s": slow}),))


def _slow_and_idle(bench: Bench, bed: Testbed) -> tuple[Run, dict[str, float], Conditions]:
    """60 orders, one a second; then nothing for a while."""
    product_id = bed.product()
    commands = bed.logging_calls(bed.commands(ORDER, *WORKERS))
    with bed.running(commands, SQS_WAIT_SECONDS="20"):
        time.sleep(2)  # every worker polls
        started = time.monotonic()
        with bed.watch() as watch:
            place = HttpClient(bed.address, product_id).place
            order_ids = [_at(started + second, place) for second in range(bench.sized(60, 10))]
            bed.wait_until_drained()
        slow_orders = finished(bed, order_ids)
        made = until_last_deletion(begun_between(read_calls(bed.calls_folder), started, time.monotonic()))
        bench.advance(0.8, "idle")
        started, seconds = time.monotonic(), bench.sized(120, 65)
        with bed.watch() as idle_watch:
            time.sleep(seconds)
    idle = begun_between(read_calls(bed.calls_folder), started, started + seconds)
    return Run(tuple(slow_orders), made, watch.conditions), requests_a_day(idle, seconds), idle_watch.conditions


def _at(moment: float, place: Place) -> str:
    time.sleep(max(0.0, moment - time.monotonic()))
    return place()


def _of_run(
    name: str,
    run: Run,
    *,
    calls: Target | None = None,
    units: Target | None = None,
    dollars: Target | None = None,
    declined: Target | None = None,
) -> list[Figure]:
    cost: OrderCost = run.cost
    rows = [
        ("AWS calls", cost.calls, "an order", calls),
        ("write units", cost.write_units, "an order", units),
        ("read units", cost.read_units, "an order", None),
        ("cost", cost.dollars_per_million(), "$ a million", dollars),
        ("declined", 100 * run.declined, "% of orders", declined),
        ("messages a receive", messages_a_receive(run.calls), "", None),
        *((operation, number, "an order", None) for operation, number in cost.calls_by_operation.items()),
    ]
    return [Figure(f"{name}: {what}", value, unit, target, run.conditions) for what, value, unit, target in rows]


def _of_idle(idle: dict[str, float], conditions: Conditions) -> list[Figure]:
    polls_of_lambda = len(WORKERS) * LAMBDA_POLLERS * POLLS_A_DAY
    return [
        Figure("idle: requests", sum(idle.values()), "a day", at_most(20_000), conditions),
        *(
            Figure(f"idle: {operation}", number, "a day", None, conditions)
            for operation, number in sorted(idle.items())
        ),
        Figure("idle: polls of Lambda instead, computed", polls_of_lambda, "a day"),
        Figure("idle: cost of those", polls_of_lambda * PRICES.sqs_requests / MILLION, "$ a day"),
    ]


def _plot(runs: dict[str, Run]) -> Plot:
    operations = sorted({name for run in runs.values() for name in run.cost.calls_by_operation})
    rows = [
        Row(operation, {name: run.cost.calls_by_operation.get(operation, 0) for name, run in runs.items()})
        for operation in operations
    ]
    return Plot("calls-per-order", "AWS calls an order", "", "calls an order", tuple(rows))
