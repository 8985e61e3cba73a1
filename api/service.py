"""The Order Service as a process: how its parts are connected, and its life from start to shutdown."""

from __future__ import annotations

import errno
import logging
import secrets
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.documents import Files
from api.http_server import BoundedServer
from api.ops.letters import DeadLetterDesk
from api.ops.routes import OperatorApi
from api.ops.session import Sessions
from api.ops.state import state_view
from api.ops.trying import TryApi
from api.placing import PlaceOrder, ProductCache
from api.pollers import OrderPoller, QueuePoller, QueueViews
from api.routes import ClaimsOf, OrderApi, ShopApi, anybody
from api.routing import Router
from api.streams import Streams
from api.views import backlog_view
from shopflow.aws.calls import INTERACTIVE
from shopflow.aws.wiring import connect, operators_token
from shopflow.catalog import Catalog
from shopflow.clock import Clock, HeaderFactory, SystemClock
from shopflow.config import Config
from shopflow.contracts import Contracts
from shopflow.environment import is_loopback
from shopflow.errors import ConfigError
from shopflow.listeners import holder_of
from shopflow.messaging.outbox import Outbox, Publisher
from shopflow.messaging.relay import Relay
from shopflow.ports import AuditLog, Backlogs, DeadLetters, Orders, Products, Topic
from shopflow.supervision import stop_when_orphaned
from shopflow.telemetry import SILENT, Telemetry, telemetry_of
from workers.dead_letters import WAIT_SECONDS
from workers.dry_run import DryRun, Judge

log = logging.getLogger(__name__)

PUBLISH_PATIENCE_SECONDS = 2.0
"""A client is waiting, and the relay looks at its order after 30 s."""
NAME = "order"
KEY_BYTES = 16
STATIC = Path(__file__).parent / "static"
RELAY_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ApiPorts:
    """What the service needs of the outside world. ``dead_letters`` returns those of a service."""

    orders: Orders
    products: Products
    audit: AuditLog
    topic: Topic
    backlogs: Backlogs
    dead_letters: Callable[[str], DeadLetters]


@dataclass(frozen=True, slots=True)
class Parts:
    """The HTTP API, the relay that runs beside it, and what both report to."""

    api: Router
    relay: Relay
    telemetry: Telemetry


def build(
    catalog: Catalog,
    ports: ApiPorts,
    clock: Clock,
    *,
    claims_of: ClaimsOf = anybody,
    ops_token: str | None = None,
    judge: Judge | None = None,
    telemetry: Telemetry = SILENT,
    control: Path | None = None,
) -> Parts:
    """Connect the service's parts. ``control`` as in `TryApi`."""
    outbox = Outbox(catalog, Contracts(catalog))
    publisher = Publisher(ports.topic, PUBLISH_PATIENCE_SECONDS)
    place_order = PlaceOrder(
        outbox=outbox,
        products=ProductCache(ports.products, clock),
        orders=ports.orders,
        publish=publisher.publish,
        headers=HeaderFactory(clock),
        new_key=lambda: secrets.token_urlsafe(KEY_BYTES),
    )
    services = [service.name for service in catalog.consumers]

    def queues() -> QueueViews:
        return {name: backlog_view(ports.backlogs.of(name)) for name in services}

    def state() -> dict[str, Any]:
        return state_view(ports.orders, queues(), clock.now_ms())

    files = Files(STATIC)
    streams = Streams(OrderPoller(ports.orders, ports.audit, clock), QueuePoller(queues), clock)
    order_api = OrderApi(place_order, ports.orders, ports.audit, streams, claims_of)
    shop_api = ShopApi(catalog.services[NAME].source, catalog, ports.products, streams, files, clock)
    judge = judge or DryRun(outbox, ports.orders, ports.products, ports.audit, clock).judge
    desk = DeadLetterDesk(ports.dead_letters, clock, judge)
    sessions = Sessions(ops_token, clock)
    operator_api = OperatorApi(sessions, state, desk, services, files)
    try_api = TryApi(sessions, control, clock, files)
    routes = [*order_api.routes, *shop_api.routes, *operator_api.routes, *try_api.routes]
    relay = Relay(ports.orders, ports.audit, publisher, outbox, clock, telemetry.metrics)
    return Parts(Router(routes, telemetry), relay, telemetry)


def build_on_aws(config: Config, catalog: Catalog, claims_of: ClaimsOf, control: Path | None = None) -> Parts:
    """`build` on AWS. Waits for messages are short, because an operator is waiting for the answer."""
    aws = connect(replace(config, receive_wait_seconds=WAIT_SECONDS), INTERACTIVE)
    return build(
        catalog,
        ApiPorts(aws.orders, aws.products, aws.audit, aws.topic, aws.backlogs(), aws.dead_letters),
        SystemClock(),
        claims_of=claims_of,
        ops_token=operators_token(config),
        telemetry=telemetry_of(catalog.services[NAME], config),
        control=control,
    )


def run(config: Config, catalog: Catalog) -> None:
    """Serve until SIGTERM or SIGINT, or until the supervisor has gone; then finish what is in flight.

    A second signal stops at once. Raises `ConfigError` when we cannot listen on the configured address.
    """
    control = config.control_socket if is_loopback(config.host) else None
    parts = build_on_aws(config, catalog, _claims_of(config), control)
    server = _listen(config, parts.api)
    stop = threading.Event()

    def stop_once(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_once)
    stop_when_orphaned(config.supervisor_fd, stop.set)
    interval = config.relay_interval_seconds
    relay = threading.Thread(target=parts.relay.run, args=(stop, interval), name="relay", daemon=True)
    server.start()
    if config.relay_enabled:
        relay.start()
    log.info("listening on %s", server.url)
    stop.wait()
    log.info("stopping: finishing the requests in flight")
    if not server.stop():
        log.warning("some requests did not finish in time and were cut off")
    if relay.is_alive():
        relay.join(RELAY_STOP_SECONDS)
    log.info("stopped")
    parts.telemetry.tracing.close()


def _claims_of(config: Config) -> ClaimsOf:
    if config.tokens is None:
        return anybody
    try:
        from api.tokens import TokenCheck
    except ImportError as error:
        raise ConfigError(
            f"JWT_ISSUER asks for tokens, but a package is missing ({error.name}): pip install -r requirements/jwt.txt"
        ) from None
    return TokenCheck(config.tokens, SystemClock())


def _listen(config: Config, api: Router) -> BoundedServer:
    try:
        return BoundedServer(config.host, config.port, api.endpoint)
    except OSError as error:
        address = f"{config.host}:{config.port}"
        if error.errno == errno.EADDRINUSE:
            holder = holder_of(config.port) or "another program"
            raise ConfigError(f"{address} is taken by {holder}. Stop that, or set PORT to another.") from None
        raise ConfigError(f"cannot listen on {address} ({error.strerror}). Check HOST and PORT.") from None
