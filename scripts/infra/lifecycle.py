"""Up, down and reset of a stack."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from scripts.console import Progress
from scripts.infra import envfile
from scripts.infra.clouds import Cloud, choose, of_record
from scripts.infra.stack import Stack, write_atomically
from scripts.infra.terraform import Module, apply, destroy, require_terraform
from scripts.package import Package, make_package, on_lambda, on_this_machine
from scripts.products import seed
from shopflow.aws.calls import PATIENT
from shopflow.aws.inspect import inspect
from shopflow.aws.wiring import connect
from shopflow.config import Config, catalog_overlay, load_config
from shopflow.errors import ConfigError, ShopFlowError


def up(stack: Stack, settings: Mapping[str, str], progress: Progress) -> Config:
    """Have the stack's local AWS answer with every resource in it and its products seeded; write its env file.

    Quick when that is so already. ``settings`` are the exported variables that choose the cloud, the overlay of the
    catalogue and what the services run on. Raises `CommandError` or `ConfigError` with what is in the way.
    """
    require_terraform()
    with stack.lock(progress):
        cloud = choose(stack, settings)
        _stop_another(stack, cloud, progress)
        cloud.start(progress)
        stack.remember(port=stack.port, cloud=cloud.kind, endpoint=cloud.endpoint)
        package = _package(stack, cloud, settings, progress) if wants_functions(settings) else None
        _apply_if_needed(Module(stack, cloud.endpoint, catalog_overlay(settings), package), progress)
        config = config_of(stack)
        if new := seed(connect(config, PATIENT).products):
            progress.say(f"✔ Seeded {', '.join(new)}")
        return config


def down(stack: Stack, progress: Progress) -> None:
    """Stop the stack's local AWS. What it holds is there again after the next `up`."""
    with stack.lock(progress):
        if cloud := of_record(stack):
            cloud.stop(progress)
        else:
            progress.say("Nothing is up")


def reset(stack: Stack, progress: Progress) -> None:
    """Stop the stack's local AWS and remove all there is of the stack, its orders too."""
    with stack.lock(progress):
        cloud = of_record(stack)
        if cloud and cloud.kind == "external":
            cloud.start(progress)
            destroy(Module(stack, cloud.endpoint), progress)
        elif cloud:
            cloud.discard(progress)
        if stack.env_file.exists():
            stack.env_file.unlink()
            progress.say(f"✔ Removed {stack.env_file}")
        shutil.rmtree(stack.folder)
        progress.say(f"✔ Removed {stack.folder}")


def config_of(stack: Stack) -> Config:
    """The configuration in the stack's env file, whatever is exported. Raises `ConfigError` when nothing is up."""
    return load_config(stack.environment({}))


def wants_functions(settings: Mapping[str, str]) -> bool:
    """Whether the services shall be Lambda functions (COMPUTE=lambda). Raises `ConfigError` for any other wish."""
    wish = settings.get("COMPUTE") or "none"
    if wish not in ("none", "lambda"):
        raise ConfigError(f"COMPUTE={wish} must be lambda, or none for services that are processes.")
    return wish == "lambda"


def _package(stack: Stack, cloud: Cloud, settings: Mapping[str, str], progress: Progress) -> Package:
    package = Package(stack.folder / "lambda.zip", on_this_machine() if cloud.kind == "embedded" else on_lambda())
    make_package(package, progress, catalog_overlay(settings))
    return package


def _stop_another(stack: Stack, chosen: Cloud, progress: Progress) -> None:
    last = of_record(stack)
    if last and last.kind not in (chosen.kind, "external"):
        last.stop(progress)


def _apply_if_needed(module: Module, progress: Progress) -> None:
    stack = module.stack
    fingerprint = module.fingerprint()
    outputs = stack.record().get("outputs")
    if outputs and stack.record().get("fingerprint") == fingerprint:
        write_atomically(stack.env_file, envfile.render(outputs, module.endpoint))
        if _is_complete(config_of(stack)):
            progress.say(f"✔ {module.endpoint} has all resources, nothing to apply")
            return
    stack.remember(fingerprint=None)
    outputs = apply(module, progress)
    stack.remember(fingerprint=fingerprint, outputs=outputs)
    write_atomically(stack.env_file, envfile.render(outputs, module.endpoint))


def _is_complete(config: Config) -> bool:
    try:
        return inspect(config).complete
    except ShopFlowError:
        return False
