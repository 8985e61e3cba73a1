"""Dead letters with what would become of each now, and what was found in a whole queue of them: for operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shopflow.ports import DeadLetter
from workers.dry_run import DryRun, Kind, Verdict

MAX_REASONS = 200
"""Reasons told apart in one queue: what else there is counts by its kind alone."""
MAX_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Judged:
    """A dead letter and what would become of it now."""

    letter: DeadLetter
    verdict: Verdict

    @property
    def message_id(self) -> str:
        return self.letter.message.message_id

    @property
    def kind(self) -> Kind:
        return self.verdict.kind

    @property
    def explanation(self) -> str:
        """The verdict as a sentence."""
        return f"{self.kind}: {self.verdict.text}" if self.verdict.text else str(self.kind)

    @property
    def reason(self) -> str:
        """The verdict without what tells one message from the next: messages are grouped by it."""
        text = re.sub(r"ORD-\w+", "ORD-…", self.verdict.text)
        text = re.sub(r"\$[\d.]+", "$…", text)
        text = re.sub(r"^(not JSON):.*", r"\1", text, flags=re.DOTALL)
        if self.kind is Kind.READY:
            text = text.partition(" (")[0]
        return f"{self.kind}: {text[:MAX_REASON_CHARACTERS]}" if text else str(self.kind)


Judge = Callable[[str, Sequence[DeadLetter]], list[Judged]]
"""What a service would do with each of some of its dead letters."""


def judging(dry_run: DryRun) -> Judge:
    def judge(service: str, letters: Sequence[DeadLetter]) -> list[Judged]:
        verdicts = dry_run.judge(service, [letter.message.body for letter in letters])
        return [Judged(letter, verdict) for letter, verdict in zip(letters, verdicts, strict=True)]

    return judge


@dataclass(slots=True)
class Group:
    """The dead letters of one reason: how many, and when the oldest was first sent (ms)."""

    kind: Kind
    reason: str
    count: int
    oldest: int


class Survey:
    """What was found in one dead-letter queue. Its size does not depend on the queue's."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def add(self, judged: Iterable[Judged]) -> None:
        for one in judged:
            reason = one.reason
            if reason not in self._groups and len(self._groups) >= MAX_REASONS:
                reason = f"{one.kind}: for another reason"
            group = self._groups.setdefault(reason, Group(one.kind, reason, 0, one.letter.sent_at))
            group.count += 1
            group.oldest = min(group.oldest, one.letter.sent_at)

    @property
    def groups(self) -> list[Group]:
        """What would succeed first, and of each kind the most frequent reason first."""
        return sorted(self._groups.values(), key=lambda group: (group.kind.rank, -group.count, group.reason))

    @property
    def looked_at(self) -> int:
        return sum(group.count for group in self._groups.values())

    @property
    def would_succeed(self) -> int:
        return sum(group.count for group in self._groups.values() if group.kind.would_succeed)

    @property
    def would_fail(self) -> int:
        return sum(group.count for group in self._groups.values() if group.kind.would_fail)


def best_first(judged: Iterable[Judged], most: int) -> list[Judged]:
    """The first ``most``, those that would succeed before the others."""
    return sorted(judged, key=lambda one: one.kind.rank)[:most]
