"""`make prove-aws`: `python -m scripts.prove_aws --help`."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from secrets import token_hex

from scripts.console import OK, CommandError, Progress, parser_of, run_command
from scripts.infra.emulator import Embedded
from scripts.infra.stack import ROOT, Stack, port_is_taken
from scripts.package import for_lambda, for_this_machine, make_package
from scripts.prove_aws.proof import OUTAGE_ORDERS, Proof, report
from scripts.prove_aws.throwaway import Account, ThrowAway
from shopflow.aws.wiring import session_in
from shopflow.environment import CREDENTIALS, NO_AWS_FILES
from shopflow.errors import ConfigError

ABOUT = """\
Prove ShopFlow on your AWS account: make a stack under a prefix of its own, put products and orders on it, deny a
service its table, redrive the dead letters, check every invariant, read CloudWatch's metrics, and remove the stack.
The result is a report in docs/proven/.

It uses the credentials and the region of your profile, which may do what Terraform does. It says what it will make,
and asks first.

variables:
  CLOUD=embedded   run on the embedded local cloud, with IAM enforced, instead of AWS
  YES=1            do not ask
  ORDERS=500       how many orders the load has
  EMAIL=…          who gets the alarms meanwhile (default: ops@example.com, which nobody reads)

exit codes: 0 proved and removed, 1 a step failed (the report says which), 2 a wrong setting
"""
FIRST_PORT = 25_000
MAX_ORDERS = 10_000
AWS, EMBEDDED = "aws", "embedded"
PREFIX = "shopflow-prove-"


def announced(prefix: str, where: str, options: argparse.Namespace) -> str:
    """What the run will make and cost."""
    return f"""\
This makes a stack on {where}. Every resource is named {prefix}-…, and no other is changed:
  6 functions, an HTTP API from which anybody can order meanwhile, 2 topics, 4 queues, each with a dead-letter queue,
  3 tables, 6 roles, 1 policy, 32 alarms to {options.email}, 1 dashboard
It places {options.orders + OUTAGE_ORDERS + 4} orders, and removes everything after about 25 minutes.
On AWS that costs less than $1: about one cent for the orders, and ten for an hour of alarms and metrics."""


@contextmanager
def emulator(stack: Stack, progress: Progress) -> Iterator[None]:
    """An embedded cloud that enforces IAM, until the block ends. No profile of the shell is used meanwhile."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(CREDENTIALS | NO_AWS_FILES | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
    embedded = Embedded(stack, {"AUTH": "true"})
    embedded.start(progress)
    try:
        yield
    finally:
        embedded.kill()


def region_of_shell() -> str:
    """The region on AWS. Raises `ConfigError` without one, and when the shell's endpoint is not AWS."""
    if named := [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL") and os.environ[name]]:
        raise ConfigError(f"{named[0]} is set, so this would not be AWS. Unset it, or say CLOUD=embedded.")
    region = os.environ.get("AWS_REGION") or session_in(None).region_name
    if not region:
        raise ConfigError("Which region? Set AWS_REGION, or one in your profile.")
    return region


def prove(options: argparse.Namespace, target: Path, progress: Progress) -> int:
    """Run the whole proof and write its report to ``target``, also after a failure. Or only remove a stack."""
    prefix, local = options.remove or f"{PREFIX}{token_hex(3)}", options.cloud == EMBEDDED
    folder = ROOT / ".local" / "prove" / prefix
    port = next(port for port in count(FIRST_PORT) if not port_is_taken(port))
    stack = Stack("prove", folder, folder / "env", port, prefix)
    stack = stack if local else replace(stack, region=region_of_shell())
    endpoint = stack.own_endpoint if local else ""
    with emulator(stack, progress) if local else nullcontext():
        package = (for_this_machine if local else for_lambda)(folder / "lambda.zip")
        module = ThrowAway(stack, endpoint, package=package, email=options.email)
        account = Account(session_in(stack.region), endpoint or None, prefix)
        proof = Proof(module, account, options.orders, progress)
        if options.remove:
            proof.remove()
            return OK
        if found := account.named():
            raise CommandError(f"The prefix {prefix} is in use: {found[0]}. Try again, with another one.")
        number = account.client("sts").get_caller_identity()["Account"]
        where = f"ministack {importlib.metadata.version('ministack')} with IAM enforced" if local else f"AWS {number}"
        progress.say(announced(prefix, f"{where} in {stack.region}", options))
        if not local and os.environ.get("YES") != "1" and input(f"Type {prefix} to start: ") != prefix:
            raise CommandError("Nothing was made.")
        commit = _commit()
        make_package(package, progress)
        failure: BaseException | None = None
        try:
            proof.run()
        except BaseException as error:  # Ctrl-C too: the report says how far it got
            failure = error
            raise
        finally:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(report(proof, where.replace(number, f"…{number[-4:]}"), commit, failure))
            progress.say(f"✔ {target}")
    return OK


def _commit() -> str:
    """The commit that is proved, and whether files differ from it."""
    commands = (["git", "rev-parse", "--short", "HEAD"], ["git", "status", "--porcelain", "--", ".", ":!docs"])
    commit, changed = (subprocess.run(one, cwd=ROOT, capture_output=True, text=True).stdout.strip() for one in commands)
    return f"{commit or 'an unknown commit'}{' with changes' if changed else ''}"


def main() -> int:
    parser = parser_of("scripts.prove_aws", ABOUT)
    parser.add_argument("--report", type=Path, metavar="FILE", help="(default: docs/proven/DATE-CLOUD.md)")
    parser.add_argument("--remove", metavar="PREFIX", help="only remove what a run that was killed has left on AWS")
    options = parser.parse_args()
    options.cloud, options.email = os.environ.get("CLOUD") or AWS, os.environ.get("EMAIL") or "ops@example.com"
    orders = os.environ.get("ORDERS") or "500"
    if options.cloud not in (AWS, EMBEDDED):
        raise ConfigError(f"CLOUD={options.cloud} must be {EMBEDDED}, or unset for AWS.")
    if not orders.isdecimal() or not 1 <= int(orders) <= MAX_ORDERS:
        raise ConfigError(f"ORDERS={orders} must be a number from 1 to {MAX_ORDERS:,}.")
    if not (options.remove or PREFIX).startswith(PREFIX):
        raise ConfigError(f"--remove takes a prefix that starts with {PREFIX}: no other stack can be meant.")
    options.orders = int(orders)
    target = options.report or ROOT / "docs" / "proven" / f"{datetime.now(UTC):%Y-%m-%d}-{options.cloud}.md"
    return prove(options, target, Progress())


if __name__ == "__main__":
    sys.exit(run_command(main))
