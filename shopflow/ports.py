"""The ports: what ShopFlow needs from the outside. Each method is one call, or one call for each page.

`shopflow.aws` and `shopflow.memory` both implement them and pass the same conformance suite. Every method may raise
`Unavailable` (no answer, outcome unknown) or `Contention` (refused, nothing written).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from shopflow.domain.event import Event
from shopflow.domain.order import Order, Transition
from shopflow.domain.stock import Product

MAX_TRANSACTION_ITEMS = 100
"""DynamoDB: items in one TransactWriteItems."""
MAX_BATCH_ENTRIES = 10
"""SNS and SQS: entries in one batch call."""
MAX_BATCH_BYTES = 256 * 1024
"""SNS and SQS: bytes in one message, and in one batch call with all its entries together."""
MAX_STATEMENTS = 25
"""DynamoDB: statements in one BatchExecuteStatement."""
_DAY_SECONDS = 24 * 3600
QUEUE_RETENTION_SECONDS, DLQ_RETENTION_SECONDS = 7 * _DAY_SECONDS, 14 * _DAY_SECONDS
"""How long the queues keep a message (terraform/modules/consumer). SQS counts from the first sending, also in the
dead-letter queue. So a message older than the longer of the two is deleted everywhere."""
MAX_VISIBILITY_SECONDS = 12 * 3600
"""SQS: the longest time that a message can be hidden after a receive, however often that is extended."""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An entry in the index of open orders."""

    order_id: str
    opened_at: int


def check_transaction(transitions: Sequence[Transition], stock: Mapping[str, int]) -> None:
    """Raise ``ValueError`` if this does not fit into one `Orders.commit`."""
    if len(transitions) + len(stock) > MAX_TRANSACTION_ITEMS:
        raise ValueError(
            f"{len(transitions)} orders and {len(stock)} products are more than {MAX_TRANSACTION_ITEMS} items"
        )
    if len({transition.before.order_id for transition in transitions}) < len(transitions):
        raise ValueError("an order is changed twice in one transaction")


class Orders(Protocol):
    """The orders table."""

    def create(self, order: Order) -> Order:
        """Insert ``order`` unless its id is taken. Returns the order that now has it: this or an earlier one."""
        ...

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        """The orders that exist among ``order_ids``, by id. A consistent read of any number of them.

        A row that cannot be read is left out and logged.
        """
        ...

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
        """Commit all ``transitions``, of different orders, and add ``stock`` (units by product): all or nothing.

        Each transition has its guard; a negative number of units is taken only if that many are in stock. A commit that
        was made although its answer was lost counts as made. At most `MAX_TRANSACTION_ITEMS` orders and products
        together. Raises `Conflict`, with the orders as they are now, when a condition failed.
        """
        ...

    def commit_each(self, transitions: Sequence[Transition]) -> dict[str, Exception]:
        """Commit each of ``transitions``, of different orders, on its own.

        Returns, by order id, the error of each one that was not committed: what `commit` would have raised.
        """
        ...

    def open_orders(self) -> Iterator[OpenOrder]:
        """All open orders, unsorted, eventually consistent, a page at a time. Unreadable rows are left out."""
        ...


class EveryOrder(Protocol):
    """The orders table for operators. No service needs this."""

    def all(self) -> Iterator[Order]:
        """Every order, unsorted, in a consistent read, a page at a time.

        A row that cannot be read is left out and logged.
        """
        ...


class Products(Protocol):
    """The inventory table."""

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:
        """The products that exist among ``product_ids``, by id.

        Raises `MalformedRow` when one exists but cannot be read: to leave it out would say that it does not exist.
        """
        ...

    def all(self) -> list[Product]:
        """All products, sorted by id, eventually consistent. Unreadable rows are left out and logged."""
        ...

    def put(self, product: Product) -> bool:
        """Insert the product. One that exists gets this name and price, and keeps its units. Returns whether it is new.

        Raises ``ValueError``, with nothing written, for a product that could not be read back.
        """
        ...

    def restock(self, product_id: str, units: int) -> Product | None:
        """Add ``units`` to the stock and to the units ever received, in one write. None if there is no such product.

        Raises `MalformedRow`, with nothing written, when its row cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An event and the moment it was written to the audit log."""

    event: Event
    stored_at: int


