"""What the simulation of a flash sale starts from: what the benchmark measured, and what it cannot measure.

CPU per order comes from docs/bench/results.json. How long AWS takes no emulator knows: `AwsSeconds` assumes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from bench.results import FILE
from scripts.infra.stack import read_json

BATCH = 10
"""Messages that one receive can bring (SQS)."""
HEADROOM = 1.25
"""Threads started for each one that would be busy all the time."""
FACT = "cpu_ms_an_order."
ASSUMED_CPU_MS: Mapping[str, float] = {"api": 3.0, "inventory": 1.5, "payment": 3.0, "notification": 2.5, "audit": 2.5}
"""Milliseconds of CPU an order, for as long as nobody has measured them: `python -m bench pipeline` does."""
WORKERS = ("inventory", "payment", "notification", "audit")


@dataclass(frozen=True, slots=True)
class AwsSeconds:
    """How long AWS takes for a call: assumed, as seen from a machine in the same region, and constant."""

    receive: float = 0.010
    read: float = 0.005
    write: float = 0.006
    transact: float = 0.020
    conflict: float = 0.010
    publish: float = 0.020
    delete: float = 0.010


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas of one account in us-east-1 before anybody asks for more, and what DynamoDB never exceeds.

    ``published``: messages a second that SNS takes, in batches or not (SNS quotas). ``item_writes``: write units a
    second of one item (DynamoDB: of one partition). ``table_writes``: write units a second of one on-demand table.
    ``in_flight``: messages of one queue.
    """

    published: int = 30_000
    item_writes: int = 1_000
    table_writes: int = 40_000
    in_flight: int = 120_000


@dataclass(frozen=True, slots=True)
class Parameters:
    """``cpu_seconds`` an order by service; ``measured`` where and when, None for `ASSUMED_CPU_MS`."""

    cpu_seconds: Mapping[str, float]
    measured: str | None
    aws: AwsSeconds = field(default_factory=AwsSeconds)
    limits: Limits = field(default_factory=Limits)
    gateway_seconds: tuple[float, float] = (0.3, 0.8)
    declined: float = 0.2

    def messages(self, service: str) -> float:
        """Messages of one order that ``service`` is sent, on average."""
        return {"inventory": 1 + self.declined, "audit": 3 + self.declined}.get(service, 1)

    def cycle_seconds(self, service: str) -> float:
        """How long one thread of ``service`` is busy with a full batch that nobody is in the way of."""
        aws = self.aws
        least, most = self.gateway_seconds
        slowest_of_ten = least + (most - least) * BATCH / (BATCH + 1)
        releases = BATCH * self.declined / self.messages("inventory")
        work = {
            "inventory": 3 * aws.read + aws.transact + releases * (aws.transact + aws.write) + aws.publish,
            "payment": aws.read + slowest_of_ten + aws.write + aws.publish,
            "notification": aws.read + BATCH * aws.write,
            "audit": aws.write,
        }
        return aws.receive + work[service] + aws.delete + BATCH * self.cpu_seconds_a_message(service)

    def cpu_seconds_a_message(self, service: str) -> float:
        return self.cpu_seconds[service] / self.messages(service)

    def threads(self, service: str, orders_per_second: float) -> int:
        """Threads that keep up with so many orders in full batches, while nobody is in their way."""
        batches = orders_per_second * self.messages(service) / BATCH
        return math.ceil(batches * self.cycle_seconds(service) * HEADROOM)

    def cores(self, service: str, orders_per_second: float) -> int:
        """Cores, and so processes, that its CPU time takes: threads of one Python process share one core."""
        return math.ceil(orders_per_second * self.cpu_seconds[service] * HEADROOM)


def load_parameters(folder: Path) -> Parameters:
    """From the results in ``folder`` if the pipeline has been measured there, else the assumed ones."""
    pipeline = ((read_json(folder / FILE) or {}).get("parts") or {}).get("pipeline", {})
    facts = pipeline.get("facts", {})
    if pipeline.get("quick") or not all(f"{FACT}{service}" in facts for service in ASSUMED_CPU_MS):
        return Parameters({name: ms / 1000 for name, ms in ASSUMED_CPU_MS.items()}, None)
    cpu_seconds = {name: facts[f"{FACT}{name}"] / 1000 for name in ASSUMED_CPU_MS}
    return Parameters(cpu_seconds, f"{pipeline['date']}, commit {pipeline['commit']}")


def in_words(aws: AwsSeconds) -> str:
    """The assumed times, for people."""
    return ", ".join(f"{each.name} {getattr(aws, each.name) * 1000:g}" for each in fields(aws)) + " ms"
