"""The dead-letter commands over the queue's twin: what they send and delete, and what they say about the rest."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts import dlq
from scripts.console import CommandError, Progress
from scripts.dlq import ALL, MAX_BODY_CHARS, WOULD_FAIL, WOULD_SUCCEED, Selection, Target, body_text
from scripts.operator_log import OperatorLog, os_user
from shopflow.memory.queues import MemoryDeadLetters, MemoryQueue
from shopflow.ports import DeadLetter
from tests.clocks import ManualClock
from workers.dry_run import Judged, Kind, Verdict

DONE = Verdict(Kind.DONE)
VERDICTS = {
    "ready": Verdict(Kind.READY, "would charge $9.99"),
    "done": DONE,
    "poison": Verdict(Kind.BREACH, "not JSON: Expecting value"),
    "bug": Verdict(Kind.FAILS, "KeyError: 'price'"),
    "unknown": Verdict(Kind.UNKNOWN, "no table"),
}


class Desk(MemoryDeadLetters):
    """A dead-letter queue of ``bodies``, each judged by its first word, and the commands on it.

    A message that is sent has its effect, unless the service is ``idle``. Poison comes back at once.
    """

    def __init__(self, folder: Path, *bodies: str, idle: bool = False) -> None:
        clock = ManualClock()
        self.dlq = MemoryQueue(clock, "dlq")
        super().__init__(self.dlq, MemoryQueue(clock, "queue"))
        self.ids = [self.dlq.send(body) for body in bodies]
        self.idle = idle
        self.sent: list[str] = []
        self._text = io.StringIO()
        self.log_file = folder / "operator.log"
        progress = Progress(Console(file=self._text, width=200, highlight=False))
        self._target = Target("payment", "payment-dlq", self, self.judge, OperatorLog(self.log_file), progress)

    def redrive(self, letter: DeadLetter) -> str:
        self.sent.append(letter.message.body)
        if not letter.message.body.startswith("poison"):
            return super().redrive(letter)
        self.delete([letter])
        return self.dlq.send(letter.message.body)

    def judge(self, _: str, letters: Sequence[DeadLetter]) -> list[Judged]:
        return [Judged(one, self._verdict(one.message.body)) for one in letters]

    def _verdict(self, body: str) -> Verdict:
        processed = body in self.sent and not body.startswith("poison") and not self.idle
        return DONE if processed else VERDICTS[body.split()[0]]

    def run_redrive(self, kinds: frozenset[Kind], *message_ids: str) -> int:
        return self._target.redrive(Selection(kinds, message_ids), 500, confirmed=True)

    def run_purge(self, agreed: Callable[[str], bool] = lambda _: True) -> int:
        return self._target.purge(Selection(WOULD_FAIL), dry_run=False, agreed=agreed)

    def left(self) -> list[str]:
        """The bodies that can be received now, sorted."""
        letters: list[DeadLetter] = []
        while received := self.receive(10, 60, 0):
            letters += received
        return sorted(one.message.body for one in letters)

    @property
    def said(self) -> str:
        return " ".join(self._text.getvalue().split())

    @property
    def entries(self) -> list[Any]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


def test_a_redrive_sends_what_says_most_then_all_that_would_succeed_behind_any_number_of_others(tmp_path: Path) -> None:
    poison, ready = [f"poison {number}" for number in range(1000)], [f"ready {number}" for number in range(15)]
    desk = Desk(tmp_path, "done 1", *poison, ready[0], "bug", "unknown", *ready[1:])
    assert desk.run_redrive(WOULD_SUCCEED) == 0
    assert desk.sent == [ready[0], "done 1", *ready[1:]]
    assert desk.left() == sorted(["bug", "unknown", *poison])
    assert "payment-dlq: 16 of 1,018 to send" in desk.said
    assert "1,002 left where they are (would fail again, or not selected)" in desk.said
    assert [(one["action"], one.get("sent")) for one in desk.entries] == [("redrive", None), ("redrive ended", 16)]


def test_a_redrive_sends_only_what_is_selected(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "bug", "unknown 1", "ready 1", "ready 2")
    desk.run_redrive(WOULD_SUCCEED, desk.ids[0], desk.ids[3])
    assert desk.sent == ["ready 2"]
    desk.run_redrive(ALL)
    assert sorted(desk.sent) == ["bug", "ready 1", "ready 2", "unknown 1"]


@pytest.mark.parametrize(
    ("bodies", "idle", "error", "left"),
    [
        (["poison 0", "poison 1"], False, r"It came back \(breaks its contract: not JSON", ["poison 0", "poison 1"]),
        (["ready 0", "ready 1"], True, "Is the payment service running", ["ready 1"]),
    ],
)
def test_a_first_letter_that_comes_back_or_that_nobody_processes_stops_the_redrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bodies: list[str], idle: bool, error: str, left: list[str]
) -> None:
    monkeypatch.setattr(dlq, "CANARY_SECONDS", 0)
    desk = Desk(tmp_path, *bodies, idle=idle)
    with pytest.raises(CommandError, match=error):
        desk.run_redrive(ALL)
    assert (desk.sent, desk.left(), desk.entries[-1]["sent"]) == (bodies[:1], left, 1)


def test_a_purge_of_what_would_fail_keeps_everything_else(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *(f"poison {number}" for number in range(1000)), "ready", "done", "unknown", "bug")
    assert desk.run_purge() == 0
    assert desk.left() == ["done", "ready", "unknown"]
    assert "1,001 of 1,004 to delete for good 1 fails: KeyError: 'price' 1,000 breaks" in desk.said
    assert [entry["action"] for entry in desk.entries] == ["purge", "purge ended"]
    assert desk.entries[0]["messages"][0] == {"messageId": desk.ids[0], "why": "breaks its contract: not JSON"}


def test_a_purge_deletes_neither_what_arrived_since_nor_what_would_succeed_since(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison", "bug")

    def agree_late(_: str) -> bool:
        desk.dlq.send("poison of another")
        desk.sent.append("bug")  # fixed meanwhile: it has had its effect
        return True

    assert desk.run_purge(agree_late) == 1
    assert desk.left() == ["bug", "poison of another"]
    assert "1 not deleted" in desk.said


def test_a_long_message_is_cut_and_no_control_character_reaches_the_terminal() -> None:
    assert body_text("x" * (MAX_BODY_CHARS + 5), whole=False).endswith("… 5 more characters: --whole shows them")
    assert body_text("\x9b31m red \x1b[0m", whole=True) == "\ufffd31m red \ufffd[0m"


def test_every_action_is_logged_with_its_operator_and_only_the_owner_can_read_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "folder" / "operator.log"
    OperatorLog(path).record("purge", queue="q")
    logged = json.loads(path.read_text())
    assert (logged["operator"], logged["action"], logged["queue"]) == (os_user(), "purge", "q")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert capsys.readouterr().err == path.read_text()
