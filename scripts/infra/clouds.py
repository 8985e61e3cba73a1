"""Which local AWS a stack runs on, and how each kind is started and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from scripts.console import CommandError, Progress
from scripts.infra.emulator import Embedded
from scripts.infra.health import HEALTH_PATH, answers
from scripts.infra.localstack import LocalStack
from scripts.infra.stack import Stack
from shopflow.errors import ConfigError


class Cloud(Protocol):
    """A local AWS. ``kind`` is its name in the stack's record."""

    kind: str
    endpoint: str

    def start(self, progress: Progress) -> None:
        """Have it answer. Quick when it does already. Raises `CommandError` when it cannot."""
        ...

    def stop(self, progress: Progress) -> None:
        """Stop it; what it holds is there again after the next start, if it can keep it."""
        ...

    def discard(self, progress: Progress) -> None:
        """Stop it and drop what it holds."""
        ...


class External:
    """An endpoint that somebody else runs: used as it is, never started or stopped."""

    kind = "external"

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint.rstrip("/")

    def start(self, progress: Progress) -> None:
        if not answers(self.endpoint + HEALTH_PATH):
            raise CommandError(
                f"AWS_ENDPOINT_URL={self.endpoint} does not answer. Start what should listen there, "
                "or unset AWS_ENDPOINT_URL to have a local AWS started."
            )
        progress.say(f"✔ {self.endpoint} answers: used as it is (AWS_ENDPOINT_URL)")

    def stop(self, progress: Progress) -> None:
        progress.say(f"{self.endpoint} was not started from here: left running")

    def discard(self, progress: Progress) -> None:
        self.stop(progress)


def choose(stack: Stack, settings: Mapping[str, str]) -> Cloud:
    """The cloud that the exported ``settings`` ask for: AWS_ENDPOINT_URL, else CLOUD, else the embedded emulator.

    An AWS_ENDPOINT_URL that is the stack's own, exported from its env file perhaps, asks for the cloud that it had.
    """
    endpoint = settings.get("AWS_ENDPOINT_URL")
    if endpoint and endpoint != stack.record().get("endpoint"):
        return External(endpoint)
    last = of_record(stack) if endpoint else None
    return last or _of_kind(settings.get("CLOUD") or "embedded", stack, stack.own_endpoint)


def of_record(stack: Stack) -> Cloud | None:
    """The cloud that the stack was brought up on last, if it ever was."""
    record = stack.record()
    return _of_kind(record["cloud"], stack, record["endpoint"]) if "cloud" in record else None


def _of_kind(kind: str, stack: Stack, endpoint: str) -> Cloud:
    match kind:
        case "embedded":
            return Embedded(stack)
        case "localstack":
            return LocalStack(stack)
        case "external":
            return External(endpoint)
    raise ConfigError(f"CLOUD={kind} must be embedded or localstack.")
