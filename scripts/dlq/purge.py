"""Delete dead letters for good."""

from __future__ import annotations

from collections.abc import Callable, Collection

from scripts.console import FAILED, OK, CommandError, Progress
from scripts.dlq.showing import groups, printable
from scripts.operator_log import OperatorLog
from shopflow.aws.dead_letters import SqsDeadLetters
from shopflow.dead_letters import Judged, judge, taken

THINK_SECONDS = 600
"""How long they stay hidden while the question stands."""


def purge(
    service: str,
    limit: int,
    message_ids: Collection[str],
    dlq: SqsDeadLetters,
    log: OperatorLog,
    progress: Progress,
    agreed: Callable[[str], bool],
) -> int:
    """Delete up to ``limit`` dead letters, or of these the ones named: just those shown, none that came since.

    ``agreed`` asks the operator. Returns 0 when all of them are gone, 1 when not.
    """
    with taken(dlq, limit, THINK_SECONDS) as letters:
        with progress.step(f"Looking at {len(letters)} dead letters"):
            judged = judge(service, letters)
        doomed = [one for one in judged if not message_ids or one.message_id in message_ids]
        if not doomed:
            progress.say(f"{dlq.name}: nothing to delete.")
            return OK
        progress.say(f"{dlq.name}: {len(doomed)} of {len(judged)} to delete, for good:")
        for reason, members in groups(doomed):
            progress.say(f"  {len(members)}  {printable(reason)}")
        if not agreed(dlq.name):
            raise CommandError("Nothing was deleted.")
        log.record("purge", queue=dlq.name, messages=[_trace(one) for one in doomed])
        deleted = sum(dlq.delete(one.letter) for one in doomed)
        log.record("purge ended", queue=dlq.name, deleted=deleted)
    progress.say(f"✔ {deleted} deleted")
    return OK if deleted == len(doomed) else FAILED


def _trace(one: Judged) -> dict[str, str]:
    """What remains known of a message that is gone."""
    return {"messageId": one.message_id, "why": one.reason}
