"""Delete dead letters for good."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from scripts.console import FAILED, OK, CommandError, Progress
from scripts.dlq.choosing import Choice, Which, look_through
from scripts.dlq.showing import reasons, unseen
from scripts.operator_log import OperatorLog
from shopflow.clock import SystemClock
from shopflow.dead_letters import Walk
from shopflow.ports import DeadLetters
from workers.dead_letters import Judge, Judged, Survey


@dataclass(frozen=True, slots=True)
class Purge:
    """One run over the dead-letter queue ``name`` of ``service``. ``agreed`` asks the operator, given that name."""

    service: str
    name: str
    choice: Choice
    dry_run: bool
    dlq: DeadLetters
    judge: Judge
    log: OperatorLog
    progress: Progress
    agreed: Callable[[str], bool]

    def run(self) -> int:
        """Delete what is chosen: just what was shown, nothing that came since.

        Returns 0 when all of it is gone, 1 when not. While the question stands, nothing is hidden from others.
        """
        doomed = self._look()
        if not doomed:
            return OK
        if self.dry_run:
            self.progress.say("Nothing was deleted: this was a dry run.")
            return OK
        if not self.agreed(self.name):
            raise CommandError("Nothing was deleted.")
        traces = [{"messageId": message_id, "why": why} for message_id, why in doomed.items()]
        self.log.record("purge", queue=self.name, messages=traces)
        deleted = self._delete(doomed)
        self.progress.say(f"✔ {deleted:,} deleted")
        if deleted == len(doomed):
            return OK
        self.progress.say(f"{len(doomed) - deleted:,} were not: they are gone, or another verdict is true of them now.")
        return FAILED

    def _look(self) -> dict[str, str]:
        """The reasons of those that are to be deleted, by message id: said to the operator."""
        doomed: dict[str, str] = {}
        chosen, left = Survey(), Survey()

        def see(judged: Sequence[Judged]) -> None:
            for one in judged:
                takes = self.choice.takes(one, len(doomed))
                (chosen if takes else left).add([one])
                if takes:
                    doomed[one.message_id] = sys.intern(one.reason)

        with self.progress.step(f"Looking through {self.name}") as show:
            survey, depth = look_through(self.service, self.dlq, self.judge, show, see)
        say = self.progress.say
        say(f"{self.name}: {len(doomed):,} of {survey.looked_at:,} to delete, for good")
        for line in (*reasons(chosen), *unseen(survey.looked_at, depth)):
            say(line)
        if chosen.would_succeed:
            say(f"{chosen.would_succeed:,} of them would succeed: to save them, redrive first, or say --would-fail.")
        if left.looked_at:
            say(f"{left.looked_at:,} left where they are:")
            for line in reasons(left):
                say(line)
        return doomed

    def _delete(self, doomed: Collection[str]) -> int:
        """Delete those of ``doomed`` of which the choice is still true. Returns how many are gone."""
        deleted = 0
        try:
            with self.progress.step("Deleting them") as show, Walk(self.dlq, SystemClock(), show=show) as walk:
                for letters in walk.batches():
                    named = [one for one in letters if one.message.message_id in doomed]
                    if self.choice.which is not Which.ALL:
                        judged = self.judge(self.service, named)
                        named = [one.letter for one in judged if self.choice.which.takes(one)]
                    deleted += self.dlq.delete(named)
                    walk.took(named)
                    if deleted == len(doomed):
                        break
        finally:
            self.log.record("purge ended", queue=self.name, deleted=deleted)
        return deleted
