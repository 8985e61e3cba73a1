"""`make infra-up` and `make infra-status`, on the tests' stack."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from scripts.console import OK, CommandError, Progress
from scripts.infra.clouds import abilities_of, embedded_abilities
from scripts.infra.lifecycle import DEAD_LETTERS, status, up
from scripts.infra.terraform import Module, init, run
from scripts.products import put, read_products
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.environment import LOOPBACK
from tests.addresses import free_port
from tests.lossy_cloud import Faults, lossy
from tests.sizes import full
from tests.stack import AppliedStack, applied_stack


def test_a_second_up_has_nothing_to_apply(stack: AppliedStack) -> None:
    text = io.StringIO()
    assert up(stack.stack, {}, Progress(Console(file=text, width=200))) == stack.config
    assert "nothing to apply" in text.getvalue()
    assert "Terraform" not in text.getvalue()


def test_an_up_says_which_cloud_it_uses_and_what_that_lacks(stack: AppliedStack) -> None:
    port, whole = free_port(), abilities_of(stack.stack.own_endpoint)
    assert whole == embedded_abilities()
    with lossy(port, stack.stack.port, Faults(refuse={"GetResourcePolicy"})):
        abilities = abilities_of(f"http://{LOOPBACK}:{port}")
    assert str(abilities) == f"{whole}, which has no table policies: the audit log can be changed"
    assert Module(stack.stack, "", table_policies=abilities.table_policies).variables["table_policies"] == "false"
    with (
        lossy(port, stack.stack.port, Faults(refuse={"ExecuteStatement"})),
        pytest.raises(CommandError, match="PartiQL"),
    ):
        abilities_of(f"http://{LOOPBACK}:{port}")


@full
def test_while_deletion_protection_is_on_destroy_is_refused_and_removes_nothing() -> None:
    with applied_stack() as stack:
        module = Module(stack.stack, stack.stack.own_endpoint)
        init(module)
        run(module, module.changing("apply", "-auto-approve", "-var=deletion_protection=true"))
        with pytest.raises(CommandError):
            run(module, module.changing("destroy", "-auto-approve"))
        assert (
            "Deletion protection is on, so nothing was removed." in (stack.stack.folder / "terraform.log").read_text()
        )
        assert inspect(stack.config).complete


def test_every_resource_exists_and_every_consumer_of_the_catalogue_has_its_queues(stack: AppliedStack) -> None:
    report = inspect(stack.config)
    assert report.complete
    assert set(report.queues) == set(report.dlqs) == {service.name for service in load_catalog().consumers}
    resources = replace(stack.config.resources, orders_table="shopflow-test-nowhere")
    assert not inspect(replace(stack.config, resources=resources)).complete


def test_the_products_of_the_specification_are_seeded_once(stack: AppliedStack) -> None:
    products = connect(stack.config, PATIENT).products
    restocked = products.restock("PROD-001", 3)
    assert put(products, read_products()) == []
    found = products.read([product.product_id for product in read_products()])
    assert found["PROD-001"] == restocked
    assert found.keys() == {"PROD-001", "PROD-002", "PROD-003"}


def test_status_shows_the_resources_and_its_exit_code_says_if_there_are_dead_letters(stack: AppliedStack) -> None:
    text = io.StringIO()
    code = status(stack.stack, Console(file=text, width=120))
    assert code == (DEAD_LETTERS if inspect(stack.config).dead_letters else OK)
    for shown in ("shopflow-test-orders", "inventory", "Dead letters", "PROD-003", stack.stack.own_endpoint):
        assert shown in text.getvalue()
