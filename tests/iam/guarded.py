"""A local AWS that enforces IAM, and the services on it, each under its own role. Every AWS call is recorded.

The emulator asks for four rights by the name of the operation, where AWS has an action of another name: see
`in_emulators_words`. Three of them name the same resource. The fourth, for PartiQL, is asked for on "*", so the
emulator does not check which table a statement is about, nor whether it inserts or deletes. It asks for the right to
send mail on "*", too, and does not check from whom.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import boto3
import requests

from scripts.prove_aws.proof import in_emulators_words
from scripts.services import ORDER, LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import load_config
from shopflow.environment import CREDENTIALS, LOOPBACK
from tests.addresses import address, answers, free_port
from tests.iam.rights import Place, Right, granted_by, needed_by
from tests.live import QUICK, Live, quick_commands
from tests.stack import AppliedStack, applied_stack
from tests.waiting import eventually

ACCOUNT = "000000000000"
RELAY, OPERATOR = "relay", "operator"
RECORDING = Path(__file__).with_name("recording")


@dataclass(frozen=True, slots=True)
class Guarded:
    """The stack. ``live`` has an administrator's rights; ``env`` has no credentials."""

    live: Live
    place: Place
    prefix: str
    env: Mapping[str, str]
    services: Mapping[str, Services]
    calls: Path
    _session: boto3.session.Session
    _clients: dict[tuple[str, str | None], Any] = field(default_factory=dict)

    def credentials(self, role: str) -> dict[str, str]:
        """A session in the role of a service, of the relay or of the operator, as environment variables."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{self.prefix}-{role}"
        given = self.client("sts").assume_role(RoleArn=arn, RoleSessionName=role)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def environment(self, role: str) -> dict[str, str]:
        """The whole environment of a process in that role, which records its calls under the role's name."""
        recording = {"PYTHONPATH": str(RECORDING), "CALLS_FILE": str(self.calls / role)}
        return {**self.env, **self.credentials(role), **recording}

    def client(self, service: str, role: str | None = None) -> Any:
        """A client in that role, or with an administrator's rights; the same one each time."""
        if (service, role) not in self._clients:
            keys = list(self.credentials(role).values()) if role else [None] * 3
            self._clients[service, role] = self._session.client(
                service,  # type: ignore[call-overload]
                None,
                aws_access_key_id=keys[0],
                aws_secret_access_key=keys[1],
                aws_session_token=keys[2],
                endpoint_url=self.live.config.endpoint_url,
            )
        return self._clients[service, role]

    @contextmanager
    def operators_page(self) -> Iterator[Callable[..., Any]]:
        """The page /ops of an Order Service that has the operator's rights and no others.

        Yields what asks its API: it takes a path and, for a POST, a body.
        """
        token, port = token_urlsafe(), free_port()
        env = self.environment(OPERATOR) | address(port) | {"OPS_TOKEN": token, "RELAY": "off"}
        commands = [command for command in service_commands(load_catalog()) if command.service == ORDER]
        with Services(commands, env, LogFiles(self.calls.parent / "logs" / OPERATOR)) as services:
            services.start()
            url = f"http://{LOOPBACK}:{port}"
            eventually(lambda: answers(url), bool)

            def ask(path: str, body: Any = None) -> Any:
                headers, method = {"Authorization": f"Bearer {token}"}, "POST" if body else "GET"
                answer = requests.request(method, url + path, json=body, headers=headers, timeout=60)
                assert answer.ok, answer.text
                return answer.json()

            yield ask

    def granted(self, role: str) -> frozenset[Right]:
        """What Terraform lets the role do. The Order Service runs the relay, whose policy counts separately here."""
        iam = self.client("iam")
        if role == OPERATOR:
            arn = f"arn:aws:iam::{ACCOUNT}:policy/{self.prefix}-{OPERATOR}"
            policy = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
        else:
            policy = iam.get_role_policy(RoleName=f"{self.prefix}-{role}", PolicyName=role)["PolicyDocument"]
        return granted_by(policy)

    def used(self) -> dict[str, frozenset[Right]]:
        """The rights that the recorded calls needed, by role. The calls of the relay's thread are the relay's."""
        used: dict[str, frozenset[Right]] = {}
        for file in self.calls.iterdir():
            for call in map(json.loads, file.read_text().splitlines()):
                role = RELAY if call["thread"] == RELAY else file.name
                rights = needed_by(call["service"], call["operation"], call["params"], self.place)
                used[role] = used.get(role, frozenset()) | rights
        return used

    def make_operator(self) -> None:
        """A role that has the operator's policy and nothing else."""
        iam = self.client("iam")
        name = f"{self.prefix}-{OPERATOR}"
        trust = iam.get_role(RoleName=f"{self.prefix}-{ORDER}")["Role"]["AssumeRolePolicyDocument"]
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/{name}")
        self.add_emulators_words(OPERATOR)

    def add_emulators_words(self, role: str) -> None:
        """Also give the role its rights under the names that the emulator asks for."""
        policies = [role, RELAY] if role == ORDER else [role]
        rights = {right for name in policies for right in self.granted(name)}
        granted = [{"Action": right.action, "Resource": right.resource} for right in sorted(rights)]
        if statements := list(in_emulators_words(granted)):
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            self.client("iam").put_role_policy(
                RoleName=f"{self.prefix}-{role}", PolicyName="emulators-words", PolicyDocument=document
            )


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """A local AWS that enforces IAM, with all services running on it, each in its own role."""
    with ExitStack() as running:
        applied = running.enter_context(applied_stack(emulator_env={"AUTH": "true"}))
        guard = _guard(applied, folder)
        for role in [*guard.services, RELAY]:
            guard.add_emulators_words(role)
        for services in guard.services.values():
            services.start()
            running.callback(services.stop)
        eventually(lambda: answers(guard.live.url), bool)
        yield guard


def _guard(applied: AppliedStack, folder: Path) -> Guarded:
    without = {*CREDENTIALS, "SHOPFLOW_ENV_FILE"}
    env = {name: value for name, value in applied.env.items() if name not in without}
    env |= QUICK | address(free_port()) | {"SHOPFLOW_ENV_FILE": os.devnull}
    calls = folder / "calls"
    calls.mkdir()
    config = load_config(env)
    services: dict[str, Services] = {}
    session = boto3.session.Session(region_name=config.region)
    sqs = session.client("sqs", endpoint_url=config.endpoint_url)  # with an administrator's credentials
    live = Live(config, connect(config, PATIENT), Services([], env, LogFiles(folder)), sqs)
    guard = Guarded(live, Place(config.region, ACCOUNT), applied.stack.name_prefix, env, services, calls, session)
    for command in quick_commands(load_catalog()):
        services[command.service] = Services([command], guard.environment(command.service), LogFiles(folder / "logs"))
    return guard
