"""Ports that answer what their contract rules out, and rows that nobody can read."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from shopflow.aws.items import Item
from shopflow.memory.tables import Rows
from shopflow.ports import Charge, Decline

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
"""What a gateway makes of its true answer. What it has charged it has charged."""
MAILER: tuple[Answer, ...] = (lambda _: _raise(ValueError("no such mailbox")), lambda _: _raise(KeyError("x")))


def nonsense_for(method: str) -> Sequence[Callable[[partial[Any]], Any]]:
    """What may happen instead of a call of ``method``. A mailer that fails this way has sent nothing."""
    if method == "gateway.charge":
        return [partial(_garbled, answer) for answer in GATEWAY]
    return [partial(_not_made, answer) for answer in MAILER] if method == "mailer.send" else ()


def _garbled(answer: Answer, call: partial[Any]) -> Any:
    return answer(call())


def _not_made(answer: Answer, call: partial[Any]) -> Any:
    return answer(call)


SPOILED_ORDERS: tuple[tuple[str, Item], ...] = (
    ("status", {"S": "PAID"}),
    ("items", {"L": []}),
    ("items", {"S": "none"}),
    ("createdAt", {"N": "5"}),
    ("releasedAt", {"S": "2023-11-14T22:13:20Z"}),
    ("customerId", {"N": "5"}),
    ("outbox", {"M": {}}),
)
SPOILED_PRODUCTS: tuple[tuple[str, Item], ...] = (
    ("price", {"N": "1.005"}),
    ("price", {"S": "9.99"}),
    ("price", {"N": "-1"}),
    ("received", {}),
    ("stock", {"S": "many"}),
    ("productName", {"N": "5"}),
)
"""What somebody writes into an attribute by hand."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """One attribute of one row that was overwritten by hand: `restore` puts back what was there."""

    rows: Rows[Any]
    key: str
    name: str
    original: Any
    wrong: Item

    @classmethod
    def spoil(cls, rows: Rows[Any], key: str, rand: random.Random, choices: Sequence[tuple[str, Item]]) -> Spoiled:
        name, wrong = rand.choice([one for one in choices if one[0] in rows.items_by_id[key]] or choices)
        return cls.of(rows, key, name, wrong)

    @classmethod
    def of(cls, rows: Rows[Any], key: str, name: str, wrong: Item) -> Spoiled:
        item = rows.items_by_id[key]
        spoiled = cls(rows, key, name, item.get(name), wrong)
        rows.items_by_id[key] = {**item, name: wrong} if wrong else {one: item[one] for one in item if one != name}
        return spoiled

    def restore(self) -> None:
        item = dict(self.rows.items_by_id[self.key])
        if item.get(self.name) == (self.wrong or None):  # else a service has written it since
            item.pop(self.name, None)
            if self.original is not None:
                item[self.name] = self.original
            self.rows.items_by_id[self.key] = item
