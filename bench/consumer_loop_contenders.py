"""One contender of part 6 in a process of its own: `python -m bench.consumer_loop_contenders NAME URL COUNT`

It takes COUNT messages from the queue at URL, does nothing with them, deletes them, and prints what that took as JSON.
The clock starts at the `WARM_UP`-th message: imports, connections and first calls are nobody's loop.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bench.bare import Bare
from shopflow import jsontext
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import load_config
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.messaging.outbox import Publisher

WARM_UP = 100
BATCH = 10
WAIT_SECONDS = 1


class Drained(BaseException):
    """Every message has been taken. Nothing that handles exceptions may stop it."""


class Meter:
    """Times the messages from the `WARM_UP`-th to the ``count``-th, which has to be larger."""

    def __init__(self, count: int) -> None:
        self.done = threading.Event()
        self._count = count
        self._seen = 0
        self._marks: list[tuple[float, float]] = []

    def saw(self, messages: int = 1) -> None:
        """Called when so many have been handled."""
        before, self._seen = self._seen, self._seen + messages
        for mark in (WARM_UP, self._count):
            if before < mark <= self._seen:
                self._marks.append((time.perf_counter(), time.process_time()))
        if self._seen >= self._count:
            self.done.set()

    def as_json(self) -> str:
        (started, cpu_started), (ended, cpu_ended) = self._marks
        taken = {"messages": self._count - WARM_UP, "seconds": ended - started, "cpu_seconds": cpu_ended - cpu_started}
        return json.dumps(taken)


class NoOp(Handler):
    """A worker that has nothing to do."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self._meter.saw(len(events))
        return [Done() for _ in events]


class Unchecked(Contracts):
    """Takes every text for an event, as the other contenders take every body for a message."""

    def decode(self, text: str) -> Event:
        return Event.from_json(jsontext.loads(text))


def shopflow(url: str, meter: Meter, contracts_of: type[Contracts] = Contracts) -> None:
    """ShopFlow's consumer, with a worker that does nothing."""
    catalog = load_catalog()
    contracts = contracts_of(catalog)
    aws = connect(load_config({**os.environ, "SHOPFLOW_BENCH_QUEUE_URL": url}), PATIENT)
    consumer = Consumer(
        NoOp(meter),
        aws.queue("bench"),
        Publisher(aws.topic),
        contracts,
        catalog.services["audit"].consumes,
        meter.done,
        wait_seconds=WAIT_SECONDS,
    )
    consumer.run()


def bare(url: str, meter: Meter) -> None:
    """The loop that everybody writes first: receive ten, delete ten."""
    sqs = Bare(load_config(os.environ)).sqs
    while not meter.done.is_set():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=WAIT_SECONDS)
        if messages := answer.get("Messages"):
            entries = [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"]} for one in messages]
            meter.saw(len(messages))
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]


def sqs_workers(url: str, meter: Meter) -> None:
    """sqs-workers, with a processor of raw messages."""
    from sqs_workers import RawQueue, SQSEnv

    def process(_: Any) -> None:
        meter.saw()

    queue: Any = SQSEnv().queue("bench", RawQueue, queue_url=url)
    queue.connect_raw_processor(process)
    queue.process_queue(_UntilDone(meter), wait_second=WAIT_SECONDS)


@dataclass
class _UntilDone:
    """A shutdown policy of sqs-workers."""

    meter: Meter

    def update_state(self, batch_processing_result: Any) -> None:
        """Asked after each batch, whatever came of it."""

    def need_shutdown(self) -> bool:
        return self.meter.done.is_set()


def celery(url: str, meter: Meter) -> None:
    """Celery's worker in one thread, with a task that does nothing. It receives ten at once, and deletes one by one."""
    from celery.worker import state

    app = celery_app(url)

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def noop(_: str) -> None:
        meter.saw()
        if meter.done.is_set():
            state.should_stop = 0

    alone = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
    with suppress(SystemExit):
        app.Worker(pool_cls="solo", concurrency=1, loglevel="ERROR", quiet=True, **alone).start()


TASK = "noop"


def celery_app(url: str) -> Any:
    """A Celery that knows the queue at ``url`` only, keeps no results and watches nobody."""
    from celery import Celery

    address = urlsplit(url).netloc
    app = Celery("bench", broker=f"sqs://test:test@{address}", set_as_current=False)
    app.conf.update(
        broker_transport_options={
            "region": "us-east-1",
            "is_secure": False,
            "wait_time_seconds": WAIT_SECONDS,
            "predefined_queues": {"bench": {"url": url, "access_key_id": "test", "secret_access_key": "test"}},
        },
        task_default_queue="bench",
        task_ignore_result=True,
        worker_prefetch_multiplier=BATCH,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_redirect_stdouts=False,
    )
    return app


CONTENDERS: Mapping[str, Callable[[str, Meter], None]] = {
    "bare": bare,
    "shopflow": partial(shopflow, contracts_of=Unchecked),
    "shopflow-validating": shopflow,
    "sqs-workers": sqs_workers,
    "celery": celery,
}


def main(arguments: Sequence[str]) -> int:
    name, url, count = arguments
    logging.basicConfig(level=logging.ERROR)
    meter = Meter(int(count))
    CONTENDERS[name](url, meter)
    print(meter.as_json(), flush=True)
    return 0


def fill_for_celery(url: str, count: int) -> None:
    """Send so many calls of the task, as Celery itself words them."""
    app = celery_app(url)
    for number in range(count):
        app.send_task(TASK, args=[str(number)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
