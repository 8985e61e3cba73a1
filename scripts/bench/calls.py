"""AWS calls as `scripts.bench.instrumented` wrote them down, and what they add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

SUFFIX = ".calls"
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it began (monotonic seconds), how long it took, how often it was tried in all.

    ``entries``: of a batch, messages received, else sent. ``error``: the code that it failed with, else empty.
    """

    operation: str
    started: float
    seconds: float
    attempts: int = 1
    read_units: float = 0.0
    write_units: float = 0.0
    entries: int = 0
    error: str = ""

    def line(self) -> str:
        return "\t".join(map(str, astuple(self))) + "\n"

    @classmethod
    def parse(cls, line: str) -> Call:
        """The inverse of `line`. Raises ``ValueError`` when it is no such line."""
        operation, started, seconds, attempts, reads, writes, entries, error = line.rstrip("\n").split("\t")
        numbers = float(started), float(seconds), int(attempts), float(reads), float(writes), int(entries)
        return cls(operation, *numbers, error)


CallsByProcess = Mapping[str, Sequence[Call]]


def read_calls(folder: Path) -> dict[str, list[Call]]:
    """The calls in a folder's logs, by process."""
    return {path.stem: [Call.parse(line) for line in path.open()] for path in sorted(folder.glob(f"*{SUFFIX}"))}


def begun_between(calls: CallsByProcess, start: float, end: float) -> dict[str, list[Call]]:
    return {process: [call for call in made if start <= call.started < end] for process, made in calls.items()}


@dataclass(frozen=True, slots=True)
class Totals:
    """What calls add up to: requests (retries included) by operation, and units."""

    requests: Mapping[str, int]
    read_units: float
    write_units: float
    mean_entries: Mapping[str, float]

    @property
    def all_requests(self) -> int:
        return sum(self.requests.values())


def totals(calls: CallsByProcess) -> Totals:
    every = [call for made in calls.values() for call in made]
    by_operation: dict[str, list[Call]] = defaultdict(list)
    for call in every:
        by_operation[call.operation].append(call)
    return Totals(
        requests={name: sum(call.attempts for call in made) for name, made in sorted(by_operation.items())},
        read_units=sum(call.read_units for call in every),
        write_units=sum(call.write_units for call in every),
        mean_entries={name: fmean(call.entries for call in made) for name, made in sorted(by_operation.items())},
    )


def requests_a_day(calls: CallsByProcess, window_seconds: float) -> dict[str, float]:
    """Requests a day by operation, of processes that make each at a steady pace.

    Three calls at 20 s from each other are 4,320 a day, whenever in the window the first one was made; one call alone
    is taken for one a window.
    """
    days: dict[str, float] = defaultdict(float)
    for made in calls.values():
        for name in {call.operation for call in made}:
            starts = [call.started for call in made if call.operation == name]
            days[name] += SECONDS_A_DAY / (_pace(starts) or window_seconds)
    return dict(days)


def _pace(starts: Sequence[float]) -> float | None:
    gaps = [later - earlier for earlier, later in pairwise(sorted(starts))]
    return fmean(gaps) if gaps else None


def mean_seconds(calls: Iterable[Call], operation: str) -> float | None:
    """How long the operation took on average, None if it was never called."""
    seconds = [call.seconds for call in calls if call.operation == operation]
    return fmean(seconds) if seconds else None
