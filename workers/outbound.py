"""Remembers the mails that this process has sent, so that an outage does not become a storm of mail."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from shopflow.clock import Clock
from shopflow.errors import Contention, Unavailable
from shopflow.messaging.retry import Backoff
from shopflow.ports import Mail, Mailer

MAX_REMEMBERED = 10_000
"""Orders remembered. The oldest is forgotten first. Its customer may then get the mail again."""
AGAIN = Backoff(first_seconds=60, factor=2, most_seconds=3600)
"""The delay before the next mail when the mailer did not say whether it sent the last. That is about seven mails in an
hour instead of two hundred."""


@dataclass(frozen=True, slots=True)
class _Mailing:
    """One order's mail: it was sent, or its outcome is unknown after ``tries`` and the next try is due (ms)."""

    sent: bool
    tries: int
    due: float = 0.0


class Outbound:
    """Sends an order's mail once in the life of this process, however often its message comes. Thread-safe.

    When the mailer does not say whether it sent a mail (`Unavailable`), the mail is sent again after a growing delay:
    every customer must get one. Any other error of the mailer means that it did not send.
    """

    def __init__(self, mailer: Mailer, clock: Clock) -> None:
        self._mailer = mailer
        self._clock = clock
        self._mailings: dict[str, _Mailing] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def send(self, mail: Mail) -> None:
        """Send ``mail`` unless this process has sent it before.

        Raises `Contention` while another thread sends the same order's mail; `Unavailable` during the delay after a try
        of unknown outcome; and what the mailer raises.
        """
        with self._lock:
            if mail.order_id in self._busy:
                raise Contention(f"another thread is sending the mail of {mail.order_id}")
            self._busy.add(mail.order_id)
        try:
            self._send(mail)
        finally:
            with self._lock:
                self._busy.discard(mail.order_id)

    def _send(self, mail: Mail) -> None:
        known = self._mailings.get(mail.order_id, _Mailing(sent=False, tries=0))
        if known.sent:
            return
        now = self._clock.now_ms()
        if 0 < known.due - now <= 1000 * AGAIN.most_seconds:  # a clock that was set back must not stop the mail
            raise Unavailable(f"unknown whether the mail of {mail.order_id} was sent: waiting before the next try")
        try:
            self._mailer.send(mail)
        except Contention:
            raise
        except Unavailable:
            tries = known.tries + 1
            self._remember(mail.order_id, _Mailing(sent=False, tries=tries, due=now + 1000 * AGAIN.delay(tries)))
            raise
        self._remember(mail.order_id, _Mailing(sent=True, tries=known.tries))

    def _remember(self, order_id: str, mailing: _Mailing) -> None:
        with self._lock:
            self._mailings.pop(order_id, None)
            self._mailings[order_id] = mailing
            if len(self._mailings) > MAX_REMEMBERED:
                del self._mailings[next(iter(self._mailings))]
