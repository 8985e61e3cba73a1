"""The seven invariants as lights: whether each holds for the orders placed since a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.dlq import judge_of
from scripts.faults import Running
from scripts.verify import CHUNK, DEAD_LETTERS, ONLY_TESTS_SEE, Findings, check_dead_letters, chunks
from shopflow.invariants import INVARIANTS, Breach, HeldUnits, charged_as_expected, check_order
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
        lights: dict[int, bool | None] = dict.fromkeys(INVARIANTS, True)
        for breach in self._of_orders():
            passing = breach.may_pass and lights[breach.invariant] is not False
            lights[breach.invariant] = None if passing else False
        lights[DEAD_LETTERS] = self._of_dead_letters()
        lights[ONLY_TESTS_SEE] = None
        return [{"id": number, "title": INVARIANTS[number], "holds": holds} for number, holds in lights.items()]

    def _of_orders(self) -> list[Breach]:
        aws, held, recent = self._running.aws, HeldUnits(), list[str]()
        for order in aws.orders.all():
            held.add(order)
            if order.created_at >= self._since and order.order_id not in self._settled:
                recent.append(order.order_id)
        breaches = list(held.check(aws.products.all()))
        for order_ids in chunks(recent, CHUNK):
            # Trails are read first, so none is ahead of its order.
            trails = {one: [entry.event for entry in aws.audit.trail(one)] for one in order_ids}
            for order in aws.orders.read(order_ids).values():
                charges = charged_as_expected(order, transaction_id(self._running.config.gateway.seed, order.order_id))
                found = list(check_order(order, trails[order.order_id], charges))
                breaches += found
                if not found:
                    self._settled.add(order.order_id)
        return breaches

    def _of_dead_letters(self) -> bool | None:
        """Judged again only when their number has changed."""
        aws, catalog = self._running.aws, self._running.catalog
        letters = {service.name: aws.dead_letters(service.name) for service in catalog.consumers}
        depths = [dlq.depth() for dlq in letters.values()]
        if not any(depths):
            return True
        if self._judged and self._judged[0] == depths:
            return self._judged[1]
        if not self._may_look_at_letters():
            return None
        judge, findings = judge_of(aws, catalog), Findings()
        for service, dlq in letters.items():
            check_dead_letters(service, dlq, judge, findings, lambda _: None)
        self._judged = depths, findings.breaches.holds
        return findings.breaches.holds
