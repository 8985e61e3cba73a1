"""A worker as a process: consumers in threads, from start to the last message in hand."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import replace

from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.config import Config
from shopflow.contracts import Contracts
from shopflow.log import start_logging
from shopflow.messaging.consumer import PROBE, Consumer, Handler
from shopflow.messaging.publisher import Publisher
from workers.handlers import Ports, ports_on

log = logging.getLogger(__name__)

MakeHandler = Callable[[Ports, Catalog], Handler]


def run_worker(name: str, make_handler: MakeHandler, config: Config, catalog: Catalog) -> None:
    """Consume the queue of the service ``name`` until SIGTERM or SIGINT, then finish what is in flight.

    To be called in the main thread. Raises `ConfigError` when the service's queue is not configured.
    """
    service = catalog.services[name]
    start_logging(service, config.log_format)
    aws = connect(config, PATIENT)
    contracts = Contracts(catalog)
    handler = make_handler(ports_on(aws, config), catalog)
    queue = aws.queue(name)
    publisher = Publisher(aws.topic, contracts)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())

    def consume() -> None:
        Consumer(
            handler,
            queue,
            publisher,
            contracts,
            service.consumes,
            stop,
            wait_seconds=config.receive_wait_seconds,
            visibility_seconds=config.visibility_seconds,
            probe=replace(PROBE, most_seconds=config.visibility_seconds / 3),
        ).run()

    threads = [threading.Thread(target=consume, name=f"consumer-{n}") for n in range(config.consumer_threads)]
    for thread in threads:
        thread.start()
    log.info("consuming with %d thread(s)", len(threads))
    for thread in threads:
        thread.join()
    log.info("stopped")
