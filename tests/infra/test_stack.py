"""`make infra-up` on the tests' stack."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from scripts.console import OK, Progress
from scripts.infra.lifecycle import up
from scripts.infra.status import DEAD_LETTERS, status
from scripts.infra.terraform import Module, has_drift, init
from scripts.products import SEED, seed
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.domain.order import EventType
from shopflow.ports import Outgoing
from tests.stack import AppliedStack


def recorded() -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress(Console(file=text, width=200)), text


def test_a_second_up_has_nothing_to_apply(stack: AppliedStack) -> None:
    progress, said = recorded()
    assert up(stack.stack, {}, progress) == stack.config
    assert "nothing to apply" in said.getvalue()
    assert "Terraform" not in said.getvalue()


def test_a_second_plan_finds_no_drift(stack: AppliedStack) -> None:
    module = Module(stack.stack, stack.stack.own_endpoint)
    init(module)
    assert not has_drift(module)


def test_every_resource_is_there_and_every_service_of_the_catalogue_has_its_queue(stack: AppliedStack) -> None:
    findings = inspect(stack.config)
    assert findings.complete
    assert set(findings.queues) == set(findings.dlqs) == {service.name for service in load_catalog().consumers}


def test_a_missing_resource_is_found_missing(stack: AppliedStack) -> None:
    resources = replace(stack.config.resources, orders_table="shopflow-test-nowhere")
    assert not inspect(replace(stack.config, resources=resources)).complete


def test_seeding_again_leaves_the_stock_as_it_is(stack: AppliedStack) -> None:
    products = connect(stack.config, PATIENT).products
    restocked = products.restock("PROD-001", 3)
    assert restocked is not None
    assert seed(products) == []
    assert products.read(["PROD-001"])["PROD-001"] == restocked


def test_the_three_products_of_the_specification_are_seeded(stack: AppliedStack) -> None:
    found = connect(stack.config, PATIENT).products.read([product.product_id for product in SEED])
    assert [(one.product_name, str(one.price)) for one in map(found.get, sorted(found)) if one] == [
        ("Wireless Headphones", "49.99"),
        ("Mechanical Keyboard", "89.99"),
        ("USB-C Hub", "29.99"),
    ]


def test_status_shows_the_depths_and_its_exit_code_tells_of_dead_letters(stack: AppliedStack) -> None:
    text = io.StringIO()
    assert status(stack.stack, Console(file=text, width=120)) in (OK, DEAD_LETTERS)
    for shown in ("shopflow-test-orders", "inventory", "Dead letters", "PROD-003", stack.stack.own_endpoint):
        assert shown in text.getvalue()


@pytest.fixture
def quiet_queues(stack: AppliedStack) -> AppliedStack:
    aws = connect(stack.config, PATIENT)
    for service in stack.config.resources.queue_urls:
        queue = aws.queue(service)
        while messages := queue.receive(10, 0):
            queue.delete(messages)
    return stack


def test_status_counts_what_waits_and_what_is_in_flight(quiet_queues: AppliedStack) -> None:
    aws = connect(quiet_queues.config, PATIENT)
    before = inspect(quiet_queues.config).queues["payment"]
    assert before is not None
    batch = [Outgoing(str(number), EventType.INVENTORY_RESERVED, "{}") for number in range(3)]
    assert aws.topic.publish(batch) == frozenset()
    received = aws.queue("payment").receive(1, 2)
    after = inspect(quiet_queues.config).queues["payment"]
    aws.queue("payment").delete([*received, *aws.queue("payment").receive(10, 0)])
    assert after is not None
    assert (after.waiting - before.waiting, after.in_flight - before.in_flight) == (2, 1)
