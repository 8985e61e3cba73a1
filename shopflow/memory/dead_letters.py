"""Dead-letter queues in memory, and the way back from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shopflow.memory.queues import MemoryQueue
from shopflow.ports import Backlog, DeadLetter, QueueDepth, in_batches


class MemoryDeadLetters:
    """`shopflow.ports.DeadLetters`: ``dlq``, of ``queue``."""

    def __init__(self, dlq: MemoryQueue, queue: MemoryQueue) -> None:
        self._dlq = dlq
        self._queue = queue

    def depth(self) -> int:
        return _depth(self._dlq).total

    def receive(self, most: int, hide_seconds: int, wait_seconds: int) -> list[DeadLetter]:
        messages = self._dlq.receive(most, wait_seconds)
        letters = [DeadLetter(message, self._dlq.sent_at(message), {}) for message in messages]
        self._dlq.change_visibility(dict.fromkeys(messages, hide_seconds))
        return letters

    def hide(self, letters: Sequence[DeadLetter], seconds: int) -> None:
        for batch in in_batches(letters):
            self._dlq.change_visibility({letter.message: seconds for letter in batch})

    def delete(self, letters: Sequence[DeadLetter]) -> int:
        for batch in in_batches(letters):
            self._dlq.delete([letter.message for letter in batch])
        return len(letters)

    def redrive(self, letter: DeadLetter) -> str:
        message_id = self._queue.send(letter.message.body)
        self._dlq.delete([letter.message])
        return message_id


class MemoryBacklogs:
    """`shopflow.ports.Backlogs` of queues and dead-letter queues by service."""

    def __init__(self, queues: Mapping[str, MemoryQueue], dlqs: Mapping[str, MemoryQueue]) -> None:
        self._queues = queues
        self._dlqs = dlqs

    def of(self, service: str) -> Backlog:
        return Backlog(_depth(self._queues[service]), _depth(self._dlqs[service]))


def _depth(queue: MemoryQueue) -> QueueDepth:
    depth = queue.depth()
    return QueueDepth(depth.visible, depth.in_flight)
