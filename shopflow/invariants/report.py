"""What the checks find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

INVARIANTS: Mapping[int, str] = {
    1: "every accepted order ends, and closes",
    2: "units received = stock + units held by orders",
    3: "one charge per charged order",
    4: "the audit trail is a legal one and replays to the order",
    5: "the dead-letter queues hold poison only",
    6: "the customer is told, and no more often than a fault explains",
    7: "no event is published more often than a fault explains",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """One invariant that does not hold of one subject (an order, a product, a queue or an event).

    ``may_pass``: it is also what work that is still on its way looks like, so it counts once the system is quiet.
    """

    invariant: int
    subject: str
    text: str
    may_pass: bool = False

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.subject}: {self.text}"


class Report:
    """Counts per invariant: subjects checked and breaches found, with the first ``most_offenders`` of each."""

    def __init__(self, most_offenders: int = 5) -> None:
        self._most_offenders = most_offenders
        self.checked: Counter[int] = Counter()
        self.breached: Counter[int] = Counter()
        self.offenders: defaultdict[int, list[Breach]] = defaultdict(list)

    def saw(self, invariants: Iterable[int]) -> None:
        """One more subject was checked for each of ``invariants``."""
        self.checked.update(invariants)

    def add(self, breaches: Iterable[Breach]) -> None:
        for breach in breaches:
            self.breached[breach.invariant] += 1
            if len(self.offenders[breach.invariant]) < self._most_offenders:
                self.offenders[breach.invariant].append(breach)

    @property
    def holds(self) -> bool:
        return not self.breached
