"""The Order Service as a process: its parts put together, and its life from start to drain."""

from __future__ import annotations

import errno
import logging
import secrets
import signal
import threading
from dataclasses import dataclass

from api.http_server import BoundedServer
from api.placing import PlaceOrder
from api.prices import RecentProducts
from api.routes import Api
from shopflow.aws.calls import INTERACTIVE
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.clock import Clock, Headers, SystemClock
from shopflow.config import Config
from shopflow.contracts import Contracts
from shopflow.errors import ConfigError
from shopflow.messaging.publisher import Publisher
from shopflow.messaging.relay import Relay
from shopflow.ports import AuditLog, Orders, Products, Topic

log = logging.getLogger(__name__)

NAME = "order"
KEY_BYTES = 16
RELAY_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Parts:
    """The API, and the relay that runs beside it."""

    api: Api
    relay: Relay


def build(
    catalog: Catalog, orders: Orders, products: Products, audit: AuditLog, topic: Topic, clock: Clock | None = None
) -> Parts:
    """The service over its ports, whichever family they are of."""
    clock = clock or SystemClock()
    contracts = Contracts(catalog)
    publisher = Publisher(topic, contracts)
    place_order = PlaceOrder(
        catalog=catalog,
        contracts=contracts,
        products=RecentProducts(products, clock),
        orders=orders,
        publish=publisher.publish,
        headers=Headers(clock),
        new_key=lambda: secrets.token_urlsafe(KEY_BYTES),
    )
    source = catalog.services[NAME].source
    api = Api(service=source, place_order=place_order, orders=orders, products=products, audit=audit, clock=clock)
    return Parts(api, Relay(orders, audit, publisher, catalog, clock))


def run(config: Config, catalog: Catalog) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight. A second signal ends the process at once.

    Raises `ConfigError` when the port is taken or is none that this user may listen on.
    """
    aws = connect(config, INTERACTIVE)
    parts = build(catalog, aws.orders, aws.products, aws.audit, aws.topic)
    server = _bind(config, parts.api)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: _stop_once(number, stop))
    relay_arguments = (stop, config.relay_interval_seconds)
    relay = threading.Thread(target=parts.relay.run, args=relay_arguments, name="relay", daemon=True)
    server.start()
    if config.relay_enabled:
        relay.start()
    log.info("listening on %s", server.url)
    stop.wait()
    _drain(server, relay)


def _bind(config: Config, api: Api) -> BoundedServer:
    try:
        return BoundedServer(config.host, config.port, api)
    except OSError as error:
        address = f"{config.host}:{config.port}"
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"{address} is taken. Stop what listens there, or set PORT to another.") from None
        raise ConfigError(f"cannot listen on {address} ({error.strerror}). Check HOST and PORT.") from None


def _stop_once(number: int, stop: threading.Event) -> None:
    signal.signal(number, signal.SIG_DFL)
    stop.set()


def _drain(server: BoundedServer, relay: threading.Thread) -> None:
    log.info("stopping: finishing the requests in flight")
    if not server.stop():
        log.warning("some requests did not finish in time and were cut off")
    if relay.is_alive():
        relay.join(RELAY_STOP_SECONDS)
    log.info("stopped")
