"""Send orders' histories to one service's queue, so that a new service can catch up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from scripts.console import FAILED, OK, Progress
from scripts.operator_log import OperatorLog
from scripts.replay.troubles import Troubles
from shopflow import jsontext
from shopflow.aws.queues import attributes_of
from shopflow.aws.wiring import Aws
from shopflow.catalog import ServiceSpec
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.text import unsendable
from shopflow.errors import ContractBreach

SHOWN_EVERY = 100


class History:
    """The events of some orders that a service consumes and would accept. ``refused`` counts what it would not."""

    def __init__(self, aws: Aws, service: ServiceSpec, contracts: Contracts) -> None:
        self._aws = aws
        self._service = service
        self._contracts = contracts
        self.refused = 0

    def of(self, order_ids: Iterable[str]) -> Iterator[tuple[Event, str]]:
        """Each event with its text as it was published, the events of an order in their order.

        Raises `ContractBreach` for text that no queue takes.
        """
        for order_id in order_ids:
            for entry in self._aws.audit.trail(order_id):
                if entry.event.event_type in self._service.consumes:
                    yield from self._accepted(entry.event)

    def _accepted(self, event: Event) -> Iterator[tuple[Event, str]]:
        text = jsontext.dumps(event.to_json())
        try:
            self._contracts.decode(text)
        except ContractBreach:
            self.refused += 1
            return
        if found := unsendable(text):
            raise ContractBreach(f"{event.event_type} {event.event_id} has {found}")
        yield event, text


def send_history(
    history: History,
    order_ids: Iterable[str],
    service: ServiceSpec,
    per_second: int,
    aws: Aws,
    log: OperatorLog,
    progress: Progress,
    *,
    confirmed: bool,
) -> int:
    """Send, or (not ``confirmed``) count what would be sent. Who consumes twice what it consumed does nothing twice.

    An order that fails is left at its first event that does, and told of. Returns 0, or 1 when one failed.
    """
    sender, troubles = aws.sender(service.name), Troubles()
    count = 0
    if confirmed:
        log.record("send history", service=service.name, per_second=per_second)
    try:
        with progress.step(f"{'Sending' if confirmed else 'Counting'} events for {service.name}") as show:
            for order_id in order_ids:
                with troubles.of(order_id):
                    for event, text in history.of([order_id]):
                        started = time.monotonic()
                        if confirmed:
                            sender.send(text, attributes_of(event.event_type))
                            time.sleep(max(0.0, 1 / per_second - (time.monotonic() - started)))
                        count += 1
                        if count % SHOWN_EVERY == 0:
                            show(f"{count}")
    finally:
        if confirmed:
            log.record("send history ended", service=service.name, sent=count, refused=history.refused)
    if history.refused:
        progress.say(f"{history.refused} left out: they break today's contract, so the service would refuse them.")
    troubles.report(progress)
    if confirmed:
        progress.say(f"✔ {count} sent to the {service.name} queue")
    else:
        progress.say(f"{count} would be sent to the {service.name} queue. With --yes they are.")
    return FAILED if troubles else OK
