"""LocalStack in a container, by docker compose (docker-compose.yml)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from scripts.console import CommandError, Progress, last_line
from scripts.infra.health import port_is_taken, wait_until_healthy
from scripts.infra.stack import ROOT, Stack
from shopflow.listeners import taken

INSTEAD = "or leave CLOUD unset for the embedded local AWS, which needs no Docker."


class LocalStack:
    """The container of one stack. Without a licence LocalStack forgets everything when it stops."""

    kind = "localstack"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.endpoint = stack.own_endpoint

    def start(self, progress: Progress) -> None:
        _require_docker()
        if self._is_running():
            return
        if port_is_taken(self._stack.port):
            raise CommandError(
                f"{taken(self._stack.port)}: run 'make infra-down' if that is the embedded local AWS, "
                "or choose another port (SHOPFLOW_PORT=4570 CLOUD=localstack make infra-up)."
            )
        with progress.step("Starting LocalStack (the first time its image is downloaded)"):
            self._compose("up", "--detach", "--quiet-pull")
            if not wait_until_healthy(self.endpoint, self._is_running):
                raise CommandError("LocalStack did not start: 'docker compose logs' shows why.")

    def stop(self, progress: Progress) -> None:
        _require_docker()
        with progress.step("Stopping LocalStack"):
            self._compose("stop")
        progress.say("LocalStack keeps nothing over a stop without a licence: the next infra-up applies anew")

    def discard(self, progress: Progress) -> None:
        _require_docker()
        with progress.step("Removing LocalStack's container"):
            self._compose("down", "--volumes")

    def _is_running(self) -> bool:
        return bool(self._compose("ps", "--quiet", "--status", "running"))

    def _compose(self, *arguments: str) -> str:
        command = ["docker", "compose", "--project-name", f"shopflow-{self._stack.name}", *arguments]
        answer = subprocess.run(
            command, cwd=ROOT, env=self._environment(os.environ), capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            raise CommandError(f"'docker compose {arguments[0]}' failed: {last_line(answer.stderr)}")
        return answer.stdout.strip()

    def _environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        licensed = {"LOCALSTACK_TAG": "latest"} if inherited.get("LOCALSTACK_AUTH_TOKEN") else {}
        return licensed | dict(inherited) | {"SHOPFLOW_PORT": str(self._stack.port)}


def _require_docker() -> None:
    """Raise `CommandError` unless there is a Docker engine with compose."""
    if shutil.which("docker") is None:
        raise CommandError(f"CLOUD=localstack needs Docker, which is not installed: install it, {INSTEAD}")
    if not _succeeds("docker", "info"):
        raise CommandError(f"CLOUD=localstack needs Docker, whose engine does not answer: start it, {INSTEAD}")
    if not _succeeds("docker", "compose", "version"):
        raise CommandError(f"CLOUD=localstack needs 'docker compose', which is missing: install the plugin, {INSTEAD}")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
