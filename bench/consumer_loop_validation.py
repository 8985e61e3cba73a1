"""What the contracts cost, event by event: checked and unchecked, in microseconds of one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event

REPEATS = 5


@dataclass(frozen=True, slots=True)
class EventCost:
    """Microseconds to take an event of that type from the wire and to put one there; ``plain``: without the check."""

    event_type: str
    decode: float
    decode_plain: float
    encode: float
    encode_plain: float

    @property
    def check_consumed(self) -> float:
        return self.decode - self.decode_plain

    @property
    def check_published(self) -> float:
        return self.encode - self.encode_plain


def event_costs(times: int) -> list[EventCost]:
    """For the example of each event type in schemas/, each way ``times`` times over, the quickest of `REPEATS`."""
    catalog = load_catalog()
    contracts = Contracts(catalog)
    examples = SCHEMAS / "examples" / "valid"
    return [_cost_of(name, contracts, examples / f"{name}.json", times) for name in map(str, catalog.events)]


def _cost_of(name: str, contracts: Contracts, example: Path, times: int) -> EventCost:
    event = contracts.decode(example.read_text())
    text = contracts.encode(event)
    return EventCost(
        name,
        decode=_microseconds(lambda: contracts.decode(text), times),
        decode_plain=_microseconds(lambda: Event.from_json(jsontext.loads(text)), times),
        encode=_microseconds(lambda: contracts.encode(event), times),
        encode_plain=_microseconds(lambda: jsontext.dumps(event.to_json()), times),
    )


def _microseconds(call: Callable[[], object], times: int) -> float:
    """CPU time of one call: the machine's other work does not count."""
    return min(_seconds(call, times) for _ in range(REPEATS)) / times * 1e6


def _seconds(call: Callable[[], object], times: int) -> float:
    started = time.thread_time()
    for _ in range(times):
        call()
    return time.thread_time() - started
