"""Run one worker: ``python -m workers inventory``. SIGTERM or Ctrl-C: finish what is in flight, then exit 0."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from dataclasses import replace

from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import Config, adopt_environment, load_config
from shopflow.contracts import Contracts
from shopflow.errors import ConfigError
from shopflow.log import start_logging
from shopflow.messaging.consumer import PROBE, Consumer
from shopflow.messaging.publisher import Publisher
from workers.handlers import HANDLERS, ports_on

log = logging.getLogger("workers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Run one of ShopFlow's workers.")
    parser.add_argument("service", choices=HANDLERS)
    service = parser.parse_args().service
    try:
        run(service, load_config(adopt_environment()))
    except ConfigError as error:
        print(f"{service}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def run(name: str, config: Config) -> None:
    """Consume the queue of the service ``name`` until SIGTERM or SIGINT. Raises `ConfigError`."""
    catalog = load_catalog()
    service = catalog.services[name]
    start_logging(service, config.log_format)
    aws = connect(config, PATIENT)
    contracts = Contracts(catalog)
    handler = HANDLERS[name](ports_on(aws, config), catalog)
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


if __name__ == "__main__":
    sys.exit(main())
