"""What a part of the benchmark found: figures, the conditions they were measured under, and their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure must keep, itself included."""

    bound: float
    at_most: bool = True

    def met_by(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:,g}"


def at_most(bound: float) -> Target:
    return Target(bound)


def at_least(bound: float) -> Target:
    return Target(bound, at_most=False)


@dataclass(frozen=True, slots=True)
class Conditions:
    """How busy the emulator was meanwhile: it is part of what is measured, and slows down with long queues.

    ``emulator_cpu``: the share of one core that it used (0-1). ``largest_backlog``: most messages waiting in one queue.
    """

    emulator_cpu: float
    largest_backlog: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. ``conditions`` is None for one that no emulator had a part in. Without a target it is for scale."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    conditions: Conditions | None = None

    @property
    def missed(self) -> bool:
        return self.target is not None and not self.target.met_by(self.value)


@dataclass(frozen=True, slots=True)
class Row:
    """One point of a plot: what was measured at ``x``, by the name of each line."""

    x: float | str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over numbers, or groups of bars over names, as ``rows`` have it."""

    name: str
    title: str
    x_label: str
    y_label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one part found. ``notes`` say how to read it; ``facts`` are for programs that go on from it."""

    part: str
    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def missed(self) -> tuple[Figure, ...]:
        return tuple(figure for figure in self.figures if figure.missed)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of ``values`` that at least ``percent`` (0-100) of them do not exceed. At least one value."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def typical_ratio(ours: Sequence[float], yardstick: Sequence[float]) -> float:
    """The median of ours / yardstick over interleaved rounds: what disturbs the machine disturbs both of a pair."""
    return median(one / other for one, other in zip(ours, yardstick, strict=True))
