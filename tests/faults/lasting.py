"""Faults that last: of one method for one order or product, or of a method as a whole, for seconds to days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from shopflow.errors import Contention, Unavailable

EVERYTHING = "*"
"""The subject of a fault of the method as a whole."""
DAY = 24 * 3600
DURATIONS_SECONDS = (5, 60, 600, 3600, 6 * 3600, DAY, 3 * DAY)


def refuse(call: partial[Any]) -> Any:
    """Not done."""
    raise Contention("refused, as for some time now")


def lose_the_answer(call: partial[Any]) -> Any:
    """Done, but nobody is told."""
    call()
    raise Unavailable("the answer was lost, as for some time now")


@dataclass(frozen=True, slots=True)
class Lasting:
    """What happens instead of each call ``until`` that moment (ms)."""

    instead: Callable[[partial[Any]], Any]
    until: int


class LastingFaults:
    """The faults that are on, by method and subject. ``now`` gives the milliseconds of the clock."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._on: dict[tuple[str, str], Lasting] = {}

    def begin(self, method: str, subject: str, instead: Callable[[partial[Any]], Any], seconds: float) -> None:
        self._on[method, subject] = Lasting(instead, self._now() + round(seconds * 1000))

    def end_all(self) -> None:
        self._on.clear()

    def of(self, method: str, subjects: list[str]) -> Lasting | None:
        """The fault that a call of ``method`` about ``subjects`` meets."""
        if not self._on:
            return None
        now = self._now()
        found = (self._on.get((method, subject)) for subject in (EVERYTHING, *subjects))
        return next((one for one in found if one is not None and one.until > now), None)


def subjects_of(method: str, call: partial[Any]) -> list[str]:
    """The orders (of `products`: the products) that a call is about; none where each entry is answered by itself."""
    match method, call.args:
        case "orders.create", (order,):
            return [order.order_id]
        case "orders.read" | "products.read", (ids, *_):
            return sorted(ids)
        case "orders.commit", (transitions, *_):
            return [transition.before.order_id for transition in transitions]
        case (("audit.has" | "audit.trail" | "gateway.charge"), (order_id, *_)):
            return [order_id]
        case "mailer.send", (mail,):
            return [mail.order_id]
        case _:
            return []
