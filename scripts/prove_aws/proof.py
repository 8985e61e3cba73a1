"""What is proved on the throw-away stack, step by step, and the report of one run."""

from __future__ import annotations

import json
import platform
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import uuid4

import requests

from scripts.console import CommandError, Progress
from scripts.e2e import REQUEST_SECONDS, wait_for
from scripts.infra.stack import API_URL, render_env, write_atomically
from scripts.infra.terraform import init, outputs_of, run
from scripts.prove_aws.figures import figures
from scripts.prove_aws.throwaway import Account, ThrowAway
from scripts.verify import messages_waiting
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import Config, load_config
from shopflow.domain.order import Status
from shopflow.environment import read_env_file

PRODUCT = "PROD-001"
CLIENTS, CLIENTS_OF_EMULATOR = 8, 2
DENIED = "payment"
OUTAGE = "prove-outage"
"""The policy that denies that service its tables."""
OUTAGE_ORDERS = 20
EMULATORS_WORDS = "prove-emulators-words"
POST_SECONDS = 120
DRAIN_SECONDS = 900
QUIET_LOOKS = 3
"""How often in a row no message must wait: on AWS the depths of queues are approximate."""
SPREAD_SECONDS = 60
"""AWS needs up to a minute for a changed queue (SQS developer guide), and seconds for a changed policy."""
ON_AWS = "The services ran on AWS itself, each in its own role."
ON_EMULATOR = """\
That is an emulator on one machine: it shows that code, Terraform and rights fit together. It does not show what AWS
answers, how fast it is, or what it bills. It speaks plain http (`require_tls=false`), asks for some rights by names of
its own, checks some on `*` only, and has no metrics of SNS, SQS and DynamoDB."""
METRIC_SECONDS = 900
"""CloudWatch has the metrics of a minute some minutes later."""
_SAME_RIGHT = {
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sns:Publish": "sns:PublishBatch",
}


@dataclass
class Step:
    """What it ``showed``, in lines. ``seconds`` stays None when it fails."""

    title: str
    showed: list[str] = field(default_factory=list)
    seconds: float | None = None


