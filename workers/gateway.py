"""A simulated payment gateway that is idempotent without storing anything.

A keyed hash of the idempotency key gives outcome, latency and transaction id, so a charge that is tried again gets the
same answer in any process. Test tokens force an outcome, as Stripe's do.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from decimal import Decimal

from shopflow.config import SIMULATED, GatewaySettings
from shopflow.errors import ConfigError
from shopflow.ports import Charge, Decline, Gateway

INSUFFICIENT_FUNDS = "Insufficient funds"
CARD_EXPIRED = "Card expired"
DECLINED_BY_BANK = "Transaction declined by issuing bank"
SUSPECTED_FRAUD = "Suspected fraud — transaction blocked"
REASONS = (INSUFFICIENT_FUNDS, CARD_EXPIRED, DECLINED_BY_BANK, SUSPECTED_FRAUD)

ACCEPTED_TOKEN = "pm_card_visa"  # noqa: S105 - a public test token, no secret
DECLINED_TOKENS = {
    "pm_card_declined_insufficient_funds": INSUFFICIENT_FUNDS,
    "pm_card_declined_expired": CARD_EXPIRED,
    "pm_card_declined_bank": DECLINED_BY_BANK,
    "pm_card_declined_fraud": SUSPECTED_FRAUD,
}


def gateway_of(settings: GatewaySettings) -> Gateway:
    """The gateway that the settings ask for. Raises `ConfigError` when they ask for none."""
    if not settings.asked_for:
        raise ConfigError(
            "PAYMENT_GATEWAY is not set. The only gateway takes no money: PAYMENT_GATEWAY=simulated asks for it."
        )
    return SimulatedGateway(settings)


class SimulatedGateway:
    """`shopflow.ports.Gateway`. ``sleep(seconds)`` is how its latency passes."""

    name = f"{SIMULATED} gateway"

    def __init__(self, settings: GatewaySettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._settings = settings
        self._sleep = sleep

    def charge(self, idempotency_key: str, amount: Decimal, payment_method: str | None) -> Charge | Decline:
        least, most = self._settings.latency_ms
        self._sleep((least + (most - least) * self._draw(idempotency_key, "latency")) / 1000)
        reason = self._reason_to_decline(idempotency_key, payment_method)
        return Decline(reason) if reason else Charge(transaction_id(self._settings.seed, idempotency_key), amount)

    def _reason_to_decline(self, key: str, payment_method: str | None) -> str | None:
        if payment_method == ACCEPTED_TOKEN:
            return None
        if payment_method in DECLINED_TOKENS:
            return DECLINED_TOKENS[payment_method]
        if self._draw(key, "outcome") < self._settings.success_rate:
            return None
        return REASONS[int(self._draw(key, "reason") * len(REASONS))]

    def _draw(self, key: str, what: str) -> float:
        """A number in [0, 1), always the same for the same key and purpose."""
        return int.from_bytes(_draw(self._settings.seed, key, what)[:6], "big") / 2**48


def _draw(seed: str, idempotency_key: str, purpose: str) -> bytes:
    """32 bytes, always the same for the same seed, key and purpose."""
    return hmac.digest(seed.encode(), f"{purpose}:{idempotency_key}".encode(), hashlib.sha256)


def transaction_id(seed: str, idempotency_key: str) -> str:
    """The id of the one transaction that a key can ever have."""
    return f"TXN-{_draw(seed, idempotency_key, 'transaction').hex()[:16].upper()}"
