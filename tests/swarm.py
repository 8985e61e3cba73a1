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


@dataclass(frozen=True)
class Traffic:
    """How many bytes the swarm has sent, and how many times the server disconnected one of its clients."""

    sent: Synchronized[Any]
    ended: Synchronized[Any]


class Attacker:
    """One client of the swarm."""

    def __init__(self, address: Address, attack: Attack, traffic: Traffic) -> None:
        self._address, self._attack, self._traffic = address, attack, traffic
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
            self._traffic.ended.value += 1
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
            self._traffic.sent.value += sent
            self._pending = self._pending[sent:]
        self._pending = memoryview(self._attack.drip)


@contextmanager
def attacking(address: Address, attack: Attack) -> Iterator[Traffic]:
    """Attacks ``address`` until the block ends. The block begins when every client has begun."""
    context = multiprocessing.get_context("spawn")
    traffic = Traffic(context.Value("q", 0), context.Value("q", 0))
    begun = context.Event()
    process = context.Process(target=_swarm, args=(address, attack, traffic, begun), daemon=True)
    process.start()
    try:
        assert begun.wait(START_SECONDS), f"{attack.name}: the attack did not begin"
        yield traffic
        assert process.is_alive(), f"{attack.name}: the attack broke down"
    finally:
        process.kill()
        process.join()


def _swarm(address: Address, attack: Attack, traffic: Traffic, begun: Event) -> None:
    attackers = [Attacker(address, attack, traffic) for _ in range(attack.clients)]
    while True:
        for attacker in attackers:
            attacker.act()
        begun.set()
        time.sleep(ROUND_SECONDS)  # the pace of the attack, in a process of its own


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long each of several calls took, in milliseconds, sorted."""

    milliseconds: tuple[float, ...]

    @classmethod
    def of(cls, call: Callable[[], object], times: int) -> Latencies:
        return cls(tuple(sorted(_milliseconds(call) for _ in range(times))))

    @property
    def median(self) -> float:
        return self.milliseconds[len(self.milliseconds) // 2]

    @property
    def longest(self) -> float:
        return self.milliseconds[-1]

    def __str__(self) -> str:
        return f"{len(self.milliseconds)} orders, median {self.median:.1f} ms, longest {self.longest:.1f} ms"


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
