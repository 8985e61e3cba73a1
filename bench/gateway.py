"""How long the simulated gateway takes for an order: known before it is asked, so it can be told from the rest."""

from __future__ import annotations

from shopflow.config import GatewaySettings
from workers.gateway import draw


def gateway_seconds(settings: GatewaySettings, order_id: str) -> float:
    """The latency of the one charge of ``order_id``, as `workers.gateway` draws it."""
    least, most = settings.latency_ms
    share = int.from_bytes(draw(settings.seed, order_id, "latency")[:6], "big") / 2**48
    return (least + (most - least) * share) / 1000
