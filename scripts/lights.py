"""The seven invariants as lights: whether each holds for the orders placed since a moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from scripts.dlq import judge_of
from scripts.faults import Running
from scripts.verify import CHUNK, DEAD_LETTERS, ONLY_TESTS_SEE, chunks
from shopflow.clock import SystemClock
from shopflow.invariants import INVARIANTS, Breach, HeldUnits, charged_as_expected, check_order
from workers.dead_letters import Walk
from workers.dry_run import Kind
from workers.gateway import transaction_id


class Lights:
    """``since``: in ms. ``may_look_at_letters``: looking hides dead letters for a moment, so not while others work."""

    def __init__(self, running: Running, since: int, may_look_at_letters: Callable[[], bool]) -> None:
        self._running = running
        self._since = since
        self._may_look_at_letters = may_look_at_letters
        self._settled: set[str] = set()
        self._judged: tuple[list[int], bool] | None = None

    def look(self) -> list[dict[str, Any]]:
        """Each invariant with ``holds``: True, False, or None while work is unfinished or when nothing shows it."""
        breaches = self._of_orders()
        lights: dict[int, bool | None] = dict.fromkeys(INVARIANTS, True)
        for breach in breaches:
            passing = breach.may_pass and lights[breach.invariant] is not False
            lights[breach.invariant] = None if passing else False
        lights[DEAD_LETTERS] = self._of_dead_letters()
        lights[ONLY_TESTS_SEE] = None
        return [{"id": number, "title": INVARIANTS[number], "holds": holds} for number, holds in lights.items()]

    def _of_orders(self) -> list[Breach]:
        held, recent, breaches = HeldUnits(), list[str](), list[Breach]()
        for order in self._running.aws.orders.all():
            held.add(order)
            if order.created_at >= self._since and order.order_id not in self._settled:
                recent.append(order.order_id)
        breaches += held.check(self._running.aws.products.all())
        for order_ids in chunks(recent, CHUNK):
            # Trails are read first, so none is ahead of its order.
            trails = {one: self._running.aws.audit.trail(one) for one in order_ids}
            for order in self._running.aws.orders.read(order_ids).values():
                charges = charged_as_expected(order, transaction_id(self._running.config.gateway.seed, order.order_id))
                found = list(check_order(order, [entry.event for entry in trails[order.order_id]], charges))
                breaches += found
                if not found:
                    self._settled.add(order.order_id)
        return breaches

    def _of_dead_letters(self) -> bool | None:
        """Judged again only when their number has changed."""
        services = [service.name for service in self._running.catalog.consumers]
        depths = [self._running.aws.dead_letters(service).depth() for service in services]
        if not any(depths):
            return True
        if self._judged and self._judged[0] == depths:
            return self._judged[1]
        if not self._may_look_at_letters():
            return None
        judge, kinds = judge_of(self._running.aws, self._running.catalog), Counter[Kind]()
        for service in services:
            with Walk(self._running.aws.dead_letters(service), SystemClock()) as walk:
                kinds.update(one.kind for letters in walk.batches() for one in judge(service, letters))
        self._judged = depths, not kinds.keys() - {Kind.BREACH}
        return self._judged[1]
