"""The in-memory twins of one stack, wired as Terraform wires the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from shopflow.catalog import Catalog
from shopflow.clock import Clock
from shopflow.domain.stock import Product
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.memory.tables import MemoryAuditLog, MemoryOrders, MemoryProducts, Tables
from shopflow.ports import DLQ_RETENTION_SECONDS


@dataclass(frozen=True, slots=True)
class Twins:
    """Queues and dead-letter queues are by service."""

    tables: Tables
    orders: MemoryOrders
    products: MemoryProducts
    audit: MemoryAuditLog
    topic: MemoryTopic
    queues: Mapping[str, MemoryQueue]
    dlqs: Mapping[str, MemoryQueue]

    def seed(self, stock: Mapping[str, int]) -> None:
        """Put new products into the assortment, so many units of each."""
        for name, units in stock.items():
            self.products.put(Product(name, f"Name of {name}", Decimal("9.99"), units, units))


def wire(
    catalog: Catalog,
    clock: Clock,
    *,
    orders: Callable[[Tables], MemoryOrders] = MemoryOrders,
    audit: MemoryAuditLog | None = None,
    topic: MemoryTopic | None = None,
    queue: Callable[..., MemoryQueue] = MemoryQueue,
) -> Twins:
    """New, empty twins. A simulation passes faulty ones."""
    tables = Tables()
    topic = topic or MemoryTopic()
    dlqs = {
        service.name: MemoryQueue(clock, f"{service.name}-dlq", retention_seconds=DLQ_RETENTION_SECONDS)
        for service in catalog.consumers
    }
    queues = {name: queue(clock, name, dlq=dlq) for name, dlq in dlqs.items()}
    for service in catalog.consumers:
        topic.subscribe(queues[service.name], service.consumes)
    return Twins(tables, orders(tables), MemoryProducts(tables), audit or MemoryAuditLog(), topic, queues, dlqs)
