"""The consumer: one loop for every service.

    receive → validate → handle → publish → acknowledge (delete), or nack (make visible again)

The outcome of its event decides what becomes of a message:

    Done                    acknowledged. An event that it caused is published first; if that fails, the outbox has it
    Failed(Unavailable)     deferred: a dependency does not answer; the consumer hides the message and tries it again
    Failed(ContractBreach)  a permanent failure: nacked without delay, so that it reaches the DLQ after three receives
    Failed(anything else)   nacked with a growing delay; after the third receive SQS moves it to the DLQ

Each deferred message has its own retry schedule, and receiving goes on: one order never blocks a queue. When a whole
fresh batch is unavailable, the dependency may be down: receiving pauses for some seconds. When a hundred messages are
deferred, it is down: receiving pauses for up to an hour and then takes one message. The first answer of the dependency
ends the pause. The backlog waits in the queue meanwhile, and no message uses up its receives.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event as Flag

from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import ContractBreach, Unavailable
from shopflow.log import about
from shopflow.messaging.deferred import DeferredMessages, Delivery, nack
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.retry import Backoff, Pause
from shopflow.ports import MAX_BATCH_ENTRIES, Message, Queue
from shopflow.telemetry import SILENT, Telemetry, well_formed

log = logging.getLogger(__name__)

VISIBILITY_SECONDS = 60
"""The visibility timeout of the queues (terraform/modules/consumer)."""
REDELIVERY = Backoff(first_seconds=4, factor=4, most_seconds=300)
"""The delay before a failed message is visible again."""
RETRY = Backoff(first_seconds=1, factor=2, most_seconds=20)
"""The delay between two tries of a deferred message."""
PAUSE = Backoff(first_seconds=20, factor=2, most_seconds=3600)
"""The pause between two fresh messages while no more can be deferred. Then each fresh message loses one of its three
receives."""


class Consumer:
    """Takes one queue's messages through one handler. Make one for each thread.

    ``consumes``: the event types that belong in this queue. ``stop``: once it is set, nothing new is started.
    ``wait_seconds``: the long poll, 0-20. ``visibility_seconds``: how long a received message is hidden; for
    deferred messages this is extended before it ends. ``now``: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        handler: Handler,
        queue: Queue,
        publisher: Publisher,
        contracts: Contracts,
        consumes: frozenset[str],
        stop: Flag,
        wait_seconds: int = 20,
        visibility_seconds: int = VISIBILITY_SECONDS,
        redelivery: Backoff = REDELIVERY,
        retry: Backoff = RETRY,
        pause: Backoff = PAUSE,
        now: Callable[[], float] = time.monotonic,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._handler = handler
        self._queue = queue
        self._publisher = publisher
        self._contracts = contracts
        self._consumes = consumes
        self._stop = stop
        self._wait_seconds = wait_seconds
        self._redelivery = redelivery
        self._retry = retry
        self._now = now
        self._telemetry = telemetry
        self._deferred = DeferredMessages(queue, visibility_seconds, retry, now)
        self._pause = Pause(retry, pause, now)
        self._failures = 0

    @property
    def has_deferred(self) -> bool:
        """Whether any message waits for another try."""
        return bool(self._deferred)

    def run(self) -> None:
        """Consume until ``stop`` is set, then nack what is deferred, for another consumer."""
        while not self._stop.is_set():
            self._stop.wait(self.step())
        self.nack_deferred()

    def step(self) -> float:
        """One round: retry what is due, then take a fresh batch. Returns the seconds to wait before the next round.

        Never raises.
        """
        try:
            self._deferred.keep_hidden()
            self._retry_due()
            if self._seconds_to_receive == 0:
                self._deferred.keep_hidden()
                self._process_fresh(self._receive())
        except Unavailable as error:
            log.warning("waiting for a dependency: %s", error)
            return self._round_failed()
        except Exception:
            log.exception("a round failed: its messages become visible again after their visibility timeout")
            return self._round_failed()
        self._failures = 0
        return min(self._seconds_to_receive, self.seconds_to_retry)

    def nack_deferred(self, delay: Callable[[int], float] = lambda _: 0) -> None:
        """Make deferred messages visible to other consumers after ``delay(receive count)`` seconds (default: 0)."""
        self._deferred.nack_all(delay)

    @property
    def _seconds_to_receive(self) -> float:
        """The seconds until receiving goes on. While nothing is deferred, only a fresh message can find an answer."""
        return self._pause.seconds_left if self._deferred else 0.0

    def _round_failed(self) -> float:
        self._failures += 1
        return self._retry.delay(self._failures)

    @property
    def seconds_to_retry(self) -> float:
        """The seconds until the next try of a deferred message; infinite when there is none."""
        return self._deferred.seconds_to_next

    def _retry_due(self) -> None:
        """Try the first deferred message that is due alone, and the others only if that succeeds.

        This finds a message that makes every batch fail, and an outage costs only one call every few seconds. While
        receiving is not paused, the next retry waits as long as this one took, so fresh messages get half of the time.
        """
        started = self._now()
        due = self._deferred.due()
        for batch in filter(None, (due[:1], due[1:])):
            unavailable = self._process(self._deferred.take(batch))
            self._deferred.defer_again([one for one in batch if one.delivery in unavailable])
            if unavailable:
                break
        if due:
            took = self._now() - started
            self._deferred.rest(self._retry.delay(self._pause.count) if self._pause.count else took)

    def _receive(self) -> list[Message]:
        """Fresh messages. Waits for the first one, but not longer than until the next retry."""
        patience = max(1, math.ceil(min(self._wait_seconds, self.seconds_to_retry)))
        most = 1 if self._pause.count and self._deferred.is_full else MAX_BATCH_ENTRIES
        messages = self._queue.receive(most, min(self._wait_seconds, patience))
        if messages and self._stop.is_set():
            nack(self._queue, dict.fromkeys(messages, 0))
            return []
        return messages

    def _process_fresh(self, messages: Sequence[Message]) -> None:
        """Process a fresh batch. When all of it is unavailable, receiving pauses."""
        received_at = self._now()
        deliveries = self._decode(messages)
        if not deliveries:
            return
        unavailable = self._process(deliveries)
        self._deferred.add(unavailable, received_at)
        if len(unavailable) == len(deliveries):
            self._pause.start(self._deferred.is_full)

    def _decode(self, messages: Sequence[Message]) -> list[Delivery]:
        deliveries, misrouted, failed = [], [], {}
        for message in messages:
            try:
                event = self._contracts.decode(message.body)
            except ContractBreach as error:
                log.error("message %s breaks its contract: %s", message.message_id, error)
                failed[message] = 0
                continue
            except Exception:  # whatever a hostile text does to the parser, the other messages are handled
                log.exception("message %s cannot be decoded", message.message_id)
                failed[message] = round(self._redelivery.delay(message.receive_count))
                continue
            if event.event_type in self._consumes:
                deliveries.append(Delivery(message, replace(event, trace_parent=well_formed(message.trace_parent))))
            else:
                log.warning("%s does not belong in this queue: acknowledged", event.event_type, extra=about(event))
                misrouted.append(message)
        if misrouted:
            self._acknowledge(misrouted)
            self._telemetry.metrics.put(Misrouted=len(misrouted))
        if failed:
            nack(self._queue, failed)
            self._telemetry.metrics.put(Failed=len(failed))
        return deliveries

    def _process(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Handle ``deliveries``, publish what they cause, then acknowledge or nack. Returns those to be deferred."""
        started = time.monotonic()
        events = list({delivery.event.event_id: delivery.event for delivery in deliveries}.values())
        outcomes = dict(zip((event.event_id for event in events), self._trace(events), strict=True))
        self._publisher.publish(
            [outcome.publish for outcome in outcomes.values() if isinstance(outcome, Done) and outcome.publish]
        )
        results = [(delivery, outcomes[delivery.event.event_id]) for delivery in deliveries]
        done = [delivery.message for delivery, outcome in results if isinstance(outcome, Done)]
        failures = [(delivery, outcome.error) for delivery, outcome in results if isinstance(outcome, Failed)]
        failed = [(delivery, error) for delivery, error in failures if not isinstance(error, Unavailable)]
        if done or failed:  # the dependency answers
            self._pause.end()
        self._acknowledge(done)
        nack(self._queue, {delivery.message: self._delay(delivery, error) for delivery, error in failed})
        milliseconds = round((time.monotonic() - started) * 1000)
        self._telemetry.metrics.put(Handled=len(done), Failed=len(failed), BatchMs=milliseconds)
        return [delivery for delivery, error in failures if isinstance(error, Unavailable)]

    def _trace(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """`_handle` with a span for each event, which is the parent of whatever the event causes."""
        begin = self._telemetry.tracing.processing
        spans = [begin(f"process {event.event_type}", event.trace_parent, about(event)) for event in events]
        pairs = zip(events, spans, strict=True)
        outcomes = self._handle([replace(event, trace_parent=span.trace_parent) for event, span in pairs])
        for span, outcome in zip(spans, outcomes, strict=True):
            span.end(outcome.error if isinstance(outcome, Failed) else None)
        return outcomes

    def _handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """The outcomes of the handler. When a batch fails as a whole, each event is tried alone."""
        try:
            return self._handler.handle(events)
        except Unavailable as error:
            return [Failed(error) for _ in events]
        except Exception as error:
            if len(events) == 1:
                return [Failed(error)]
            return [outcome for event in events for outcome in self._handle([event])]

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        try:
            undeleted = self._queue.delete(messages)
        except Exception as error:
            log.warning("%d messages were not deleted; they come again without effect: %s", len(messages), error)
        else:
            if undeleted:
                log.warning("%d messages were not deleted; they come again without effect", len(undeleted))

    def _delay(self, delivery: Delivery, error: Exception) -> int:
        """Log the failure. Returns the seconds until the message is visible again."""
        if isinstance(error, ContractBreach):
            log.error("permanent failure: %s", error, extra=about(delivery.event))
            return 0
        count = delivery.message.receive_count
        log.error("failed at receive %d: %r", count, error, extra=about(delivery.event), exc_info=error)
        return round(self._redelivery.delay(count))
