"""The points of the crash matrix on real processes: which there are is learnt from recordings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.crash_process import AFTER, BEFORE
from tests.faults.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class LiveScenario:
    """A scenario of the twins; ``refuse`` names an event that the topic takes from nobody but the relay."""

    scenario: Scenario
    refuse: str | None = None

    @property
    def name(self) -> str:
        return f"{self.scenario.name}, {self.refuse} refused" if self.refuse else self.scenario.name


@dataclass(frozen=True, slots=True)
class Call:
    """The ``number``-th counted call of a role of a process. ``polls``: it is made again and again, orders or not."""

    label: str
    role: str
    number: int
    name: str
    polls: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process dies: before the call, or after it with its answer lost."""

    scenario: LiveScenario
    relay: bool
    call: Call
    when: str

    def __str__(self) -> str:
        relay = "" if self.relay else ", no relay"
        call = self.call
        return (
            f"{self.scenario.name}{relay}: {call.label} dies {self.when} call {call.number} of {call.role}, {call.name}"
        )


def points_of(live: LiveScenario, relay: bool, recordings: Iterable[Sequence[Call]]) -> list[Point]:
    """A death before and one after every call that was counted in any of the recordings."""
    calls = {(call.label, call.role, call.number): call for recording in recordings for call in recording}
    return [Point(live, relay, call, when) for _, call in sorted(calls.items()) for when in (BEFORE, AFTER)]
