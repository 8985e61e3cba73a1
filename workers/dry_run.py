"""Tell what would become of messages now, to no effect: ``python -m workers.dry_run``.

Reads a JSON object of message bodies by service from stdin (``{"payment": ["…", …]}``), and writes to stdout the same
with ``{"kind": …, "text": …}`` in each one's place (`shopflow.messaging.dry_run`). The dead-letter tool calls it:
scripts import no worker.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from shopflow import jsontext
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import Catalog
from shopflow.config import adopt_environment, configured_catalog, load_config
from shopflow.contracts import Contracts
from shopflow.errors import ConfigError
from shopflow.messaging.dry_run import (
    Kind,
    ReadOnlyAuditLog,
    ReadOnlyOrders,
    ReadOnlyProducts,
    RefusingGateway,
    RefusingMailer,
    judge,
)
from shopflow.messaging.outbox import Outbox
from workers.handlers import HANDLERS, Ports, ports_on


def read_only(ports: Ports) -> Ports:
    """The same world, seen by somebody who may not touch it."""
    return replace(
        ports,
        orders=ReadOnlyOrders(ports.orders),
        products=ReadOnlyProducts(ports.products),
        audit=ReadOnlyAuditLog(ports.audit),
        gateway=RefusingGateway(),
        mailer=RefusingMailer(),
    )


def main() -> int:
    logging.disable()
    try:
        env = adopt_environment()
        config, catalog = load_config(env), configured_catalog(env)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    ports = read_only(ports_on(connect(config, PATIENT), config))
    bodies = jsontext.loads(sys.stdin.buffer.read())
    verdicts = {service: _judge(service, of_service, ports, catalog) for service, of_service in bodies.items()}
    sys.stdout.write(jsontext.dumps(verdicts))
    return 0


def _judge(service: str, bodies: Sequence[str], ports: Ports, catalog: Catalog) -> list[dict[str, str]]:
    contracts = Contracts(catalog)
    if service not in HANDLERS:
        return [{"kind": str(Kind.UNKNOWN), "text": f"{service} is not one of ShopFlow's own services"} for _ in bodies]
    handler = HANDLERS[service](ports, Outbox(catalog, contracts))
    verdicts = [judge(body, handler, catalog.services[service].consumes, contracts) for body in bodies]
    return [{"kind": str(verdict.kind), "text": verdict.text} for verdict in verdicts]


if __name__ == "__main__":
    sys.exit(main())
