"""Orders in a running ShopFlow as a crash leaves them: committed but not published, or released but still open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shopflow.clock import HeaderFactory, SystemClock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, Transition, create, decline, notify, release, reserve
from shopflow.domain.stock import returned
from shopflow.messaging.outbox import Publisher, stored_event
from tests.live import VISA, Live
from tests.system import CATALOG, CONTRACTS, OUTBOX

HEADERS = HeaderFactory(SystemClock())


def drafted(live: Live, product: str) -> Order:
    """An order of two units, not stored."""
    header = HEADERS.new(EventType.ORDER_CREATED)
    line = Line(product, "Test product", 2, live.aws.products.read([product])[product].price)
    order_id = "ORD-" + header.event_id[-8:]
    draft = Order(order_id, "CUST-TEST", (line,), header.time_ms, header.time_ms, payment_method=VISA)
    return create(draft, header)


def committed(live: Live, product: str) -> tuple[Order, list[Event]]:
    """A stored order of two units, with its `order.created`, which nobody has published."""
    order = live.aws.orders.create(drafted(live, product))
    return order, [stored_event(CATALOG, order)]


def released(live: Live, product: str, *, notified: bool) -> tuple[Order, list[Event]]:
    """A declined order whose units are back in stock, but which is still open, with its events. None is published."""
    order, events = committed(live, product)

    def commit(event_type: EventType, step: Callable[..., Transition], *reason: str, units: int = 0) -> None:
        nonlocal order
        transition = step(order, HEADERS.new(event_type, events[-1]), *reason)
        stock = {name: units * count for name, count in returned(order).items()} if units else {}
        live.aws.orders.commit([transition], stock)
        order = transition.after
        events.append(stored_event(CATALOG, order))

    commit(EventType.INVENTORY_RESERVED, reserve, units=-1)
    commit(EventType.PAYMENT_FAILED, decline, "Card expired")
    commit(EventType.INVENTORY_RELEASED, release, units=1)
    if notified:
        notifying = notify(order, SystemClock().now_ms())
        live.aws.orders.commit([notifying])
        order = notifying.after
    return order, events


def publish(live: Live, events: Sequence[Event]) -> None:
    published = Publisher(live.aws.topic).publish([OUTBOX.encode(event) for event in events])
    assert len(published) == len(events)


def record(live: Live, events: Sequence[Event]) -> None:
    """Have them in the audit log, though no other service receives them."""
    for event in events:
        live.send("audit", CONTRACTS.encode(event))
