"""What the fault tests inject: crashes, refusals, lost answers, wrong answers, damaged rows and poison."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from shopflow.aws.items import Item
from shopflow.catalog import SCHEMAS
from shopflow.errors import Contention, Unavailable
from shopflow.memory.tables import Rows
from shopflow.ports import Charge, Decline
from tests.system import CATALOG
from tests.taps import Crash

Instead = Callable[[partial[Any]], Any]
"""What happens instead of a call. It may make the call."""
DAY = 24 * 3600


def crash_before(call: partial[Any]) -> Any:
    raise Crash


def crash_after(call: partial[Any]) -> Any:
    call()
    raise Crash


def refuse(call: partial[Any]) -> Any:
    raise Contention("refused")


def lose_the_answer(call: partial[Any]) -> Any:
    call()
    raise Unavailable("the answer was lost")


def break_down(call: partial[Any]) -> Any:
    """An error that nobody foresaw."""
    raise KeyError("unforeseen")


def subjects_of(method: str, call: partial[Any]) -> list[str]:
    """The orders (of `products`: the products) that a call is about; none where each entry has its own answer."""
    match method, call.args:
        case "orders.create", (order,):
            return [order.order_id]
        case "orders.read" | "products.read", (ids, *_):
            return sorted(ids)
        case (("orders.commit" | "orders.commit_each"), (transitions, *_)):
            return [transition.before.order_id for transition in transitions]
        case (("audit.has" | "audit.trail" | "gateway.charge"), (order_id, *_)):
            return [order_id]
        case "mailer.send", (mail,):
            return [mail.order_id]
        case _:
            return []


Answer = Callable[[Any], Any]


def _raise(error: Exception) -> Any:
    raise error


def _charged(**changes: Any) -> Answer:
    return lambda answer: replace(answer, **changes) if isinstance(answer, Charge) else answer


def _declined(reason: Any) -> Answer:
    return lambda answer: Decline(reason) if isinstance(answer, Decline) else answer


GATEWAY: tuple[Answer, ...] = (
    _charged(transaction_id="T" * 65),
    _charged(transaction_id=""),
    _charged(transaction_id=None),
    _charged(transaction_id="TXN-\uffff"),
    _charged(amount=Decimal("0.01")),
    _charged(amount=Decimal("-1")),
    _charged(amount=Decimal("NaN")),
    _declined(""),
    _declined("x" * 501),
    _declined("no\x00 way \ufffe"),
    _declined(None),
    lambda _: None,
    lambda _: {"status": "ok"},
    lambda _: _raise(KeyError("transactionId")),
)
"""What a gateway answers instead of its true answer. A charge that it has made stays made."""
MAILER: tuple[Exception, ...] = (ValueError("no such mailbox"), KeyError("x"))


def nonsense_for(method: str) -> Sequence[Instead]:
    """Answers to ``method`` that break its contract. A mailer that answers so has sent nothing."""
    if method == "gateway.charge":
        return [partial(_garbled, answer) for answer in GATEWAY]
    return [partial(_not_made, error) for error in MAILER] if method == "mailer.send" else ()


def _garbled(answer: Answer, call: partial[Any]) -> Any:
    return answer(call())


def _not_made(error: Exception, call: partial[Any]) -> Any:
    raise error


DAMAGE_TO_ORDERS: tuple[tuple[str, Item], ...] = (
    ("status", {"S": "PAID"}),
    ("items", {"L": []}),
    ("items", {"S": "none"}),
    ("createdAt", {"N": "5"}),
    ("releasedAt", {"S": "2023-11-14T22:13:20Z"}),
    ("customerId", {"N": "5"}),
    ("outbox", {"M": {}}),
)
DAMAGE_TO_PRODUCTS: tuple[tuple[str, Item], ...] = (
    ("price", {"N": "1.005"}),
    ("price", {"S": "9.99"}),
    ("price", {"N": "-1"}),
    ("received", {}),
    ("stock", {"S": "many"}),
    ("productName", {"N": "5"}),
)
"""An attribute, and what somebody writes into it by hand. Without a value the attribute is removed."""


def damage(rows: Rows[Any], key: str, name: str, wrong: Item) -> Callable[[], None]:
    """Overwrite one attribute of a row by hand. Returns what repairs it, unless a service has overwritten it since."""
    original = rows.data[key].get(name)

    def put(value: Any) -> None:
        others = {one: kept for one, kept in rows.data[key].items() if one != name}
        rows.data[key] = {**others, name: value} if value else others

    def repair() -> None:
        if rows.data[key].get(name) == (wrong or None):
            put(original)

    put(wrong)
    return repair


_EXAMPLES: Mapping[str, str] = {
    event_type: (SCHEMAS / "examples" / "valid" / f"{event_type}.json").read_text() for event_type in CATALOG.events
}


def poison_for(service: str, rand: random.Random) -> str:
    """A message that ``service`` can never process. Two of them are hardly ever the same."""
    text = _EXAMPLES[rand.choice(sorted(CATALOG.services[service].consumes))]
    kinds = [
        '{"not json": ',
        text.replace('"eventType": "', '"eventType": "never.'),
        text.replace('"version": "1.', '"version": "9.'),
        text.replace('"orderId"', '"orderID"'),
    ]
    if service != "audit":  # it does not know which orders exist
        kinds.append(text)
    return rand.choice(kinds) + " " * rand.randrange(1000)


def misrouted_for(service: str, rand: random.Random) -> str | None:
    """A valid event that ``service`` does not consume, as an old filter policy lets it through. None for audit."""
    others = sorted(CATALOG.events.keys() - CATALOG.services[service].consumes)
    return _EXAMPLES[rand.choice(others)] if others else None
