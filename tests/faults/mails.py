"""Which mails have a reason: the process that sent one died, another had the message too, or the mailer did not answer.

However long a fault lasts, a process sends the mail of an order once in its life.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from shopflow.domain.order import Transition


class MailWatch:
    """Is told of every step of every notification process, and counts ``excused`` mails by order."""

    def __init__(self) -> None:
        self.excused: Counter[str] = Counter()
        self._now = 0
        self._lives: Counter[str] = Counter()
        self._read_at: dict[str, int] = {}
        self._senders: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        self._recorded_at: dict[str, int] = {}

    def has_read(self, process: str) -> None:
        """The process has read the orders of its batch."""
        self._read_at[process] = self._tick()

    def has_sent(self, process: str, order_id: str) -> None:
        """The mailer has sent the mail. It is excused if this life of the process is not the first to send it, could
        not know that it was recorded, and sends it for the first time."""
        life, senders = (process, self._lives[process]), self._senders[order_id]
        knew = self._recorded_at.get(order_id, self._tick()) < self._read_at[process]
        if senders and life not in senders and not knew:
            self.excused[order_id] += 1
        senders.add(life)

    def got_no_answer(self, order_id: str) -> None:
        """The mail was sent, and the process was not told: it has to send it again."""
        self.excused[order_id] += 1

    def has_committed(self, transitions: Sequence[Transition]) -> None:
        now = self._tick()
        for transition in transitions:
            if transition.after.notified_at is not None:
                self._recorded_at.setdefault(transition.before.order_id, now)

    def has_died(self, process: str) -> None:
        self._lives[process] += 1

    def _tick(self) -> int:
        self._now += 1
        return self._now
