"""Hundreds of hostile clients, in a process of their own so that they do not slow the measured client down."""

from __future__ import annotations

import contextlib
import multiprocessing
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from statistics import median
from typing import Any

START_SECONDS = 60
ROUND_SECONDS = 0.2
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Attack:
    """``clients`` connections that send ``opening``, then ``drip`` every 0.2 s, and connect again after that.

    Without ``reads`` they never read an answer, so that the server cannot finish writing it.
    """

    name: str
    clients: int
    opening: bytes = b""
    drip: bytes = b""
    reads: bool = True


class Attacker:
    """One client of the swarm."""

    def __init__(self, address: Address, attack: Attack, bytes_sent: Synchronized[Any]) -> None:
        self._address, self._attack, self._bytes_sent = address, attack, bytes_sent
        self._connect()

    def act(self) -> None:
        """Send and read what does not block. Connect again if the server has disconnected."""
        try:
            with contextlib.suppress(BlockingIOError):
                self._send()
            with contextlib.suppress(BlockingIOError):
                self._look()
        except OSError:
            self._socket.close()
            self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=START_SECONDS)
        self._socket.setblocking(False)
        self._end = select.poll()
        self._end.register(self._socket, select.POLLRDHUP)
        self._pending = memoryview(self._attack.opening)

    def _look(self) -> None:
        disconnected = self._end.poll(0) if not self._attack.reads else not self._socket.recv(65536)
        if disconnected:
            raise ConnectionResetError

    def _send(self) -> None:
        while self._pending:
            sent = self._socket.send(self._pending)
            self._bytes_sent.value += sent
            self._pending = self._pending[sent:]
        self._pending = memoryview(self._attack.drip)


@contextmanager
def attacking(address: Address, attack: Attack) -> Iterator[Synchronized[Any]]:
    """Attacks ``address`` until the block ends, and counts the bytes sent. All clients have begun when it begins."""
    context = multiprocessing.get_context("spawn")
    bytes_sent, begun = context.Value("q", 0), context.Event()
    process = context.Process(target=_swarm, args=(address, attack, bytes_sent, begun), daemon=True)
    process.start()
    try:
        assert begun.wait(START_SECONDS), f"{attack.name}: the attack did not begin"
        yield bytes_sent
        assert process.is_alive(), f"{attack.name}: the attack broke down"
    finally:
        process.kill()
        process.join()


def _swarm(address: Address, attack: Attack, bytes_sent: Synchronized[Any], begun: Event) -> None:
    attackers = [Attacker(address, attack, bytes_sent) for _ in range(attack.clients)]
    while True:
        for attacker in attackers:
            attacker.act()
        begun.set()
        time.sleep(ROUND_SECONDS)  # the pace of the attack, in a process of its own


class Latencies:
    """How long each of several calls took, in milliseconds."""

    def __init__(self, call: Callable[[], object], times: int) -> None:
        self._milliseconds = []
        for _ in range(times):
            started = time.perf_counter()
            call()
            self._milliseconds.append((time.perf_counter() - started) * 1000)
        self.median, self.longest = median(self._milliseconds), max(self._milliseconds)

    def __str__(self) -> str:
        return f"{len(self._milliseconds)} orders, median {self.median:.1f} ms, longest {self.longest:.1f} ms"
