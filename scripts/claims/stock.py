"""Claims 4 and 6: the race for the last item, and inventory scaled on its own."""

from __future__ import annotations

from collections import defaultdict

from scripts.claims.lab import LAST, MUG, Lab, Verdict, completed
from scripts.e2e import wait_for
from shopflow.domain.order import EventType, Status
from shopflow.errors import Conflict

CROWD = 60
PROCESSES = 3
START_SECONDS = 30


def last_item(lab: Lab) -> Verdict:
    """Exactly one of two customers gets the last unit."""
    lab.stock(LAST, 1)
    lab.step("The stock of DEMO-LAST is 1. Two customers order it at the same moment.")
    orders = lab.ended(lab.orders_at_once(2, LAST))
    for order in orders:
        lab.evidence(order.order_id, f"{order.status}: {order.failure_reason or 'it has the unit'}")
    stock = lab.stock_of(LAST)
    lab.evidence("stock", stock)
    refused = False
    if stock == 0:
        lab.step("We try the write of the loser once more ourselves: take 1 if stock >= 1.")
        try:
            lab.running.aws.orders.commit([], {LAST.product_id: -1})
        except Conflict as conflict:
            refused = LAST.product_id in conflict.products
            lab.evidence("conditional write", f"DynamoDB refuses it: {conflict}")
    statuses = sorted(str(order.status) for order in orders)
    holds = statuses == [Status.COMPLETED, Status.INVENTORY_FAILED] and stock == 0 and refused
    return Verdict(holds, f"The two orders ended as {' and '.join(statuses)}; {stock} units are left.")


def scaled_inventory(lab: Lab) -> Verdict:
    """More inventory processes share one queue, and nothing is taken twice."""
    lab.stock(MUG, CROWD)
    before = lab.running.supervisor.pids()
    took: defaultdict[str, list[str]] = defaultdict(list)
    consuming: set[str] = set()

    def hear(label: str, line: str) -> None:
        if label.startswith("inventory"):
            took[label].append(line)
            if "consuming with" in line:
                consuming.add(label)

    with lab.hearing(hear):
        added = lab.running.supervisor.scale("inventory", PROCESSES)
        lab.step(f"We start {len(added)} more inventory processes: {', '.join(added) or 'there are enough'}.")
        try:
            wait_for(lambda: consuming, lambda seen: seen.issuperset(added), START_SECONDS)
            lab.step(f"We place {CROWD} orders at once. The processes share one queue.")
            ids = lab.orders_at_once(CROWD)
            orders = lab.ended(ids)
        finally:
            lab.step("We stop the added processes.")
            lab.running.supervisor.remove(added)
    shares = {label: [one for one in ids if _reserved(lines, one)] for label, lines in took.items()}
    for label, share in sorted(shares.items()):
        lab.evidence(f"reserved by {label}", len(share))
    reservations = sum(map(len, shares.values()))
    done, stock, calm = completed(orders), lab.stock_of(MUG), lab.untouched(before, [])
    lab.evidence("orders completed", f"{done} of {CROWD}")
    lab.evidence("units left", stock)
    lab.evidence("processes that ran before are the same", "yes" if calm else "no")
    several = sum(map(bool, shares.values())) > 1
    holds = several and reservations == done == CROWD and stock == 0 and calm
    return Verdict(
        holds, f"{reservations} reservations for {CROWD} orders, by {len(shares)} processes; {stock} units left."
    )


def _reserved(lines: list[str], order_id: str) -> bool:
    return any(order_id in line and EventType.INVENTORY_RESERVED in line for line in lines)
