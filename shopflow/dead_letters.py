"""Dead letters taken for a look, each with what would become of it now: for operators."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shopflow import jsontext
from shopflow.messaging.dry_run import Kind, Verdict
from shopflow.ports import MAX_BATCH_ENTRIES, DeadLetter, DeadLetters

ROOT = Path(__file__).parent.parent
"""Where `workers` is found: the real handlers, which nobody else may import."""
LOOK_SECONDS = 120
"""How long what is looked at stays hidden if we die before giving it back."""
LOOK_WAIT_SECONDS = 1
"""How long a look waits for the next message."""
DRY_RUN_SECONDS = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """A dead letter and what would become of it now."""

    letter: DeadLetter
    verdict: Verdict

    @property
    def message_id(self) -> str:
        return self.letter.message.message_id

    @property
    def explanation(self) -> str:
        """The verdict as a sentence."""
        return f"{self.verdict.kind}: {self.verdict.text}" if self.verdict.text else str(self.verdict.kind)

    @property
    def reason(self) -> str:
        """The verdict without what tells one message from the next: messages are grouped by it."""
        text = re.sub(r"ORD-\w+", "ORD-…", self.verdict.text)
        text = re.sub(r"\$[\d.]+", "$…", text)
        text = re.sub(r"^(not JSON):.*", r"\1", text, flags=re.DOTALL)
        if self.verdict.kind is Kind.READY:
            text = text.partition(" (")[0]
        return f"{self.verdict.kind}: {text}" if text else str(self.verdict.kind)


@contextmanager
def taken(dlq: DeadLetters, most: int, hide_seconds: int = LOOK_SECONDS) -> Iterator[list[DeadLetter]]:
    """Up to ``most`` dead letters, hidden from others meanwhile. What is not deleted by the end is given back."""
    letters: list[DeadLetter] = []
    try:
        while len(letters) < most:
            received = dlq.receive(min(MAX_BATCH_ENTRIES, most - len(letters)), hide_seconds, LOOK_WAIT_SECONDS)
            if not received:
                break
            letters += received
        yield letters
    finally:
        dlq.give_back(letters)


def judge(service: str, letters: Sequence[DeadLetter], within_seconds: float = DRY_RUN_SECONDS) -> list[Judged]:
    """What ``service`` would do with each now: asked of its real handler, in a process of its own, to no effect.

    When that takes longer than ``within_seconds`` it is not known of any.
    """
    return judge_all({service: letters}, within_seconds)[service]


def judge_all(
    letters: Mapping[str, Sequence[DeadLetter]], within_seconds: float = DRY_RUN_SECONDS
) -> dict[str, list[Judged]]:
    """`judge`, of several services in one process."""
    bodies = {service: [letter.message.body for letter in some] for service, some in letters.items() if some}
    verdicts = _dry_run(bodies, within_seconds) if bodies else {}
    return {
        service: [Judged(one, verdict) for one, verdict in zip(some, verdicts.get(service, ()), strict=True)]
        for service, some in letters.items()
    }


def _dry_run(bodies: Mapping[str, Sequence[str]], within_seconds: float) -> dict[str, list[Verdict]]:
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "workers.dry_run"],
            input=jsontext.dumps(bodies).encode(),
            cwd=ROOT,
            capture_output=True,
            timeout=within_seconds,
        )
    except subprocess.TimeoutExpired:
        return _unknown(bodies, f"the dry run took over {within_seconds:g} s")
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {answer.returncode}"]
        return _unknown(bodies, f"the dry run failed: {lines[-1]}")
    found = jsontext.loads(answer.stdout)
    return {service: [Verdict(Kind(one["kind"]), one["text"]) for one in some] for service, some in found.items()}


def _unknown(bodies: Mapping[str, Sequence[str]], why: str) -> dict[str, list[Verdict]]:
    return {service: [Verdict(Kind.UNKNOWN, why)] * len(some) for service, some in bodies.items()}
