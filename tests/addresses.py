"""Ports on this machine, and who answers on them."""

from __future__ import annotations

import socket

from scripts.infra import stack
from shopflow.environment import LOOPBACK


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def address(port: int) -> dict[str, str]:
    """The settings of an Order Service that listens on ``port``, for this machine only."""
    return {"HOST": LOOPBACK, "PORT": str(port)}


def answers(url: str) -> bool:
    """Whether the Order Service at ``url`` is up."""
    return stack.answers(f"{url}/health")
