"""The handler of each service, and the ports that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shopflow.aws.wiring import Aws
from shopflow.clock import Clock, HeaderFactory, SystemClock
from shopflow.config import Config
from shopflow.messaging.handler import Handler
from shopflow.messaging.outbox import Outbox
from shopflow.ports import MAX_BATCH_ENTRIES, AuditLog, Gateway, Mailer, Orders, Products
from workers.audit import Audit
from workers.gateway import gateway_of
from workers.inventory import Inventory
from workers.notification import Notification, OrderMailer
from workers.payment import Mapper, Payment


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """What the handlers need. ``each`` maps a call over the events of a batch.

    The gateway and the mailer are made only in the service that uses them, so no other service needs their settings.
    """

    orders: Orders
    products: Products
    audit: AuditLog
    gateway: Callable[[], Gateway]
    mailer: Callable[[], Mailer]
    clock: Clock
    headers: HeaderFactory
    each: Mapper


def ports_on(aws: Aws, config: Config, consumers: int) -> WorkerPorts:
    """The ports of a real worker with that many consumers."""
    clock = SystemClock()
    pool = ThreadPoolExecutor(MAX_BATCH_ENTRIES * consumers, thread_name_prefix="charge")
    return WorkerPorts(
        orders=aws.orders,
        products=aws.products,
        audit=aws.audit,
        gateway=lambda: gateway_of(config.gateway),
        mailer=lambda: OrderMailer(aws.mailer()),
        clock=clock,
        headers=HeaderFactory(clock),
        each=pool.map,
    )


HANDLERS: Mapping[str, Callable[[WorkerPorts, Outbox], Handler]] = {
    "inventory": lambda use, outbox: Inventory(use.orders, use.products, outbox, use.headers, use.clock),
    "payment": lambda use, outbox: Payment(use.orders, use.gateway(), outbox, use.headers, use.each),
    "notification": lambda use, _: Notification(use.orders, use.mailer(), use.clock),
    "audit": lambda use, _: Audit(use.audit, use.clock),
}
