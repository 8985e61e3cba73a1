"""Which connections are open, and which of them has to go when there are too many."""

from __future__ import annotations

import contextlib
import socket
import threading


class Connections:
    """At most ``most`` connections. When full, a new one displaces the one that has waited longest for a request.

    So neither idle connections nor clients that send a byte a minute lock anybody out: an honest request is received
    within a round trip. A connection whose request is being answered is never displaced.

    A connection is told to end by shutting its receiving side: its thread finds what has arrived already, then the end
    of the input, and can still answer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[socket.socket] = set()
        self._waiting: dict[socket.socket, None] = {}  # in the order in which they began to wait
        self._displaced: set[socket.socket] = set()
        self._changed = threading.Condition()

    def admit(self, connection: socket.socket) -> bool:
        """Whether there is room for ``connection``, which then counts as waiting until it says otherwise."""
        with self._changed:
            full = len(self._open) - len(self._displaced) >= self._most
            # The displaced ones are leaving: the second bound is for a machine too slow to let them.
            if (full and not self._displace_oldest()) or len(self._open) >= 2 * self._most:
                return False
            self._open.add(connection)
            self._waiting[connection] = None
            return True

    def waiting(self, connection: socket.socket) -> bool:
        """Note that ``connection`` waits, from now on, for a request or its rest. False: it was displaced, end it."""
        with self._changed:
            self._waiting.pop(connection, None)
            if connection in self._displaced:
                return False
            self._waiting[connection] = None
            return True

    def working(self, connection: socket.socket) -> None:
        """Note that a request has been received on ``connection``."""
        with self._changed:
            self._waiting.pop(connection, None)

    def leave(self, connection: socket.socket) -> None:
        """Forget ``connection``. To be called before it is closed."""
        with self._changed:
            self._waiting.pop(connection, None)
            self._displaced.discard(connection)
            self._open.discard(connection)
            self._changed.notify_all()

    def displace_oldest(self) -> bool:
        """End the connection that has waited longest. False: all are being answered."""
        with self._changed:
            return self._displace_oldest()

    def drain(self, within_seconds: float) -> bool:
        """End all connections: idle ones now, the others after their answer, or at last by force. Whether none was."""
        with self._changed:
            for connection in self._open:
                _shut(connection, socket.SHUT_RD)
            drained = self._changed.wait_for(lambda: not self._open, within_seconds)
            for connection in self._open:
                _shut(connection, socket.SHUT_RDWR)
            return drained

    def _displace_oldest(self) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        del self._waiting[oldest]
        self._displaced.add(oldest)
        _shut(oldest, socket.SHUT_RD)
        return True


def _shut(connection: socket.socket, side: int) -> None:
    with contextlib.suppress(OSError):  # the client was quicker
        connection.shutdown(side)
