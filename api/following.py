"""What happens to orders, looked up once for all who watch.

Each round is one BatchGet of the orders that are followed, and a query of an order's trail only when there may be
something in it that is not known yet. Nothing is looked up while nobody watches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from api.followed import Followed, Seen, is_history
from api.recent import RecentOrders
from api.ticking import InBackground, Ticker, in_thread
from shopflow.clock import Clock
from shopflow.domain.order import Order
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.ports import AuditEntry, AuditLog, Orders

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
MAX_PER_READ = 100
"""DynamoDB: keys in one BatchGetItem."""
MAX_ACCEPTED = 50
"""Followed for those who listen. Beyond, some orders are followed to their end, and others not at all."""
LATELY_MS = 120_000
"""An order that was accepted longer ago is followed only for those who watch it."""


@dataclass(frozen=True, slots=True)
class Change:
    """News of one order: the entries that were found, and whether its status is another than before."""

    order: Order
    entries: tuple[AuditEntry, ...] = ()
    status_changed: bool = False


Listener = Callable[[Change], None]


class Watch:
    """One watcher's view of one order: ``seen`` is replaced when there is news."""

    def __init__(self, order: Order) -> None:
        self.seen = Seen(order)
        self._news = threading.Event()

    def show(self, seen: Seen) -> None:
        if seen is not self.seen:
            self.seen = seen
            self._news.set()

    def wait(self, seconds: float) -> None:
        """Wait for news since the last wait, so long at most."""
        if self._news.wait(seconds):
            self._news.clear()


class Follower:
    """Follows the orders that are watched and, while somebody listens, those that this process accepts (``recent``).

    Everything but `tick` may be called from any thread.
    """

    def __init__(
        self,
        orders: Orders,
        audit: AuditLog,
        recent: RecentOrders,
        clock: Clock,
        in_background: InBackground = in_thread,
    ) -> None:
        self._orders = orders
        self._audit = audit
        self._recent = recent
        self._clock = clock
        self._ticker = Ticker(self.tick, TICK_SECONDS, in_background)
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._listeners: set[Listener] = set()
        # From here on the ticking thread's own.
        self._followed: dict[str, Followed] = {}
        self._accepted: dict[str, int] = {}  # when, by order id
        self._considered = 0  # the number of the latest accepted order that was followed or passed over

    def watch(self, watch: Watch) -> None:
        """Follow its order until `unwatch`."""
        with self._lock:
            self._watches.add(watch)
        self._ticker.join()

    def unwatch(self, watch: Watch) -> None:
        """No harm in calling it for one that does not watch."""
        with self._lock:
            known = watch in self._watches
            self._watches.discard(watch)
        if known:
            self._ticker.leave()

    def listen(self, listener: Listener) -> None:
        """Tell ``listener``, in the ticking thread, of every change of every order that is followed."""
        with self._lock:
            self._listeners.add(listener)
        self._ticker.join()

    def unlisten(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
        self._ticker.leave()

    def wait(self, watch: Watch, seconds: float) -> None:
        """Wait for news in ``watch``, so long at most."""
        watch.wait(seconds)

    def tick(self) -> None:
        """One round: look at what is followed, and tell. Raises `Unavailable`, after telling what was found."""
        with self._lock:
            watches, listeners = list(self._watches), list(self._listeners)
        watched = {watch.seen.order.order_id for watch in watches}
        self._choose_accepted(anybody_listens=bool(listeners))
        wanted = watched | self._accepted.keys()
        self._followed = {order_id: one for order_id, one in self._followed.items() if order_id in wanted}
        try:
            for change in self._look_at(wanted, watched):
                for tell in listeners:
                    tell(change)
        finally:
            for watch in watches:
                if followed := self._followed.get(watch.seen.order.order_id):
                    watch.show(followed.seen)

    def _choose_accepted(self, *, anybody_listens: bool) -> None:
        """Keep to those that are followed already, and fill up with the latest."""
        if not anybody_listens:
            self._accepted = {}
            return
        since = self._clock.now_ms() - LATELY_MS
        kept = {one: at for one, at in self._accepted.items() if at >= since and not self._is_settled(one)}
        fresh = self._recent.after(self._considered)
        if fresh:
            self._considered = fresh[-1].number
        places = MAX_ACCEPTED - len(kept)
        latest = fresh[-places:] if places else []
        self._accepted = kept | {one.order_id: one.at_ms for one in latest if one.at_ms >= since}

    def _is_settled(self, order_id: str) -> bool:
        followed = self._followed.get(order_id)
        return followed is not None and followed.seen.settled

    def _look_at(self, order_ids: Collection[str], watched: Collection[str]) -> Iterator[Change]:
        unsettled = iter(sorted(order_id for order_id in order_ids if not self._is_settled(order_id)))
        while chunk := list(islice(unsettled, MAX_PER_READ)):
            for order in self._orders.read(chunk).values():
                now = self._clock.now_ms()
                if order.order_id in self._followed or order.order_id in watched or not is_history(order, now):
                    yield from self._changes(order, now)
                else:
                    del self._accepted[order.order_id]

    def _changes(self, order: Order, now: int) -> Iterator[Change]:
        followed = self._followed.get(order.order_id)
        is_first = followed is None
        if followed is None:
            followed = self._followed[order.order_id] = Followed(order, now)
        if followed.saw(order, now) or is_first:
            yield Change(order, status_changed=True)
        if followed.trail_is_due(now) and (news := self._look_at_trail(followed, now)):
            yield Change(order, entries=news)

    def _look_at_trail(self, followed: Followed, now: int) -> tuple[AuditEntry, ...]:
        order_id = followed.seen.order.order_id
        try:
            return followed.saw_trail(self._audit.trail(order_id), now)
        except Unavailable:
            followed.put_off(now)
            raise
        except Exception:
            # What is wrong with one order must not keep the others from being seen.
            log.exception("cannot read a trail", extra=about(order_id=order_id))
            followed.put_off(now)
            return ()