@dataclass
class Proof:
    """One run on one stack, with its ``steps`` so far."""

    module: ThrowAway
    account: Account
    orders: int
    progress: Progress
    steps: list[Step] = field(default_factory=list)

    @property
    def on_aws(self) -> bool:
        return not self.module.endpoint

    @property
    def clients(self) -> int:
        return CLIENTS if self.on_aws else CLIENTS_OF_EMULATOR

    @property
    def prefix(self) -> str:
        return self.module.stack.name_prefix

    def run(self) -> None:
        """Apply, prove, remove. Raises `CommandError` at the first step that fails, and removes the stack then, too."""
        try:
            config = self._apply()
            self._serve(config)
            window = self._load(config)
            self._outage(config)
            with self._step("Every invariant holds: verify") as step:
                step.showed = _result(self.module.python("scripts.verify"))
            with self._step(f"What the {self.orders} orders used: counted, and measured by CloudWatch") as step:
                step.showed = list(self._figures(*window))
        finally:
            self.remove()

    @contextmanager
    def _step(self, title: str) -> Iterator[Step]:
        self.steps.append(step := Step(title))
        started = time.monotonic()
        with self.progress.step(title):
            yield step
        step.seconds = time.monotonic() - started
        for line in step.showed:
            self.progress.say(f"    {line}")

    def _apply(self) -> Config:
        with self._step("terraform apply") as step:
            init(self.module)
            text = run(self.module, self.module.changing("apply", "-auto-approve"))
            step.showed = [line for line in text.splitlines() if line.startswith("Apply complete")]
        with self._step("A second terraform plan") as step:
            text = run(self.module, self.module.changing("plan"))
            step.showed = [line for line in text.splitlines() if line.startswith(("No changes.", "Plan:"))]
            planned = [line for line in text.splitlines() if re.match(r"  # .* (will|must) be ", line)]
            alarms = [] if self.on_aws else [line for line in planned if "aws_cloudwatch_metric_alarm." in line]
            if alarms:
                step.showed += ["That is the alarms: the emulator does not return them as they are."]
            if left := [line for line in planned if line not in alarms]:
                raise CommandError(f"A second plan wants to change something:{left[0].removeprefix('  #')}")
        outputs = outputs_of(self.module.folder, self.module.environment())
        write_atomically(self.module.stack.env_file, render_env(outputs, self.module.endpoint or None))
        if not self.on_aws:
            self._add_emulators_words(outputs["role_arns"])
        return load_config(read_env_file(self.module.stack.env_file))

    def _serve(self, config: Config) -> None:
        with self._step("Products") as step:
            units = f"--units={self.orders + OUTAGE_ORDERS}"
            step.showed = self.module.python("scripts.products", "put").splitlines()
            step.showed += self.module.python("scripts.restock", f"--product={PRODUCT}", units).splitlines()
        with self._step("Four orders over HTTP, each to its end: e2e") as step:
            step.showed = _result(self.module.python("scripts.e2e"))
            self._wait_until_drained(config)

    def _load(self, config: Config) -> tuple[datetime, datetime]:
        """Place the orders. Returns the times between which all their work was done, and nothing else."""
        began = self._next_minute()
        with self._step(f"{self.orders} orders from {self.clients} clients") as step:
            started = time.monotonic()
            ids = self._place(self.orders)
            posted = time.monotonic() - started
            self._wait_until_drained(config)
            seconds = time.monotonic() - started
            step.showed = [f"{self.orders / posted:.1f} POSTs a second; all queues empty after {seconds:.0f} s"]
            until = self._next_minute()
            step.showed += [self._all_completed(config, ids)]
        return began, until

    def _figures(self, began: datetime, until: datetime) -> Iterator[str]:
        """The count over the twins, for full batches and for orders that are alone, beside the metrics."""
        cloudwatch, deadline = self.account.client("cloudwatch"), time.monotonic() + METRIC_SECONDS * self.on_aws
        yield f"{'':66}{'counted':>16}{'CloudWatch':>12}"
        for one in figures(self.prefix):
            seconds = max(0, deadline - time.monotonic())
            value = wait_for(lambda one=one: one.measured(cloudwatch, began, until), bool, seconds)  # type: ignore[misc]
            least, most = (f"{self.orders * counted:,.0f}" for counted in (one.least, one.most))
            counted = least if least == most else f"{least} to {most}"
            yield f"{one.title:66}{counted:>16}{'no data' if value is None else f'{value:,.0f}':>12}"

    def _outage(self, config: Config) -> None:
        """Deny a service its tables until the messages of new orders are dead letters. Then mend it, and redrive them.

        A message may be received five times, which takes half an hour. Here it is once, so that nobody waits so long.
        """
        queue, role = config.resources.queue_urls[DENIED], f"{self.prefix}-{DENIED}"
        with self._step(f"An outage: IAM denies the {DENIED} service DynamoDB, {OUTAGE_ORDERS} orders") as step:
            asked = {"QueueUrl": queue, "AttributeNames": ["RedrivePolicy"]}
            before = self.account.client("sqs").get_queue_attributes(**asked)["Attributes"]["RedrivePolicy"]
            self._set_redrive_policy(queue, json.dumps(json.loads(before) | {"maxReceiveCount": 1}))
            self._put_policy(role, OUTAGE, [{"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}])
            self._wait_on_aws(SPREAD_SECONDS)
            ids = self._place(OUTAGE_ORDERS)
            self._wait_until_drained(config)
            dead = connect(config, PATIENT).backlogs().of(DENIED).dead_letters.total
            step.showed = [f"Every POST was answered with 201; {dead} messages are dead letters."]
            if not dead:
                raise CommandError("The denial had no effect: there is no dead letter.")
        with self._step("The outage ends: dlq list, dlq redrive") as step:
            self._set_redrive_policy(queue, before)
            self._delete_policy(role, OUTAGE)
            self._wait_on_aws(SPREAD_SECONDS)
            step.showed = _result(self.module.python("scripts.dlq", "list"))
            step.showed += self.module.python("scripts.dlq", "redrive", DENIED, "--yes", "--rate=50").splitlines()[-1:]
            self._wait_until_drained(config)
            step.showed += [self._all_completed(config, ids)]

    def remove(self) -> None:
        """Remove the stack, however far it got. Raises `CommandError` naming what is left."""
        with self._step("terraform destroy: nothing is left") as step:
            init(self.module)
            for service, policy in product([*load_catalog().services, "relay"], [OUTAGE, EMULATORS_WORDS]):
                with suppress(self.account.client("iam").exceptions.NoSuchEntityException):
                    self._delete_policy(f"{self.prefix}-{service}", policy)
            text = run(self.module, self.module.changing("destroy", "-auto-approve"))
            step.showed = [line for line in text.splitlines() if line.startswith("Destroy complete")]
            if left := wait_for(self.account.named, lambda names: not names, SPREAD_SECONDS * self.on_aws):
                raise CommandError(f"Still there after destroy: {', '.join(left)}")
            step.showed += [f"No resource is named {self.prefix}-…"]

    def _place(self, count: int) -> list[str]:
        url = read_env_file(self.module.stack.env_file)[API_URL]
        with ThreadPoolExecutor(self.clients) as clients:
            return list(clients.map(lambda _: _order(url), range(count)))

    def _all_completed(self, config: Config, ids: list[str]) -> str:
        statuses = Counter(order.status for order in connect(config, PATIENT).orders.read(ids).values())
        if statuses != {Status.COMPLETED: len(ids)}:
            raise CommandError(f"Not every order is COMPLETED: {dict(statuses)}")
        return f"All {len(ids)} orders are COMPLETED."

    def _wait_until_drained(self, config: Config) -> None:
        """Wait until no message is in a queue, dead letters apart. It reads no table, so it adds no units."""
        deadline, quiet = time.monotonic() + DRAIN_SECONDS, 0
        while quiet < QUIET_LOOKS:
            if time.monotonic() > deadline:
                raise CommandError(f"Messages still wait after {DRAIN_SECONDS} s.")
            quiet = 0 if messages_waiting(config) else quiet + 1
            time.sleep(2 if self.on_aws else 0.5)

    def _next_minute(self) -> datetime:
        """On AWS wait for it, because CloudWatch counts by the minute."""
        self._wait_on_aws(60 - time.time() % 60)
        now = datetime.now(UTC)
        return now.replace(second=0, microsecond=0) if self.on_aws else now

    def _wait_on_aws(self, seconds: float) -> None:
        time.sleep(seconds * self.on_aws)

    def _set_redrive_policy(self, queue: str, policy: str) -> None:
        self.account.change("sqs", "set_queue_attributes", QueueUrl=queue, Attributes={"RedrivePolicy": policy})

    def _put_policy(self, role: str, name: str, statements: list[dict[str, Any]]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.account.change("iam", "put_role_policy", RoleName=role, PolicyName=name, PolicyDocument=document)

    def _delete_policy(self, role: str, name: str) -> None:
        self.account.change("iam", "delete_role_policy", RoleName=role, PolicyName=name)

    def _add_emulators_words(self, services: Iterable[str]) -> None:
        """Give each role its rights under the names that the embedded cloud asks for, where AWS has others."""
        iam = self.account.client("iam")
        for service in services:
            role = f"{self.prefix}-{service}"
            policy = iam.get_role_policy(RoleName=role, PolicyName=service)["PolicyDocument"]
            if words := list(in_emulators_words(policy["Statement"])):
                self._put_policy(role, EMULATORS_WORDS, words)


def in_emulators_words(statements: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rights that the embedded cloud asks for by the name of the operation, or on "*", unlike AWS."""
    for statement in statements:
        for action in [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]:
            if action in _SAME_RIGHT:
                yield {"Effect": "Allow", "Action": _SAME_RIGHT[action], "Resource": statement["Resource"]}
            elif action.startswith("dynamodb:PartiQL"):
                yield {"Effect": "Allow", "Action": "dynamodb:BatchExecuteStatement", "Resource": "*"}
            elif action == "ses:SendEmail":
                yield {"Effect": "Allow", "Action": action, "Resource": "*"}


def _order(url: str) -> str:
    """Place an order of one line, with one key until the API has answered 201. Returns the order's id."""
    items = [{"productId": PRODUCT, "quantity": 1}]
    body = {"customerId": "CUST-PROVE", "items": items, "paymentMethod": "pm_card_visa"}
    headers = {"Idempotency-Key": uuid4().hex}

    def ask() -> tuple[str | None, str]:
        try:
            answer = requests.post(f"{url}/orders", json=body, headers=headers, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            return None, str(error)
        return answer.json()["orderId"] if answer.status_code == 201 else None, answer.text

    order_id, text = wait_for(ask, lambda seen: seen[0] is not None, POST_SECONDS)
    if order_id is None:
        raise CommandError(f"POST /orders failed for {POST_SECONDS} s: {text}")
    return order_id


def _result(text: str) -> list[str]:
    """The lines of a command's result, which follows its progress."""
    result = re.split(r"^✔ .*\n", text, flags=re.MULTILINE)[-1]
    return [line.rstrip() for line in result.splitlines() if line.strip()]


def report(proof: Proof, where: str, commit: str, failure: BaseException | None) -> str:
    """The run as Markdown. ``where``: what it ran on. ``failure``: what ended it early."""
    runtime = proof.module.variables["lambda_runtime"]
    good = "**Every step succeeded, and nothing of the stack is left.**"
    lines = [
        f"# A throw-away stack, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        good if failure is None else f"**It failed.** {type(failure).__name__}: {failure}",
        "",
        f"`{'' if proof.on_aws else 'CLOUD=embedded '}ORDERS={proof.orders} make prove-aws` ran on {where},",
        f"region {proof.module.stack.region}.",
        ON_AWS if proof.on_aws else ON_EMULATOR,
        "",
        f"It ran commit {commit} with `terraform/aws.tfvars`, on Lambda with {runtime},",
        f"under the prefix `{proof.prefix}`. The commands ran on Python {platform.python_version()}.",
    ]
    for step in proof.steps:
        ended = "✘ failed" if step.seconds is None else f"✔ {step.seconds:.0f} s"
        lines += ["", f"## {step.title}", "", *(f"    {line}" for line in [*step.showed, ended])]
    return "\n".join(lines) + "\n"
