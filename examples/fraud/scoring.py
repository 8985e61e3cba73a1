"""How suspicious an order is: simple rules that look at the order alone, so its score is always the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MAX_POINTS = 100
FLAGGED_FROM = 50
LARGE_AMOUNT = Decimal(1000)
MANY_UNITS = 20
MANY_OF_ONE = 10

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """``points`` for an order when ``applies`` is true; ``reason`` says why, for a person."""

    points: int
    reason: str
    applies: Callable[[Payload], bool]


@dataclass(frozen=True, slots=True)
class Score:
    """0 to 100 points, and the reason of each rule that added some."""

    points: int
    reasons: tuple[str, ...]

    @property
    def flagged(self) -> bool:
        return self.points >= FLAGGED_FROM


def _large_amount(order: Payload) -> bool:
    return bool(order["totalAmount"] >= LARGE_AMOUNT)


def _many_units(order: Payload) -> bool:
    return bool(sum(line["quantity"] for line in order["items"]) >= MANY_UNITS)


def _many_of_one(order: Payload) -> bool:
    return any(line["quantity"] >= MANY_OF_ONE for line in order["items"])


RULES = (
    Rule(60, f"the amount is {LARGE_AMOUNT} or more", _large_amount),
    Rule(40, f"{MANY_UNITS} units or more are ordered at once", _many_units),
    Rule(30, f"{MANY_OF_ONE} units or more of one product are ordered", _many_of_one),
)


def score(order: Payload) -> Score:
    """The score of the order that the payload of an `order.created` describes."""
    met = [rule for rule in RULES if rule.applies(order)]
    return Score(min(MAX_POINTS, sum(rule.points for rule in met)), tuple(rule.reason for rule in met))