class AuditLog(Protocol):
    """The events table: insert-only."""

    def insert(self, events: Sequence[Event], stored_at: int) -> dict[str, Exception]:
        """Insert each event that is not in the log. Returns, by event id, the error of each that could not be inserted.

        At most `MAX_STATEMENTS` events with different ids.
        """
        ...

    def has(self, order_id: str, event_id: str) -> bool:
        """Whether the event is in the log, which proves that it was published. A consistent read."""
        ...

    def trail(self, order_id: str) -> list[AuditEntry]:
        """The entries of one order, sorted by event id: chronologically."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event's text for the wire. Its type, for the subscriptions' filters, and its trace travel beside it.

    ``order_id`` stays here: it names the order in the log.
    """

    event_id: str
    event_type: str
    text: str
    trace_parent: str | None = None
    order_id: str = ""


class Topic(Protocol):
    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        """Publish at most `MAX_BATCH_ENTRIES` events in one call. Returns the ids of those that were refused."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of one message. ``receive_count`` is 1 at the first."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    trace_parent: str | None = None


class Queue(Protocol):
    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        """Up to ``most`` (1-10) messages, waiting up to ``wait_seconds`` (0-20) for the first one."""
        ...

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete at most 10 messages. Returns those that were not deleted. A message that is gone counts as deleted."""
        ...

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        """Hide each of at most 10 messages for its number of seconds from now (0: visible at once).

        Returns those for which it failed: they are visible or gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """About how many messages a queue has: waiting, and in flight (received but not deleted)."""

    waiting: int
    in_flight: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight


@dataclass(frozen=True, slots=True)
class Backlog:
    """The depth of a service's queue and of its dead-letter queue."""

    queue: QueueDepth
    dead_letters: QueueDepth


class Backlogs(Protocol):
    """The queues' depths, for operators."""

    def of(self, service: str) -> Backlog: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One delivery of a dead letter. ``sent_at``: when it was first sent (ms). ``attributes``: as SQS gave them."""

    message: Message
    sent_at: int
    attributes: Mapping[str, Any] = field(hash=False)


def in_batches(letters: Sequence[DeadLetter]) -> Iterator[Sequence[DeadLetter]]:
    """``letters`` in batches for one call to SQS each."""
    return (letters[start : start + MAX_BATCH_ENTRIES] for start in range(0, len(letters), MAX_BATCH_ENTRIES))


class DeadLetters(Protocol):
    """One service's dead-letter queue, for operators."""

    def depth(self) -> int:
        """About how many messages it has, those in flight included."""
        ...

    def receive(self, most: int, hide_seconds: int, wait_seconds: int) -> list[DeadLetter]:
        """Up to ``most`` (1-10), hidden for ``hide_seconds`` (0-43,200). Waits up to ``wait_seconds`` for the first."""
        ...

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        """Hide them for ``seconds`` from now (0: visible at once).

        Skips letters that were deleted or received by another consumer.
        """
        ...

    def delete(self, letters: Sequence[DeadLetter]) -> int:
        """Delete them for good. Returns how many are gone."""
        ...

    def redrive(self, letter: DeadLetter) -> str:
        """Send the letter to its service's queue, then delete it here. Returns the id of the new message.

        A crash in between delivers it twice; consumers are idempotent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """The gateway took the money."""

    transaction_id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Decline:
    """The gateway took no money."""

    reason: str


class Gateway(Protocol):
    @property
    def name(self) -> str:
        """For the log line of each charge."""
        ...

    def charge(self, idempotency_key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:
        """Charge ``amount`` once for each key. The same key gets the same answer and pays only once.

        A charge is for exactly ``amount`` and has a transaction id of 1 to 64 characters. The caller checks that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to a customer about the event ``event_id``. ``address``: None if the order has none."""

    customer_id: str
    order_id: str
    event_id: str
    subject: str
    text: str
    address: str | None = field(default=None, repr=False)


class Mailer(Protocol):
    def send(self, mail: Mail) -> None:
        """Send ``mail``. `Contention`: it was not sent. `Unavailable`: it may have been sent."""
        ...
