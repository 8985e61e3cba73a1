"""One queue for the consumers of a process: they take turns to receive, and share deletes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event as Flag
from threading import Lock

from shopflow.messaging.group_commit import GroupCommit
from shopflow.ports import MAX_BATCH_ENTRIES, Message, Queue


class SharedQueue:
    """`shopflow.ports.Queue` for several threads. Once ``stop`` is set, nothing more is received.

    While one consumer waits for messages, the others work or wait for their turn. So a process makes one long poll at a
    time, and batches are full. ``batch_window_seconds``: how long messages collect in the queue after a batch that was
    not full.
    """

    def __init__(self, queue: Queue, stop: Flag, batch_window_seconds: float = 0) -> None:
        self._queue = queue
        self._stop = stop
        self._batch_window_seconds = batch_window_seconds
        self._pause_seconds = 0.0
        self._turn = Lock()
        self._deletes: GroupCommit[Message, bool] = GroupCommit(self._delete, MAX_BATCH_ENTRIES)

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        """As `Queue.receive`. Waits up to ``wait_seconds`` for its turn, too."""
        if not self._turn.acquire(timeout=wait_seconds):
            return []
        try:
            if self._stop.wait(self._pause_seconds):
                return []
            messages = self._queue.receive(most, wait_seconds)
            self._pause_seconds = self._batch_window_seconds if 0 < len(messages) < most else 0
            return messages
        finally:
            self._turn.release()

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        results = zip(messages, self._deletes.submit(messages), strict=True)
        return [message for message, result in results if result is not True]

    def change_visibility(self, seconds: Mapping[Message, int]) -> list[Message]:
        return self._queue.change_visibility(seconds)

    def _delete(self, messages: Sequence[Message]) -> list[bool]:
        undeleted = self._queue.delete(messages)
        return [message not in undeleted for message in messages]
