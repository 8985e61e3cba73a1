"""The scenarios of the crash matrix: each path that an order can take, and the races between two orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shopflow.domain.order import Status
from shopflow.memory.queues import MemoryTopic
from shopflow.ports import Outgoing

VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
Request = tuple[Mapping[str, int], str]


class RefusingTopic(MemoryTopic):
    """Refuses each event the first time that it is published."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        refused = frozenset(outgoing.event_id for outgoing in batch) - self._seen
        self._seen |= refused
        return refused | super().publish([outgoing for outgoing in batch if outgoing.event_id not in refused])


@dataclass(frozen=True, slots=True)
class Scenario:
    """Orders placed at once, and the statuses in which they end, whichever order wins.

    ``rival_comes_at``: a service and a call. The first time that it makes this call, the last order is placed, and a
    second process of the service processes it before the call is made. ``needs_relay``: without the relay the orders
    cannot close.
    """

    name: str
    stock: Mapping[str, int]
    requests: Sequence[Request]
    ends: Sequence[Status]
    rival_comes_at: tuple[str, str] | None = None
    topic: Callable[[], MemoryTopic] = MemoryTopic
    needs_relay: bool = False


HAPPY = Scenario("happy", {"A": 5}, [({"A": 2}, VISA)], [Status.COMPLETED])
OUT_OF_STOCK = Scenario("out of stock", {"A": 1}, [({"A": 2}, VISA)], [Status.INVENTORY_FAILED])
MULTI_ITEM = Scenario("multi-item", {"A": 5, "B": 1, "C": 9}, [({"A": 2, "B": 1, "C": 3}, VISA)], [Status.COMPLETED])
DECLINED = Scenario(
    "declined", {"A": 5, "B": 5}, [({"A": 2, "B": 1}, EXPIRED)], [Status.PAYMENT_FAILED], needs_relay=True
)
LAST_UNIT = Scenario(
    "last unit in one batch",
    {"A": 1},
    [({"A": 1}, VISA), ({"A": 1}, VISA)],
    [Status.COMPLETED, Status.INVENTORY_FAILED],
)
LOST_RACE = Scenario(
    "lost race",
    {"A": 1, "B": 9},
    [({"A": 1}, VISA), ({"B": 1, "A": 1}, VISA)],
    [Status.COMPLETED, Status.INVENTORY_FAILED],
    rival_comes_at=("inventory", "orders.commit"),
)
HAPPY_REFUSED = Scenario(
    "happy, every event refused at first",
    {"A": 5},
    [({"A": 2}, VISA)],
    [Status.COMPLETED],
    topic=RefusingTopic,
    needs_relay=True,
)
DECLINED_REFUSED = Scenario(
    "declined, every event refused at first",
    {"A": 5},
    [({"A": 2}, EXPIRED)],
    [Status.PAYMENT_FAILED],
    topic=RefusingTopic,
    needs_relay=True,
)
SCENARIOS = (HAPPY, OUT_OF_STOCK, MULTI_ITEM, DECLINED, LAST_UNIT, LOST_RACE, HAPPY_REFUSED, DECLINED_REFUSED)
