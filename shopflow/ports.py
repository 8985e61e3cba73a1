"""What ShopFlow needs of the world, each method one call to it (or one a page).

Two families implement these protocols and pass the same conformance suite: `shopflow.aws` and `shopflow.memory`.
Every method may raise `Unavailable` (no answer, outcome unknown) or `Contention` (refused, nothing written).
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
"""SNS and SQS: bytes in one batch call, all entries together."""
MAX_STATEMENTS = 25
"""DynamoDB: statements in one BatchExecuteStatement."""
_DAY_SECONDS = 24 * 3600
QUEUE_RETENTION_SECONDS, DLQ_RETENTION_SECONDS = 7 * _DAY_SECONDS, 14 * _DAY_SECONDS
"""How long the queues keep a message (terraform/modules/consumer). SQS counts from its first sending, also in the
dead-letter queue: so a message that is older than the longer of the two is gone everywhere."""
MAX_VISIBILITY_SECONDS = 12 * 3600
"""SQS: from the receive on, however often it is extended."""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An entry of the index of orders whose saga is unfinished."""

    order_id: str
    opened_at: int


def check_transaction(transitions: Sequence[Transition], stock: Mapping[str, int]) -> None:
    """Raise ``ValueError`` for what `Orders.commit` cannot make in one transaction."""
    if len(transitions) + len(stock) > MAX_TRANSACTION_ITEMS:
        raise ValueError(
            f"{len(transitions)} orders and {len(stock)} products are more than {MAX_TRANSACTION_ITEMS} items"
        )
    if len({transition.before.order_id for transition in transitions}) < len(transitions):
        raise ValueError("an order is moved twice in one transaction")


class Orders(Protocol):
    """The orders table."""

    def create(self, order: Order) -> Order:
        """Insert ``order`` unless its id is taken. Returns the order that stands there now: this one or the other."""
        ...

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        """The orders that exist of at most 100 ids, by id, in a consistent read.

        A row that cannot be read is left out and logged.
        """
        ...

    def commit(self, transitions: Sequence[Transition], stock: Mapping[str, int] | None = None) -> None:
        """Make all ``transitions``, of different orders, and add ``stock`` (units by product), all or nothing.

        Each move is made under its guard; a negative number of units is taken only if that many are there.
        A commit whose answer was lost and that is found to stand counts as made. At most `MAX_TRANSACTION_ITEMS`
        orders and products together. Raises `Conflict`, with the orders as they stand now, when a condition failed.
        """
        ...

    def open_orders(self) -> Iterator[OpenOrder]:
        """All open orders, in no order, eventually consistent, a page at a time. Unreadable rows are left out."""
        ...


class EveryOrder(Protocol):
    """The orders table as an operator sees it: no service needs to."""

    def all(self) -> Iterator[Order]:
        """Every order, in no order, in a consistent read, a page at a time.

        A row that cannot be read is left out and logged.
        """
        ...


class Products(Protocol):
    """The inventory table."""

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:
        """The products that exist of ``product_ids``, by id.

        Raises `MalformedRow` when one exists but cannot be read: a refusal "does not exist" would be untrue.
        """
        ...

    def all(self) -> list[Product]:
        """The whole assortment, sorted by id; eventually consistent. Unreadable rows are left out and logged."""
        ...

    def seed(self, product: Product) -> bool:
        """Insert the product unless it exists. Returns whether it was inserted.

        Raises ``ValueError``, with nothing written, for a product that could not be read back.
        """
        ...

    def restock(self, product_id: str, units: int) -> Product | None:
        """Add ``units`` to the stock and to the units ever received, in one write. None: there is no such product.

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
        """Insert each event unless it is there. Returns the error of each one that is neither, by event id.

        At most `MAX_STATEMENTS` events of different ids.
        """
        ...

    def has(self, order_id: str, event_id: str) -> bool:
        """Whether that event is in the log: the receipt that it was published. A consistent read."""
        ...

    def trail(self, order_id: str) -> list[AuditEntry]:
        """The entries of one order, sorted by event id: chronologically."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event's wire text, with what travels beside it: the type, which the subscriptions filter on, and the trace.

    ``order_id`` does not travel: it names the order in the log.
    """

    event_id: str
    event_type: str
    text: str
    trace_parent: str | None = None
    order_id: str = ""


class Topic(Protocol):
    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        """Publish at most `MAX_BATCH_ENTRIES` events in one call. Returns the ids of those that were not accepted."""
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
        """Delete at most 10 messages. Returns those that were not; one that is gone already counts as deleted."""
        ...

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        """Hide each of at most 10 messages for so long from now (0: visible at once).

        Returns those for which it failed: they are visible again, or gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages in one queue, about: waiting, and in flight (received but not deleted yet)."""

    waiting: int
    in_flight: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits for one service, and how much it has given up on."""

    queue: QueueDepth
    dead_letters: QueueDepth


class Backlogs(Protocol):
    """The queues as an operator sees them."""

    def of(self, service: str) -> Backlog: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One delivery of a dead message. ``sent_at``: when it was first sent (ms); ``attributes`` as SQS gave them."""

    message: Message
    sent_at: int
    attributes: Mapping[str, Any] = field(hash=False)


def in_batches(letters: Sequence[DeadLetter]) -> Iterator[Sequence[DeadLetter]]:
    """As many at a time as one call to SQS takes."""
    return (letters[start : start + MAX_BATCH_ENTRIES] for start in range(0, len(letters), MAX_BATCH_ENTRIES))


class DeadLetters(Protocol):
    """One service's dead-letter queue, and the way back from it, as an operator sees them."""

    def depth(self) -> int:
        """Messages in it, about, those in flight included."""
        ...

    def receive(self, most: int, hide_seconds: int, wait_seconds: int) -> list[DeadLetter]:
        """Up to ``most`` (1-10), hidden for ``hide_seconds`` (0-43,200). Waits up to ``wait_seconds`` for the first."""
        ...

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        """Hide them for so long from now; 0 gives them back: visible at once.

        Passes over those that are gone, and those that another has received since.
        """
        ...

    def delete(self, letters: Sequence[DeadLetter]) -> int:
        """Delete them for good. Returns how many of them are gone now."""
        ...

    def redrive(self, letter: DeadLetter) -> str:
        """Send it to its queue as it is, then delete it here: dying in between doubles it, which consumers bear.

        Returns the id of the new message.
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
    def charge(self, idempotency_key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:
        """Charge ``amount`` once for each key: the same key is given the same answer, and pays only once.

        A charge is over exactly ``amount``, with a transaction id of 1 to 64 characters. The caller checks that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to a customer; ``event_id`` is the event that it is about."""

    customer_id: str
    order_id: str
    event_id: str
    subject: str
    text: str


class Mailer(Protocol):
    def send(self, mail: Mail) -> None:
        """Tell the customer. `Contention`: it was not sent; `Unavailable`: it may have been."""
        ...
