"""All invariants of one run over real processes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mypy_boto3_sqs import SQSClient

from shopflow.aws.wiring import Aws
from shopflow.config import Config
from shopflow.domain.order import Order
from shopflow.invariants import Breach, HeldUnits, check_order
from shopflow.ports import Charge
from tests.faults.checks import check_mails, check_poison, check_publications

SENDER = "notification"


@dataclass(frozen=True, slots=True)
class Seen:
    """A run's orders and products, and the journal of the calls that the processes made.

    ``may_be_stuck``: there is no relay, and the process that died had committed, but not published.
    """

    orders: Sequence[Order]
    products: Sequence[str]
    journal: Sequence[Mapping[str, Any]]
    may_be_stuck: bool = False

    @property
    def published(self) -> Counter[str]:
        """How often each event was published, by id."""
        return Counter(event_id for line in self.journal for event_id in line.get("published", ()))

    @property
    def mailed(self) -> Counter[str]:
        return Counter(line["mailed"] for line in self.journal if "mailed" in line)

    @property
    def ledger(self) -> dict[str, set[Charge]]:
        """The charges that took effect, by idempotency key: to a gateway, one that is tried again is the same one."""
        ledger: defaultdict[str, set[Charge]] = defaultdict(set)
        for line in self.journal:
            if "charged" in line:
                key, transaction_id, amount = line["charged"]
                ledger[key].add(Charge(transaction_id, Decimal(amount)))
        return ledger

    @property
    def stuck(self) -> set[str]:
        """The orders that may stay open: their event was never published, for the one reason that may be."""
        if not self.may_be_stuck:
            return set()
        waiting = [order for order in self.orders if order.opened_at and order.outbox]
        return {order.order_id for order in waiting if order.outbox and order.outbox.event_id not in self.published}


def breaches_of(aws: Aws, seen: Seen) -> Iterator[Breach]:
    """The breaches in orders, stock and publications, once the lane is as quiet as it gets."""
    for order in seen.orders:
        for breach in _of_order(aws, seen, order):
            if not (breach.may_pass and breach.subject in seen.stuck):
                yield breach
    yield from _of_stock(aws, seen)
    yield from check_publications(seen.published, _one_excused(seen.published))
    for key in seen.ledger.keys() - {order.order_id for order in seen.orders}:
        yield Breach(3, key, "charged under a key that is no order's")


def _of_order(aws: Aws, seen: Seen, order: Order) -> Iterator[Breach]:
    trail = [entry.event for entry in aws.audit.trail(order.order_id)]
    yield from check_order(order, trail, list(seen.ledger.get(order.order_id, ())))
    senders = {line["pid"] for line in seen.journal if line["label"] == SENDER}
    excused = 1 if len(senders) > 1 else 0  # the sender may have died once before it recorded a mail
    yield from check_mails(order, seen.mailed[order.order_id], excused)


def _one_excused(published: Mapping[str, int]) -> dict[str, int]:
    """One fault explains one more publication in all."""
    twice = sorted(event_id for event_id, times in published.items() if times > 1)
    return dict.fromkeys(twice[:1], 1)


def _of_stock(aws: Aws, seen: Seen) -> Iterator[Breach]:
    deferred = HeldUnits()
    for order in seen.orders:
        deferred.add(order)
    return deferred.check(list(aws.products.read(seen.products).values()))


def breaches_of_dead_letters(sqs: SQSClient, config: Config, poison: Mapping[str, frozenset[str]]) -> Iterator[Breach]:
    """The breaches in the dead-letter queues, which are emptied. ``poison``: what was put into each service's queue."""
    for service, url in config.resources.dlq_urls.items():
        yield from check_poison(service, frozenset(_drain(sqs, url)), poison.get(service, frozenset()))


def _drain(sqs: SQSClient, url: str) -> Iterator[str]:
    while received := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in received:
            yield message["Body"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
