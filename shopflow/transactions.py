"""What the simulated payment gateway derives from an idempotency key: anyone who has its seed can recompute it."""

from __future__ import annotations

import hashlib
import hmac


def draw(seed: str, idempotency_key: str, purpose: str) -> bytes:
    """32 bytes, always the same for the same key and purpose."""
    return hmac.digest(seed.encode(), f"{purpose}:{idempotency_key}".encode(), hashlib.sha256)


def transaction_id(seed: str, idempotency_key: str) -> str:
    """The id of the one transaction that a key can ever have."""
    return f"TXN-{draw(seed, idempotency_key, 'transaction').hex()[:16].upper()}"
