"""Which mails a fault explains: the sender died before recording it or could not, or two copies were in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shopflow.domain.order import Move


@dataclass(slots=True)
class _Round:
    """One batch in the hands of one process, from reading its orders (``began``) to acknowledging it (``ended``)."""

    began: int
    ended: int | None = None
    sent: list[str] = field(default_factory=list)
    interrupted: set[str] = field(default_factory=set)

    def explains_another(self, order_id: str, other: _Round) -> bool:
        """Whether a mail that this round sent, maybe unrecorded, explains that ``other`` sent one too."""
        overlaps = self.ended is None or self.ended > other.began
        return self is not other and (overlaps or order_id in self.interrupted)


class MailWatch:
    """Is told of every step of every notification process, and counts ``excused`` mails by order."""

    def __init__(self) -> None:
        self.excused: Counter[str] = Counter()
        self._now = 0
        self._rounds: dict[str, _Round] = {}
        self._last: dict[str, _Round] = {}
        self._recorded: dict[str, int] = {}

    def has_read(self, process: str) -> None:
        """The process has read the orders of its batch."""
        self._rounds[process] = _Round(self._tick())

    def has_sent(self, process: str, order_id: str) -> None:
        now, last, latest = self._tick(), self._last.get(order_id), self._rounds[process]
        in_ignorance = latest.began < self._recorded.get(order_id, now)
        if last and in_ignorance and last.explains_another(order_id, latest):
            self.excused[order_id] += 1
        latest.sent.append(order_id)
        self._last[order_id] = latest

    def has_committed(self, moves: Sequence[Move]) -> None:
        now = self._tick()
        for move in moves:
            if move.after.notified_at is not None:
                self._recorded.setdefault(move.before.order_id, now)

    def is_interrupted(self, process: str) -> None:
        """A fault hit the process: what it has sent in this round it may not have recorded."""
        if process in self._rounds:
            self._rounds[process].interrupted.update(self._rounds[process].sent)

    def has_finished(self, process: str) -> None:
        """The process has turned from its batch to its queue."""
        if process in self._rounds:
            self._rounds.pop(process).ended = self._tick()

    def _tick(self) -> int:
        self._now += 1
        return self._now
