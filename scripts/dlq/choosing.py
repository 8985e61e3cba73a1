"""Which dead letters are meant, and a look through a whole queue for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from shopflow.clock import SystemClock
from shopflow.dead_letters import Walk
from shopflow.ports import DeadLetters
from workers.dead_letters import Judge, Judged, Survey


class Which(Enum):
    """The dead letters that are meant, by what would become of each."""

    ALL = "all"
    WOULD_SUCCEED = "would succeed"
    WOULD_FAIL = "would fail again"

    def takes(self, one: Judged) -> bool:
        if self is Which.ALL:
            return True
        return one.kind.would_succeed if self is Which.WOULD_SUCCEED else one.kind.would_fail


@dataclass(frozen=True, slots=True)
class Choice:
    """``message_ids``: only these, if there are any. ``limit``: at most so many (None: however many)."""

    which: Which = Which.ALL
    message_ids: frozenset[str] = frozenset()
    limit: int | None = None

    def takes(self, one: Judged, already: int) -> bool:
        """Whether it is meant, when so many are chosen already."""
        named = not self.message_ids or one.message_id in self.message_ids
        return named and self.which.takes(one) and (self.limit is None or already < self.limit)


def look_through(
    service: str,
    dlq: DeadLetters,
    judge: Judge,
    show: Callable[[str], None],
    see: Callable[[list[Judged]], object] = lambda _: None,
) -> tuple[Survey, int]:
    """What is in the whole queue, and about how many there are. ``see`` is given the letters, some at a time."""
    survey = Survey()
    with Walk(dlq, SystemClock(), show=show) as walk:
        for letters in walk.batches():
            judged = judge(service, letters)
            survey.add(judged)
            see(judged)
    return survey, max(walk.depth, walk.seen)
