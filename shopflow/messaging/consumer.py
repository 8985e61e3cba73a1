"""The consumer: one loop for every worker.

    receive → validate → handle → publish → acknowledge (delete), or give back for a later try

What becomes of each message is decided by the outcome of its event:

    Done                    its event is published if the topic takes it, then it is deleted: the outbox owns the event
    Failed(Unavailable)     a dependency is down: the message is held and tried again; nothing new is received meanwhile
    Failed(ContractBreach)  hopeless: visible again at once, so that three receives take it to the DLQ soon
    Failed(anything else)   visible again after a growing delay; after the third receive SQS moves it to the DLQ
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event as Flag

from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import ContractBreach, Unavailable
from shopflow.log import about
from shopflow.messaging.publisher import Publisher
from shopflow.messaging.retry import Backoff
from shopflow.ports import MAX_BATCH_ENTRIES, Message, Queue
from shopflow.telemetry import SILENT, Telemetry
from shopflow.tracing import well_formed

log = logging.getLogger(__name__)

VISIBILITY_SECONDS = 60
"""As the queues have it (terraform/modules/consumer)."""
REDELIVERY = Backoff(first_seconds=4, factor=4, most_seconds=300)
PROBE = Backoff(first_seconds=1, factor=2, most_seconds=VISIBILITY_SECONDS / 3)
"""Between tries of held messages: well below the visibility timeout, so they stay hidden."""


@dataclass(frozen=True, slots=True)
class Done:
    """The event has had its effect, now or earlier. ``publish`` is what this delivery of it brought about."""

    publish: Event | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The event has had no effect that is known of."""

    error: Exception


Outcome = Done | Failed


class Handler(ABC):
    """What a worker does with events. Each may come more than once, and late; its effect is had once."""

    @abstractmethod
    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Process ``events``, all different. Returns one outcome for each, in their order.

        May raise instead: `Unavailable` for all of them; anything else makes the consumer try them one by one.
        """

    def published(self, events: Sequence[Event]) -> None:  # noqa: B027 - most workers have nothing left to do
        """Called with those events of a batch that the topic accepted, before their causes are acknowledged.

        May raise `Unavailable`: then their causes are held and handled again.
        """


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with the event that it carries."""

    message: Message
    event: Event


class Consumer:
    """Takes one queue's messages through one handler. Make one for each thread.

    ``consumes``: the event types that belong in this queue. ``stop``: once set, nothing new is started.
    ``visibility_seconds``: for how long held messages are hidden before each try; ``probe`` stays well below it.
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
        self._telemetry = telemetry
        self._held: list[Delivery] = []
        self._failures = 0

    def run(self) -> None:
        """Consume until ``stop`` is set, then hand back what is held."""
        while not self._stop.is_set():
            self._stop.wait(self.step())
        self.hand_back()

    def step(self) -> float:
        """One round over at most ten messages. Returns the seconds to wait before the next; never raises."""
        try:
            deliveries = self._keep_held() if self._held else self._receive()
            if deliveries:
                self._process(deliveries)
        except Unavailable as error:
            log.warning("waiting for a dependency: %s", error)
            return self._pause()
        except Exception:
            log.exception("a round failed; its messages come again after the visibility timeout")
            return self._pause()
        if self._held:
            return self._pause()
        self._failures = 0
        return 0

    def hand_back(self, delay: Callable[[int], float] = lambda _: 0) -> None:
        """Make held messages visible, for another consumer, after ``delay(receive count)`` seconds (0 by default)."""
        if self._held:
            self._give_back({one.message: round(delay(one.message.receive_count)) for one in self._held})
            self._held = []

    def _pause(self) -> float:
        self._failures += 1
        return self._probe.delay(self._failures)

    def _receive(self) -> list[Delivery]:
        messages = self._queue.receive(MAX_BATCH_ENTRIES, self._wait_seconds)
        if messages and self._stop.is_set():
            self._give_back(dict.fromkeys(messages, 0))
            return []
        deliveries, hopeless = [], []
        for message in messages:
            try:
                event = decode_for(self._consumes, self._contracts, message.body)
                deliveries.append(Delivery(message, replace(event, trace_parent=well_formed(message.trace_parent))))
            except ContractBreach as error:
                log.error("message %s breaks its contract: %s", message.message_id, error)
                hopeless.append(message)
        if hopeless:
            self._give_back(dict.fromkeys(hopeless, 0))
            self._telemetry.metrics.put(Failed=len(hopeless))
        return deliveries

    def _keep_held(self) -> list[Delivery]:
        """Hide the held messages again. One that cannot be hidden is no longer ours: it comes again by itself."""
        held = {delivery.message: self._visibility_seconds for delivery in self._held}
        lost = self._queue.change_visibility(held)
        self._held = [delivery for delivery in self._held if delivery.message not in lost]
        return self._held

    def _process(self, deliveries: Sequence[Delivery]) -> None:
        started = time.monotonic()
        events = list({delivery.event.event_id: delivery.event for delivery in deliveries}.values())
        outcomes = dict(zip((event.event_id for event in events), self._trace(events), strict=True))
        outcomes |= self._publish(outcomes)
        self._held = [delivery for delivery in deliveries if _is_held(outcomes[delivery.event.event_id])]
        self._acknowledge([one.message for one in deliveries if isinstance(outcomes[one.event.event_id], Done)])
        self._return_failed(deliveries, outcomes)
        handled = sum(isinstance(outcome, Done) for outcome in outcomes.values())
        failed = sum(isinstance(outcome, Failed) and not _is_held(outcome) for outcome in outcomes.values())
        milliseconds = round((time.monotonic() - started) * 1000)
        self._telemetry.metrics.put(Handled=handled, Failed=failed, BatchMs=milliseconds)

    def _trace(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """`_handle`, with a span for each event. What the event brings about has that span as its parent."""
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
        """Publish what the events brought about. Returns the outcomes that this changed, by the causes' ids."""
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
        if messages and (undeleted := self._queue.delete(messages)):
            log.warning("%d messages were not deleted and will come again, to no effect", len(undeleted))

    def _return_failed(self, deliveries: Sequence[Delivery], outcomes: Mapping[str, Outcome]) -> None:
        seconds: dict[Message, int] = {}
        for delivery in deliveries:
            outcome = outcomes[delivery.event.event_id]
            if isinstance(outcome, Failed) and not _is_held(outcome):
                seconds[delivery.message] = self._delay(delivery, outcome.error)
        if seconds:
            self._give_back(seconds)

    def _delay(self, delivery: Delivery, error: Exception) -> int:
        if isinstance(error, ContractBreach):
            log.error("hopeless: %s", error, extra=about(delivery.event))
            return 0
        count = delivery.message.receive_count
        log.error("failed at receive %d: %r", count, error, extra=about(delivery.event), exc_info=error)
        return round(self._redelivery.delay(count))

    def _give_back(self, seconds: dict[Message, int]) -> None:
        try:
            self._queue.change_visibility(seconds)
        except Unavailable as error:
            log.warning("messages come again only after their visibility timeout: %s", error)


def decode_for(consumes: frozenset[str], contracts: Contracts, body: str) -> Event:
    """The event in a message of a queue for ``consumes``. Raises `ContractBreach`, also of one in the wrong queue."""
    event = contracts.decode(body)
    if event.event_type not in consumes:
        raise ContractBreach(f"eventType: {event.event_type} does not belong in this queue")
    return event


def _is_held(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and isinstance(outcome.error, Unavailable)
