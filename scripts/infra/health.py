"""Whether something listens, and whether it is well."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import requests

LOOPBACK = "127.0.0.1"
HEALTH_PATH = "/_localstack/health"
START_SECONDS = 120
"""Longest wait for a local AWS to start: the embedded one takes half a second, LocalStack's container about 20."""


def port_is_taken(port: int) -> bool:
    """Whether some program listens on ``port`` of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def answers(url: str) -> bool:
    """Whether ``url`` is answered without a server error, within a second. No proxy is asked."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=1).status_code < 500
    except requests.RequestException:
        return False


def wait_until_healthy(endpoint: str, still_starting: Callable[[], bool]) -> bool:
    """Wait until ``endpoint`` reports health. False when it is no longer starting, or after `START_SECONDS`."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if answers(endpoint + HEALTH_PATH):
            return True
        if not still_starting():
            return False
        time.sleep(0.05)
    return False
