"""Taps: a test between a service and its ports, and what it can do there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from shopflow.ports import Charge, Decline, Mail
from workers.gateway import SimulatedGateway


class Crash(BaseException):
    """The process of the service ends here. No handler of exceptions may stop it."""


class Tap(Protocol):
    def __call__(self, service: str, method: str, call: partial[Any]) -> Any:
        """Instead of a call of ``method`` ("orders.commit") by ``service``. ``call()`` makes the call."""
        ...


def straight_through(service: str, method: str, call: partial[Any]) -> Any:
    return call()


class Tapped:
    """A port whose every method goes through a tap."""

    def __init__(self, target: object, service: str, name: str, tap: Tap) -> None:
        self._target = target
        self._service = service
        self._name = name
        self._tap = tap

    def __getattr__(self, method: str) -> Any:
        bound = getattr(self._target, method)
        if not callable(bound):
            return bound

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._tap(self._service, f"{self._name}.{method}", partial(bound, *args, **kwargs))

        return call


@dataclass(slots=True)
class LedgerGateway:
    """The simulated gateway with the ledger that a real one keeps: the charges that took effect, by idempotency key."""

    inner: SimulatedGateway
    charges: Counter[str] = field(default_factory=Counter)
    ledger: dict[str, Charge] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.inner.name

    def charge(self, idempotency_key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:
        answer = self.inner.charge(idempotency_key, amount, payment_method)
        if isinstance(answer, Charge) and idempotency_key not in self.ledger:
            self.charges[idempotency_key] += 1
            self.ledger[idempotency_key] = answer
        return answer


@dataclass(slots=True)
class CountingMailer:
    """`shopflow.ports.Mailer` that counts what it sent, by order."""

    sent: Counter[str] = field(default_factory=Counter)

    def send(self, mail: Mail) -> None:
        self.sent[mail.order_id] += 1
