"""Part 6: no-op messages drained a second and CPU a message, beside what people use instead of this consumer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from ulid import ULID

from bench.consumer_loop_contenders import BATCH, CONTENDERS, WARM_UP, fill_for_celery
from bench.consumer_loop_validation import EventCost, event_costs
from bench.figures import Conditions, Figure, Plot, Result, Row, at_least, at_most, typical_ratio
from bench.runner import Bench
from bench.testbed import Testbed
from scripts.console import CommandError, last_line
from scripts.infra.stack import ROOT
from shopflow.catalog import SCHEMAS

TITLE = "Consumer loop"
PATIENCE_SECONDS = 120
NOTES = (
    "One thread each, in a process of its own, on a queue filled anew; rounds are interleaved. The clock starts at "
    f"message {WARM_UP}. Bodies are order.created events; Celery's are its own, since it takes no others.",
    "bare: boto3, receive ten, delete ten. shopflow parses each event and checks no contract; shopflow-validating does "
    "both. sqs-workers runs a raw processor, Celery the solo pool with a prefetch of ten.",
    "Ratios are medians over the rounds. Check of an event: CPU of the checked call less that of the unchecked one.",
)


@dataclass(frozen=True, slots=True)
class Drain:
    """One round of one contender."""

    per_second: float
    cpu_microseconds: float


def measure(bench: Bench) -> Result:
    rounds, count = bench.sized(5, 1), bench.sized(1500, 300)
    with bench.testbed() as bed, bed.watch() as watch:
        drains = _all_rounds(bench, bed, rounds, count)
    bench.advance(0.9, "contracts")
    costs = event_costs(bench.sized(500, 50))
    seen = replace(watch.conditions, largest_backlog=count)
    figures = (*_of_contenders(drains, seen), *_of_contracts(costs))
    plots = _plot_of_contenders(drains), _plot_of_contracts(costs)
    return Result("consumer-loop", TITLE, figures, NOTES, plots, _facts(drains, costs))


def _all_rounds(bench: Bench, bed: Testbed, rounds: int, count: int) -> dict[str, list[Drain]]:
    """Every contender once a round, so that what disturbs the machine disturbs all of them."""
    drains: dict[str, list[Drain]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for place, name in enumerate(CONTENDERS):
            done = (number + place / len(CONTENDERS)) / rounds
            bench.advance(0.9 * done, f"round {number + 1} of {rounds}, {name}")
            drains[name].append(_drain(bed, name, count))
    return drains


def _drain(bed: Testbed, name: str, count: int) -> Drain:
    """Fill a new queue and have one contender empty it. Raises `CommandError` when it does not."""
    url = bed.bare.sqs.create_queue(QueueName=f"bench-{ULID()}", Attributes={"VisibilityTimeout": "300"})["QueueUrl"]
    try:
        fill_for_celery(url, count) if name == "celery" else _fill(bed, url, count)
        return _run(bed, name, url, count)
    finally:
        bed.bare.sqs.delete_queue(QueueUrl=url)


def _fill(bed: Testbed, url: str, count: int) -> None:
    event = json.loads((SCHEMAS / "examples" / "valid" / "order.created.json").read_text())
    for start in range(0, count, BATCH):
        bodies = (json.dumps(event | {"eventId": str(ULID())}) for _ in range(min(BATCH, count - start)))
        entries: Any = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        bed.bare.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _run(bed: Testbed, name: str, url: str, count: int) -> Drain:
    command = [sys.executable, "-m", "bench.consumer_loop_contenders", name, url, str(count)]
    env = {**bed.env, "AWS_DEFAULT_REGION": bed.config.region}
    try:
        answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise CommandError(f"{name} does not take {count} messages within {PATIENCE_SECONDS} s") from None
    if answer.returncode:
        raise CommandError(f"{name} failed: {last_line(answer.stderr)}")
    taken = json.loads(last_line(answer.stdout))
    messages = taken["messages"]
    return Drain(messages / taken["seconds"], taken["cpu_seconds"] / messages * 1e6)


def _rates(drains: Sequence[Drain]) -> list[float]:
    return [drain.per_second for drain in drains]


def _of_contenders(drains: Mapping[str, Sequence[Drain]], seen: Conditions) -> list[Figure]:
    figures = []
    for name, all_of_it in drains.items():
        figures += [
            Figure(f"{name}: drained", median(_rates(all_of_it)), "messages/s", None, seen),
            Figure(f"{name}: CPU", _cpu(all_of_it), "µs a message", None, seen),
        ]
    ours = _rates(drains["shopflow"])
    for other, bound in (("bare", 0.8), ("sqs-workers", 1), ("celery", 1)):
        ratio = typical_ratio(ours, _rates(drains[other]))
        figures.append(Figure(f"shopflow / {other}", ratio, "x", at_least(bound), seen))
    added = _cpu(drains["shopflow-validating"]) - _cpu(drains["shopflow"])
    return [*figures, Figure("contracts in the loop: CPU", added, "µs an event", at_most(150), seen)]


def _cpu(drains: Sequence[Drain]) -> float:
    return median(drain.cpu_microseconds for drain in drains)


def _of_contracts(costs: Sequence[EventCost]) -> list[Figure]:
    """The costliest type of each; the plot has them all."""
    return [
        Figure("contract of an event, when consumed", max(cost.check_consumed for cost in costs), "µs", at_most(150)),
        Figure("contract of an event, when published", max(cost.check_published for cost in costs), "µs", at_most(150)),
    ]


def _facts(drains: Mapping[str, Sequence[Drain]], costs: Sequence[EventCost]) -> dict[str, float]:
    return {
        "consumer_cpu_us": _cpu(drains["shopflow"]),
        "consumer_validating_cpu_us": _cpu(drains["shopflow-validating"]),
        "decode_us": median(cost.decode for cost in costs),
        "encode_us": median(cost.encode for cost in costs),
    }


def _plot_of_contenders(drains: Mapping[str, Sequence[Drain]]) -> Plot:
    rows = tuple(Row(name, {"messages/s": median(_rates(all_of_it))}) for name, all_of_it in drains.items())
    return Plot("consumer-loop", "No-op messages drained a second, one thread", "", "messages/s", rows)


def _plot_of_contracts(costs: Sequence[EventCost]) -> Plot:
    rows = tuple(Row(cost.event_type, _ways(cost)) for cost in costs)
    return Plot("contracts", "CPU of an event, with and without its contract", "", "µs", rows)


def _ways(cost: EventCost) -> dict[str, float]:
    return {
        "consumed, checked": cost.decode,
        "consumed, unchecked": cost.decode_plain,
        "published, checked": cost.encode,
        "published, unchecked": cost.encode_plain,
    }
