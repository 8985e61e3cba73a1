"""A worker process: consumers in threads, until it is stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog, ServiceSpec
from shopflow.config import Config
from shopflow.contracts import Contracts
from shopflow.log import start_logging
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.handler import Handler
from shopflow.messaging.outbox import Outbox, Publisher
from shopflow.messaging.shared_queue import SharedQueue
from shopflow.ports import Queue
from shopflow.supervision import stop_when_orphaned
from shopflow.telemetry import Telemetry, telemetry_of
from workers.handlers import WorkerPorts, ports_on

log = logging.getLogger(__name__)

MakeHandler = Callable[[WorkerPorts, Outbox], Handler]


@dataclass(frozen=True, slots=True)
class Worker:
    """A service's handler, and what all its consumers share."""

    service: ServiceSpec
    consumers: int
    handler: Handler
    queue: Queue
    publisher: Publisher
    contracts: Contracts
    config: Config
    telemetry: Telemetry

    @classmethod
    def start(cls, name: str, make_handler: MakeHandler, config: Config, catalog: Catalog) -> Worker:
        """Start logging and connect to AWS. Raises `ConfigError`."""
        service = catalog.services[name]
        start_logging(service, config.log_format)
        consumers = config.consumer_threads or service.threads
        aws = connect(config, PATIENT)
        contracts = Contracts(catalog)
        handler = make_handler(ports_on(aws, config, consumers), Outbox(catalog, contracts))
        publisher, telemetry = Publisher(aws.topic), telemetry_of(service, config)
        return cls(service, consumers, handler, aws.queue(name), publisher, contracts, config, telemetry)

    def consumer(self, queue: Queue, stop: threading.Event) -> Consumer:
        """A consumer of ``queue``, for one thread."""
        return Consumer(
            self.handler,
            queue,
            self.publisher,
            self.contracts,
            self.service.consumes,
            stop,
            wait_seconds=self.config.receive_wait_seconds,
            visibility_seconds=self.config.visibility_seconds,
            telemetry=self.telemetry,
        )


def run_worker(name: str, make_handler: MakeHandler, config: Config, catalog: Catalog) -> None:
    """Consume the queue of the service ``name`` until SIGTERM, SIGINT or the end of its supervisor.

    Then finish what is in flight and return. Call it in the main thread. Raises `ConfigError` when the queue is not
    configured.
    """
    worker = Worker.start(name, make_handler, config, catalog)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    stop_when_orphaned(config.supervisor_fd, stop.set)

    queue = SharedQueue(worker.queue, stop, worker.service.batch_window_seconds)

    def consume() -> None:
        worker.consumer(queue, stop).run()

    threads = [threading.Thread(target=consume, name=f"consumer-{n}") for n in range(worker.consumers)]
    for thread in threads:
        thread.start()
    log.info("consuming with %d thread(s)", len(threads))
    for thread in threads:
        thread.join()
    worker.telemetry.tracing.close()
    log.info("stopped")
