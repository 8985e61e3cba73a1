"""A local stack: Terraform's resources on one local AWS. Its files, its port, its lock, its environment."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from scripts.console import CommandError, Progress
from shopflow.environment import CREDENTIALS, ENDPOINT, ENV_FILE, LOOPBACK, environment_of, read_env_file
from shopflow.errors import ConfigError
from shopflow.listeners import taken

ROOT = Path(__file__).resolve().parents[2]
RECORD = "stack.json"
HEALTH_PATH = "/_localstack/health"
START_SECONDS = 120
"""The longest wait for a local AWS. The embedded one starts in half a second, LocalStack's container in about 20."""
SAVE_SECONDS = 5.0
"""How often the developer's local AWS saves its state."""
DEFAULT_PORT = 4566
"""Where LocalStack and compatible emulators listen."""
RECEIVE_WAIT_SECONDS = 2
"""A short long poll, so that Ctrl-C does not have to wait 20 s for one."""
API_URL = "SHOPFLOW_API_URL"
"""Set when the services run as Lambda functions: where their HTTP API answers."""
RESOURCES = ("topic_arn", "orders_table", "inventory_table", "events_table", "open_orders_index")
"""Terraform's outputs that name a resource. SHOPFLOW_TOPIC_ARN and so on are their variables."""
OPTIONAL = {
    "payment_gateway": "PAYMENT_GATEWAY",
    "mail_from": "MAIL_FROM",
    "ops_token_parameter": "OPS_TOKEN_PARAMETER",
    "catalog_overlay": "SHOPFLOW_CATALOG_OVERLAY",
}
"""Outputs that can be empty, and their variables."""
PASSED_ON = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_", "XDG_", "SSL_CERT_", "PYTHON", "LD_", "DYLD_")
"""The beginnings of the variables that the emulator and Terraform get from the shell, beside those of a proxy."""


