"""What can be done with a stack: up, down, reset, status."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.console import FAILED, OK, CommandError, Progress
from scripts.infra.clouds import Cloud, External, abilities_of, choose, embedded_abilities, last_cloud
from scripts.infra.emulator import Embedded
from scripts.infra.stack import Stack, render_env, write_atomically
from scripts.infra.terraform import Module, apply, init, require_terraform, run
from scripts.package import Package, for_lambda, for_this_machine, make_package
from scripts.products import put, read_products
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.mail import verify_sender
from shopflow.aws.wiring import connect
from shopflow.config import Config, catalog_overlay, configured_catalog, load_config
from shopflow.errors import ConfigError, ShopFlowError
from shopflow.log import printable

DEAD_LETTERS = 3
"""Exit code of `status`: everything exists, but a dead-letter queue is not empty."""
MISSING = "[red]missing"


def up(stack: Stack, settings: Mapping[str, str], progress: Progress) -> Config:
    """Start the stack's cloud, apply Terraform, seed the products, write the env file. Skips what is done already.

    ``settings`` are the exported variables that choose the cloud, the catalogue's overlay and what the services run on.
    Raises `CommandError` or `ConfigError`, which say what is wrong and what to do.
    """
    require_terraform()
    configured_catalog(settings)
    with stack.lock(progress):
        cloud, last = choose(stack, settings), last_cloud(stack)
        if isinstance(cloud, External):
            cloud.is_running()  # raises if it does not answer: then nothing is stopped
        if last and last.kind not in (cloud.kind, External.kind) and not last.has_ended():
            last.stop(progress)
        cloud.start(progress)
        stack.remember(port=stack.port, cloud=cloud.kind, endpoint=cloud.endpoint)
        abilities = embedded_abilities() if cloud.kind == Embedded.kind else abilities_of(cloud.endpoint)
        progress.say(f"✔ {cloud.endpoint} is {abilities}")
        package = _package(stack, cloud, settings, progress)
        overlay = catalog_overlay(settings)
        _apply_if_needed(Module(stack, cloud.endpoint, overlay, package, abilities.table_policies), cloud, progress)
        config = config_of(stack)
        if new := put(connect(config, PATIENT).products, read_products()):
            progress.say(f"✔ Seeded {', '.join(new)}")
        if not verify_sender(config):
            progress.warn(f"{cloud.endpoint} cannot send mail from {config.mail_from}: order without 'email'.")
        return config


def down(stack: Stack, progress: Progress) -> None:
    """Stop the stack's cloud, which keeps its state if it can."""
    with stack.lock(progress):
        if cloud := last_cloud(stack):
            cloud.stop(progress)
        else:
            progress.say("Nothing is up")


def reset(stack: Stack, progress: Progress) -> None:
    """Stop the stack's cloud and remove everything of the stack, with all its orders."""
    with stack.lock(progress):
        cloud = last_cloud(stack)
        if isinstance(cloud, External):
            cloud.start(progress)
            module = Module(stack, cloud.endpoint)
            with progress.step("Removing Terraform's resources") as show:
                init(module)
                run(module, module.changing("destroy", "-auto-approve"), show)
        elif cloud:
            cloud.discard(progress)
        if stack.env_file.exists():
            stack.env_file.unlink()
            progress.say(f"✔ Removed {stack.env_file}")
        shutil.rmtree(stack.folder)
        progress.say(f"✔ Removed {stack.folder}")


def config_of(stack: Stack) -> Config:
    """The configuration in the stack's env file alone. Raises `ConfigError` when nothing is up."""
    return load_config(stack.environment({}))


def _package(stack: Stack, cloud: Cloud, settings: Mapping[str, str], progress: Progress) -> Package | None:
    """The package for Lambda functions, or None for processes. Raises `ConfigError` for an unknown COMPUTE."""
    compute = settings.get("COMPUTE") or "none"
    if compute == "none":
        return None
    if compute != "lambda":
        raise ConfigError(f"COMPUTE={compute} must be lambda, or none for services that are processes.")
    file = stack.folder / "lambda.zip"
    package = for_this_machine(file) if cloud.kind == Embedded.kind else for_lambda(file)
    make_package(package, progress, catalog_overlay(settings))
    return package


def _apply_if_needed(module: Module, cloud: Cloud, progress: Progress) -> None:
    stack = module.stack
    fingerprint = module.fingerprint()
    record = stack.record()
    if record.get("outputs") and record.get("fingerprint") == fingerprint:
        write_atomically(stack.env_file, render_env(record["outputs"], module.endpoint))
        with suppress(ShopFlowError):
            if inspect(config_of(stack)).complete:
                progress.say(f"✔ {module.endpoint} has all resources, nothing to apply")
                return
    was_cut_off = "fingerprint" in record and not record.get("outputs")
    if was_cut_off and not isinstance(cloud, External):
        progress.say("The first start was cut off, before there was any order: starting over")
        cloud.discard(progress)
        for file in stack.folder.glob("*terraform.tfstate*"):
            file.unlink()
        cloud.start(progress)
    stack.remember(fingerprint=None)
    outputs = apply(module, progress, cloud.has_ended)
    stack.remember(fingerprint=fingerprint, outputs=outputs)
    write_atomically(stack.env_file, render_env(outputs, module.endpoint))


def status(stack: Stack, console: Console) -> int:
    """Show resources, queue depths and stock. Returns 0 (all is well), 1 (something is missing) or `DEAD_LETTERS`."""
    if not stack.env_file.exists():
        raise CommandError("Nothing is up. Run 'make infra-up'.")
    config = config_of(stack)
    report = inspect(config)
    products = connect(config, PATIENT).products.all() if report.complete else []
    resources, queues = Table("Resource", "Name", "Items"), Table("Queue", "Waiting", "In flight", "Dead letters")
    resources.add_row("endpoint", f"{config.endpoint_url} ({stack.record().get('cloud')})", "")
    resources.add_row("topic", config.resources.topic_arn, "" if report.topic_exists else MISSING)
    for name, items in report.tables.items():
        resources.add_row("table", name, MISSING if items is None else str(items))
    for service, depth in report.queues.items():
        dlq = report.dlqs.get(service)
        dead = dlq.total if dlq else MISSING
        waiting, in_flight = (depth.waiting, depth.in_flight) if depth else (MISSING, MISSING)
        queues.add_row(service, str(waiting), str(in_flight), f"[red]{dead}" if dead else "0")
    stock = Table("Product", "Name", "Price", "Stock", "Received")
    for one in products:
        named = escape(printable(one.product_id)), escape(printable(one.product_name))
        stock.add_row(*named, f"${one.price}", str(one.stock), str(one.received))
    console.print(resources, queues, stock)
    if not report.complete:
        console.print("A resource is missing. Run 'make infra-up', which makes it again.", style="red")
        return FAILED
    if report.dead_letters:
        console.print(f"{report.dead_letters} message(s) in dead-letter queues. 'make dlq' lists them.", style="red")
        return DEAD_LETTERS
    return OK
