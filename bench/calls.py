"""AWS calls as `bench.instrumented` wrote them down, and what they add up to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from bench.costs import Usage

SUFFIX = ".calls"
SECONDS_A_DAY = 86_400
LAST_CALL = "DeleteMessageBatch"
_SQS = frozenset({"ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"})
_SNS = frozenset({"PublishBatch"})


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
    logs = sorted(folder.glob(f"*{SUFFIX}"))
    return {log.stem: [Call.parse(line) for line in log.read_text().splitlines()] for log in logs}


def begun_between(calls: CallsByProcess, start: float, end: float) -> dict[str, list[Call]]:
    return {process: [call for call in made if start <= call.started < end] for process, made in calls.items()}


def usage_of(calls: CallsByProcess) -> Usage:
    """What they use, retries included. Every payload here is far below the size that counts as two requests."""
    made = everything(calls)
    requests: Counter[str] = Counter()
    for call in made:
        requests[call.operation] += call.attempts
    return Usage(
        calls=requests,
        sqs_requests=sum(requests[name] for name in _SQS),
        sns_requests=sum(requests[name] for name in _SNS),
        write_units=sum(call.write_units for call in made),
        read_units=sum(call.read_units for call in made),
    )


def everything(calls: CallsByProcess) -> list[Call]:
    """The calls of all processes."""
    return [call for made in calls.values() for call in made]


def messages_a_receive(calls: CallsByProcess) -> float:
    """How many messages a receive brought on average, of those that brought any; 0 when none did."""
    brought = [call.entries for call in everything(calls) if call.operation == "ReceiveMessage" and call.entries]
    return fmean(brought) if brought else 0.0


def until_last_deletion(calls: CallsByProcess) -> CallsByProcess:
    """What follows the last message's deletion is idling."""
    deletions = [call.started for call in everything(calls) if call.operation == LAST_CALL]
    return begun_between(calls, 0, max(deletions, default=0) + 1e-6)


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
