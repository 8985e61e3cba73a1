"""What `make infra-status` shows."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from scripts.console import FAILED, OK
from scripts.infra.lifecycle import config_of
from scripts.infra.stack import Stack
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import ResourceReport, inspect
from shopflow.aws.wiring import connect
from shopflow.config import Config
from shopflow.domain.stock import Product
from shopflow.errors import ConfigError, Unavailable

DEAD_LETTERS = 3
"""Exit code: everything is there, but a dead-letter queue is not empty."""


def status(stack: Stack, console: Console) -> int:
    """Show the stack's resources and queue depths. Returns 0 (well), 1 (not up) or `DEAD_LETTERS`."""
    try:
        config = config_of(stack)
        findings = inspect(config)
        products = connect(config, PATIENT).products.all() if findings.complete else []
    except ConfigError:
        console.print("Nothing is up. Run 'make infra-up'.")
        return FAILED
    except Unavailable:
        console.print(f"{config.endpoint_url} does not answer. Run 'make infra-up'.")
        return FAILED
    for table in (_resources(stack, config, findings), _queues(findings), _products(products)):
        console.print(table)
    return _verdict(findings, console)


def _verdict(findings: ResourceReport, console: Console) -> int:
    if not findings.complete:
        console.print("Something is missing. Run 'make infra-up', which makes it again.", style="red")
        return FAILED
    if findings.dead_letters:
        console.print(f"{findings.dead_letters} message(s) in dead-letter queues: look into them.", style="red")
        return DEAD_LETTERS
    return OK


def _resources(stack: Stack, config: Config, findings: ResourceReport) -> Table:
    table = Table("Resource", "Name", "Items")
    table.add_row("endpoint", f"{config.endpoint_url} ({stack.record().get('cloud')})", "")
    table.add_row("topic", config.resources.topic_arn, "" if findings.topic_exists else "[red]missing")
    for name, items in findings.tables.items():
        table.add_row("table", name, _cell(items))
    return table


def _queues(findings: ResourceReport) -> Table:
    table = Table("Queue", "Waiting", "In flight", "Dead letters")
    for service, depth in findings.queues.items():
        dlq = findings.dlqs.get(service)
        table.add_row(
            service,
            _cell(depth.waiting if depth else None),
            _cell(depth.in_flight if depth else None),
            _cell(dlq.waiting + dlq.in_flight if dlq else None, alarming=True),
        )
    return table


def _products(products: list[Product]) -> Table:
    table = Table("Product", "Name", "Price", "Stock", "Received")
    for product in products:
        numbers = f"${product.price}", str(product.stock), str(product.received)
        table.add_row(product.product_id, product.product_name, *numbers)
    return table


def _cell(number: int | None, *, alarming: bool = False) -> str:
    if number is None:
        return "[red]missing"
    return f"[red]{number}" if alarming and number else str(number)
