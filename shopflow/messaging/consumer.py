"""The consumer: one loop for every worker.

    receive → validate → handle → publish → acknowledge (delete), or return for a later try

What becomes of each message is decided by the outcome of its event:

    Done                    its event is published if the topic takes it, then it is deleted: the outbox owns the event
    Failed(Unavailable)     a dependency does not answer: the message is held, hidden from others, and tried again here
    Failed(ContractBreach)  permanent: visible again at once, so that three receives take it to the DLQ soon
    Failed(anything else)   visible again after a growing delay; after the third receive SQS moves it to the DLQ

Held messages have schedules of their own, and receiving goes on: one order never blocks a queue. When a whole fresh
batch is unavailable, the dependency may be down: then receiving pauses for some seconds. When a hundred are held, it is
down: then receiving pauses for up to an hour, and takes one message at a time. Any answer of the dependency ends the
pause. The backlog stays in the queue, and none of its receives are used up.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event as Flag

from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import ContractBreach, Unavailable
from shopflow.log import about
from shopflow.messaging.deferred import DeferredMessages, Delivery
from shopflow.messaging.handler import Done, Failed, Handler, Outcome
from shopflow.messaging.outbox import Publisher
from shopflow.messaging.retry import Backoff
from shopflow.ports import MAX_BATCH_ENTRIES, Message, Queue
from shopflow.telemetry import SILENT, Telemetry, well_formed

log = logging.getLogger(__name__)

VISIBILITY_SECONDS = 60
"""As the queues have it (terraform/modules/consumer)."""
REDELIVERY = Backoff(first_seconds=4, factor=4, most_seconds=300)
PROBE = Backoff(first_seconds=1, factor=2, most_seconds=20)
"""Between tries of a held message."""
PAUSE = Backoff(first_seconds=20, factor=2, most_seconds=3600)
"""Between fresh messages while the hold is full. Each costs a message one of its three receives, so there are few."""


class Consumer:
    """Takes one queue's messages through one handler. Make one for each thread.

    ``consumes``: the event types that belong in this queue. ``stop``: once set, nothing new is started.
    ``visibility_seconds``: for how long received messages are hidden; held ones are hidden anew in time.
    ``now``: seconds of a clock that never goes back.
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
        probe: Backoff = PROBE,
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
        self._visibility_seconds = visibility_seconds
        self._redelivery = redelivery
        self._probe = probe
        self._pause = pause
        self._now = now
        self._telemetry = telemetry
        self._deferred = DeferredMessages(queue, visibility_seconds, probe, now)
        self._retry_at = self._receive_at = 0.0
        self._pauses = self._full_pauses = 0
        self._failures = 0

    @property
    def has_deferred(self) -> bool:
        """Whether a message waits here for another try."""
        return bool(self._deferred)

    def run(self) -> None:
        """Consume until ``stop`` is set, then return what is held."""
        while not self._stop.is_set():
            self._stop.wait(self.step())
        self.return_deferred()

    def step(self) -> float:
        """One round: a retry of what is due, and a fresh batch. Returns the seconds to wait before the next round.

        Never raises.
        """
        try:
            self._deferred.keep_hidden()
            self._retry_due()
            if not self._deferred:
                self._receive_at = 0.0
            if self._now() >= self._receive_at:
                self._deferred.keep_hidden()
                self._take(self._receive())
        except Unavailable as error:
            log.warning("waiting for a dependency: %s", error)
            return self._round_failed()
        except Exception:
            log.exception("a round failed; its messages come again after the visibility timeout")
            return self._round_failed()
        self._failures = 0
        return min(max(0.0, self._receive_at - self._now()), self.seconds_to_retry)

    def return_deferred(self, delay: Callable[[int], float] = lambda _: 0) -> None:
        """Make held messages visible, for another consumer, after ``delay(receive count)`` seconds (0 by default)."""
        self._deferred.return_all(delay)

    def _round_failed(self) -> float:
        self._failures += 1
        return self._probe.delay(self._failures)

    @property
    def seconds_to_retry(self) -> float:
        """Until the next try of a held message; infinite when none is held."""
        next_due = self._deferred.next_due()
        return math.inf if next_due is None else max(0.0, max(next_due, self._retry_at) - self._now())

    def _retry_due(self) -> None:
        """Try the first held message that is due alone, and others only once that succeeds.

        So a message that makes every batch fail is found, and an outage costs one call every few seconds. When
        receiving is not paused, the next retry waits as long as this one took: fresh messages get half of the time.
        """
        started = self._now()
        if started < self._retry_at:
            return
        due = self._deferred.due()
        for batch in filter(None, (due[:1], due[1:])):
            unavailable = self._process(self._deferred.take(batch))
            self._deferred.defer_again([one for one in batch if one.delivery in unavailable])
            if unavailable:
                break
        now = self._now()
        self._retry_at = now + (self._probe.delay(self._pauses) if due and self._pauses else now - started)

    def _receive(self) -> list[Message]:
        """Fresh messages. Waits for the first one, but not past the next try that is due."""
        patience = max(1, math.ceil(min(self._wait_seconds, self.seconds_to_retry)))
        most = 1 if self._pauses and self._deferred.is_full else MAX_BATCH_ENTRIES
        messages = self._queue.receive(most, min(self._wait_seconds, patience))
        if messages and self._stop.is_set():
            self._return(dict.fromkeys(messages, 0))
            return []
        return messages

    def _take(self, messages: Sequence[Message]) -> None:
        """Process a fresh batch. When all of it is unavailable, the next one has to wait."""
        received_at = self._now()
        deliveries = self._decoded(messages)
        if not deliveries:
            return
        unavailable = self._process(deliveries)
        self._deferred.add(unavailable, received_at)
        if len(unavailable) == len(deliveries):
            self._pauses += 1
            self._full_pauses += self._deferred.is_full
            pause = self._pause.delay(self._full_pauses) if self._deferred.is_full else self._probe.delay(self._pauses)
            self._receive_at = self._now() + pause

    def _decoded(self, messages: Sequence[Message]) -> list[Delivery]:
        deliveries, misrouted, failed = [], [], {}
        for message in messages:
            try:
                event = self._contracts.decode(message.body)
            except ContractBreach as error:
                log.error("message %s breaks its contract: %s", message.message_id, error)
                failed[message] = 0
                continue
            except Exception:  # whatever a hostile text brings about, its neighbours are served
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
            self._return(failed)
            self._telemetry.metrics.put(Failed=len(failed))
        return deliveries

    def _process(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Take ``deliveries`` through the handler and settle each but those that are unavailable, which it returns."""
        started = time.monotonic()
        events = list({delivery.event.event_id: delivery.event for delivery in deliveries}.values())
        outcomes = dict(zip((event.event_id for event in events), self._trace(events), strict=True))
        outcomes |= self._publish(outcomes)
        kinds = {event_id: _kind(outcome) for event_id, outcome in outcomes.items()}
        if set(kinds.values()) - {Unavailable}:
            self._pauses = self._full_pauses = 0
            self._receive_at = 0.0
        self._acknowledge([one.message for one in deliveries if kinds[one.event.event_id] is Done])
        self._return_failed(deliveries, outcomes)
        milliseconds = round((time.monotonic() - started) * 1000)
        counts = Counter(kinds.values())
        self._telemetry.metrics.put(Handled=counts[Done], Failed=counts[Failed], BatchMs=milliseconds)
        return [one for one in deliveries if kinds[one.event.event_id] is Unavailable]

    def _trace(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """`_handle`, with a span for each event. What the event causes has that span as its parent."""
        begin = self._telemetry.tracing.processing
        spans = [begin(f"process {event.event_type}", event.trace_parent, about(event)) for event in events]
        pairs = zip(events, spans, strict=True)
        outcomes = self._handle([replace(event, trace_parent=span.trace_parent) for event, span in pairs])
        for span, outcome in zip(spans, outcomes, strict=True):
            span.end(outcome.error if isinstance(outcome, Failed) else None)
        return outcomes

    def _handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """The handler's outcomes. A batch that fails as a whole is tried one by one: none must fail its neighbours."""
        try:
            return self._handler.handle(events)
        except Unavailable as error:
            return [Failed(error) for _ in events]
        except Exception as error:
            if len(events) == 1:
                return [Failed(error)]
            return [outcome for event in events for outcome in self._handle([event])]

    def _publish(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Publish what the events caused. Returns the outcomes that this changed, by the causes' ids."""
        causes = {
            outcome.publish.event_id: (cause, outcome.publish)
            for cause, outcome in outcomes.items()
            if isinstance(outcome, Done) and outcome.publish
        }
        if not causes:
            return {}
        accepted = self._publisher.publish([event for _, event in causes.values()])
        try:
            self._handler.published([causes[event_id][1] for event_id in causes if event_id in accepted])
        except Unavailable as error:
            return {causes[event_id][0]: Failed(error) for event_id in accepted}
        return {}

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        try:
            undeleted = self._queue.delete(messages)
        except Exception as error:
            log.warning("%d messages were not deleted and will come again, to no effect: %s", len(messages), error)
        else:
            if undeleted:
                log.warning("%d messages were not deleted and will come again, to no effect", len(undeleted))

    def _return_failed(self, deliveries: Sequence[Delivery], outcomes: Mapping[str, Outcome]) -> None:
        seconds: dict[Message, int] = {}
        for delivery in deliveries:
            outcome = outcomes[delivery.event.event_id]
            if isinstance(outcome, Failed) and _kind(outcome) is Failed:
                seconds[delivery.message] = self._delay(delivery, outcome.error)
        self._return(seconds)

    def _delay(self, delivery: Delivery, error: Exception) -> int:
        if isinstance(error, ContractBreach):
            log.error("permanent failure: %s", error, extra=about(delivery.event))
            return 0
        count = delivery.message.receive_count
        log.error("failed at receive %d: %r", count, error, extra=about(delivery.event), exc_info=error)
        return round(self._redelivery.delay(count))

    def _return(self, seconds: Mapping[Message, int]) -> None:
        """Make messages visible for another consumer after so many seconds each."""
        if not seconds:
            return
        try:
            self._queue.change_visibility(seconds)
        except Exception as error:
            log.warning("messages come again only after their visibility timeout: %s", error)


def _kind(outcome: Outcome) -> type[Done | Failed | Unavailable]:
    """`Done`; `Unavailable` for a failure to be tried again here; `Failed` for every other."""
    if isinstance(outcome, Done):
        return Done
    return Unavailable if isinstance(outcome.error, Unavailable) else Failed
