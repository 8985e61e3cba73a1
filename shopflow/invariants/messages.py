"""Invariants 5 and 7: of messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from shopflow.invariants.report import Breach

_MAX_CHARS = 120


def check_dead_letters(service: str, dead: Set[str], poison: Set[str]) -> Iterator[Breach]:
    """The breaches in one dead-letter queue: bodies that were no poison, and poison that is not there."""
    for body in sorted(dead - poison):
        yield Breach(5, service, f"holds work that can be done: {body[:_MAX_CHARS]}")
    for body in sorted(poison - dead):
        yield Breach(5, service, f"does not hold the poison {body[:_MAX_CHARS]}")


def check_publications(published: Mapping[str, int], excused: Mapping[str, int]) -> Iterator[Breach]:
    """The events published more often than once plus what faults explain. Both counts are by event id."""
    for event_id, times in sorted(published.items()):
        if times > 1 + excused.get(event_id, 0):
            yield Breach(7, event_id, f"published {times} times, {excused.get(event_id, 0)} explained by faults")