LOCK_FD = 9
"""The file descriptor of a stack's lock. A shell can name no higher one, and scripts use the low ones themselves."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The names and places of one stack. Two stacks share nothing.

    Everything in ``folder`` can be made again. The stack's own cloud listens on ``port``. It saves its state every
    ``save_seconds``; None: only when it stops.
    """

    name: str
    folder: Path
    env_file: Path
    port: int
    name_prefix: str
    region: str = "us-east-1"
    save_seconds: float | None = None

    @property
    def own_endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def check_port(self) -> None:
        """Raise `CommandError` when a program listens on the stack's port."""
        if port_is_taken(self.port):
            raise CommandError(
                f"{taken(self.port)}. Stop it, choose another port (SHOPFLOW_PORT=4570 make infra-up), "
                f"or use what listens there (AWS_ENDPOINT_URL={self.own_endpoint} make infra-up)."
            )

    def record(self) -> dict[str, Any]:
        """What earlier commands noted: port, cloud, endpoint, Terraform's last outputs. Empty before the first up."""
        return read_json(self.folder / RECORD) or {}

    def remember(self, **facts: Any) -> None:
        """Add ``facts`` to the record."""
        write_atomically(self.folder / RECORD, json.dumps(self.record() | facts, indent=2))

    def environment(self, exported: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a process that runs on this stack.

        The env file alone says what is AWS and where: exported variables of AWS or of another stack are dropped.
        """
        own = {ENDPOINT: self.own_endpoint} | read_env_file(self.env_file)
        return environment_of(exported, own) | {"SHOPFLOW_ENV_FILE": str(self.env_file)}

    @contextmanager
    def lock(self, progress: Progress, purpose: str = "change") -> Iterator[None]:
        """Let one process at a time do ``purpose`` with the stack. Others wait, and say so.

        A child process that inherits `LOCK_FD` (``close_fds=False``) has the lock, too, until it ends or closes it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{purpose}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress.say(f"Waiting for another command that uses the stack '{self.name}' …")
                fcntl.flock(file, fcntl.LOCK_EX)
            inherited = fcntl.fcntl(file, fcntl.F_DUPFD, LOCK_FD)
            try:
                yield
            finally:
                os.close(inherited)


def stack_for_developer(port: int | None = None, root: Path = ROOT) -> Stack:
    """The stack of `make infra-up`, with `.env.local`. Without a ``port`` it uses the last one, at first 4566."""
    folder = root / ".local" / "dev"
    stack = Stack("dev", folder, root / ENV_FILE, DEFAULT_PORT, "shopflow", save_seconds=SAVE_SECONDS)
    return replace(stack, port=port or stack.record().get("port") or DEFAULT_PORT)


def chosen_port(settings: Mapping[str, str]) -> int | None:
    """SHOPFLOW_PORT, if it is set. Raises `ConfigError` when it is not a port number."""
    text = settings.get("SHOPFLOW_PORT")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ConfigError(f"SHOPFLOW_PORT={text} must be a number from 1 to 65535.")
    return int(text)


def stack_in_use(env: Mapping[str, str]) -> Stack:
    """The stack whose env file ``env`` was read from."""
    developers = stack_for_developer()
    file = Path(env.get("SHOPFLOW_ENV_FILE") or developers.env_file).resolve()
    if file == developers.env_file:
        return developers
    stack = Stack(file.parent.name, file.parent, file, DEFAULT_PORT, env["SHOPFLOW_STACK"], env["AWS_REGION"])
    return replace(stack, port=stack.record().get("port", DEFAULT_PORT))


def render_env(outputs: Mapping[str, Any], endpoint: str | None) -> str:
    """The text of the env file: Terraform's outputs as the variables that `shopflow.config` reads.

    ``endpoint``: of a local AWS. Without one the file is for real AWS and has no credentials.
    """
    local = {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS, "SQS_WAIT_SECONDS": RECEIVE_WAIT_SECONDS}
    variables = local if endpoint else {}
    variables |= {"AWS_REGION": outputs["region"], "SHOPFLOW_STACK": outputs["name_prefix"]}
    variables |= {f"SHOPFLOW_{name.upper()}": outputs[name] for name in RESOURCES}
    for kind, urls in (("QUEUE_URL", outputs["queue_urls"]), ("DLQ_URL", outputs["dlq_urls"])):
        for service, url in sorted(urls.items()):  # Terraform's URL has the host and port where the queue was made
            variables[f"SHOPFLOW_{service.upper()}_{kind}"] = endpoint + urlsplit(url).path if endpoint else url
    for name, variable in OPTIONAL.items():
        if value := outputs.get(name):
            variables[variable] = value
    if url := outputs.get("api_url"):  # not every machine resolves <id>.execute-api.localhost
        api_id = (urlsplit(url).hostname or "").partition(".")[0]
        variables[API_URL] = f"{endpoint}/_aws/execute-api/{api_id}/$default" if endpoint else url
    header = "# Written from Terraform's outputs by `make infra-up`, or by `make env` for real AWS.\n"
    return header + "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: object) -> str:
    """A value as dotenv reads it back, whatever is in it: the overlay's path may have blanks and quotes."""
    text = str(value)
    return text if re.fullmatch(r"[\w:/.$-]*", text) else "'" + re.sub(r"([\\'])", r"\\\1", text) + "'"


def passed_on(exported: Mapping[str, str], *more: str) -> dict[str, str]:
    """Those exported variables that a program of the stack may see: they start as `PASSED_ON` or ``more`` say.

    All others might change what it does.
    """
    wanted = (*PASSED_ON, *more)
    return {
        name: value
        for name, value in exported.items()
        if value and (name.startswith(wanted) or name.lower().endswith("_proxy"))
    }


def port_is_taken(port: int) -> bool:
    """Whether a program listens on ``port`` of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def fetch(url: str, seconds: float = 1) -> requests.Response | None:
    """What ``url`` answers within ``seconds``; None if it does not. Uses no proxy."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=seconds)
    except requests.RequestException:
        return None


def answers(url: str) -> bool:
    """Whether ``url`` answers within a second, without a server error."""
    answer = fetch(url)
    return answer is not None and answer.status_code < 500


def wait_until_healthy(endpoint: str, still_starting: Callable[[], bool]) -> bool:
    """Wait until a cloud is healthy. False when it is no longer starting, or after `START_SECONDS`."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if answers(endpoint + HEALTH_PATH):
            return True
        if not still_starting():
            return False
        time.sleep(0.05)
    return False


def read_json(file: Path) -> Any | None:
    """The content of ``file``; None when it does not exist or was cut short."""
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def write_atomically(file: Path, text: str) -> None:
    """Replace ``file`` in one step, readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)
