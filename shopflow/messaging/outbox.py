"""An order's event on its way out: rebuilt from the order, checked and encoded once."""

from __future__ import annotations

from dataclasses import dataclass

from shopflow.catalog import Catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.ports import Outgoing


@dataclass(frozen=True, slots=True)
class Outbox:
    """Makes events ready for the wire.

    To be asked before the commit: an order whose event cannot be published must not be stored, since nobody would ever
    hear of it.
    """

    catalog: Catalog
    contracts: Contracts

    def outgoing(self, order: Order) -> Outgoing:
        """The event in the outbox of ``order``. Raises `ContractBreach` when it cannot be published."""
        return self.encode(self.catalog.stored_event(order))

    def encode(self, event: Event) -> Outgoing:
        """``event``, ready for the wire. Raises `ContractBreach` when it cannot be published."""
        text = self.contracts.encode(event)
        return Outgoing(event.event_id, event.event_type, text, event.trace_parent, event.order_id)
