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

from scripts.console import CommandError, Progress
from scripts.dlq import MAX_BODY_CHARS, Filter, Purge, Redrive, Selection, Target, age, body_text, parse
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
WOULD_SUCCEED, WOULD_FAIL, ALL = (Selection(one) for one in (Filter.WOULD_SUCCEED, Filter.WOULD_FAIL, Filter.ALL))


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

    def run_redrive(self, selection: Selection, *, confirmed: bool = True, patience: float = 60) -> int:
        return Redrive(self._target, selection, 500, confirmed, patience).run()

    def run_purge(
        self, selection: Selection, *, dry_run: bool = False, agreed: Callable[[str], bool] = lambda _: True
    ) -> int:
        return Purge(self._target, selection, dry_run, agreed).run()

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


def test_a_good_letter_behind_three_thousand_poison_ones_is_redriven_and_no_poison_is(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *(f"poison {number}" for number in range(3000)), "ready")
    assert desk.run_redrive(WOULD_SUCCEED) == 0
    assert (desk.sent, len(desk.left())) == (["ready"], 3000)
    assert "payment-dlq: 1 of 3,001 to send" in desk.said
    assert "3,000 left where they are (would fail again, or not selected): 3,000 breaks its contract" in desk.said


def test_the_letter_that_says_most_is_sent_first_then_all_others_that_would_succeed(tmp_path: Path) -> None:
    ready = [f"ready {number}" for number in range(30)]
    desk = Desk(tmp_path, "done 1", "poison", ready[0], "bug", "unknown", *ready[1:])
    assert desk.run_redrive(WOULD_SUCCEED) == 0
    assert desk.sent == [ready[0], "done 1", *ready[1:]]
    assert desk.left() == ["bug", "poison", "unknown"]
    redrive, ended = desk.entries
    assert (redrive["action"], len(redrive["messages"]), ended["action"], ended["sent"]) == (
        "redrive",
        31,
        "redrive ended",
        31,
    )


def test_a_redrive_sends_only_what_is_selected(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "bug", "unknown 1")
    desk.run_redrive(ALL)
    assert sorted(desk.sent) == ["bug", "unknown 1"]
    desk = Desk(tmp_path, *(f"ready {number}" for number in range(9)))
    desk.run_redrive(Selection(Filter.WOULD_SUCCEED, frozenset(desk.ids[3:8]), limit=2))
    assert desk.sent == ["ready 3", "ready 4"]


def test_a_first_letter_that_comes_back_stops_the_redrive(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison 0", "poison 1", "poison 2")
    with pytest.raises(CommandError, match=r"It came back \(breaks its contract: not JSON"):
        desk.run_redrive(ALL)
    assert (desk.sent, desk.left()) == (["poison 0"], ["poison 0", "poison 1", "poison 2"])


def test_a_first_letter_that_nobody_processes_stops_the_redrive(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "ready 1", "ready 2", idle=True)
    with pytest.raises(CommandError, match="Is the payment service running"):
        desk.run_redrive(WOULD_SUCCEED, patience=0)
    assert (desk.sent, desk.left()) == (["ready 1"], ["ready 2"])
    assert [entry.get("sent") for entry in desk.entries] == [None, 1]


def test_dry_runs_say_the_same_and_change_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison", "ready", "ready")
    assert desk.run_redrive(WOULD_SUCCEED, confirmed=False) == 0
    assert desk.run_purge(WOULD_FAIL, dry_run=True) == 0
    assert "2 of 3 to send" in desk.said
    assert "1 of 3 to delete" in desk.said
    assert (desk.sent, desk.left()) == ([], ["poison", "ready", "ready"])
    assert not desk.log_file.exists()


def test_a_purge_of_what_would_fail_keeps_a_good_letter_behind_three_thousand_of_those(tmp_path: Path) -> None:
    desk = Desk(tmp_path, *(f"poison {number}" for number in range(3000)), "ready", "done", "unknown", "bug")
    assert desk.run_purge(WOULD_FAIL) == 0
    assert desk.left() == ["done", "ready", "unknown"]
    assert "3,001 of 3,004 to delete for good 1 fails: KeyError: 'price' 3,000 breaks" in desk.said
    assert [entry["action"] for entry in desk.entries] == ["purge", "purge ended"]
    assert desk.entries[0]["messages"][0] == {"messageId": desk.ids[0], "why": "breaks its contract: not JSON"}


def test_a_purge_of_everything_says_what_would_be_lost(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison", "ready", "done")
    assert desk.run_purge(ALL) == 0
    assert desk.left() == []
    assert "2 of them would succeed" in desk.said


def test_nothing_is_hidden_while_the_operator_is_asked_nor_deleted_without_consent(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison", "bug")
    visible: list[int] = []

    def refuse(_: str) -> bool:
        visible.append(desk.dlq.depth().waiting)
        return False

    with pytest.raises(CommandError, match="Nothing was deleted"):
        desk.run_purge(ALL, agreed=refuse)
    assert (visible, desk.left()) == ([2], ["bug", "poison"])


def test_a_purge_deletes_neither_what_arrived_since_nor_what_would_succeed_since(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison", "bug")

    def agree_late(_: str) -> bool:
        desk.dlq.send("poison of another")
        desk.sent.append("bug")  # fixed meanwhile: it has had its effect
        return True

    assert desk.run_purge(WOULD_FAIL, agreed=agree_late) == 1
    assert desk.left() == ["bug", "poison of another"]
    assert "1 not deleted" in desk.said


def test_letters_that_another_command_hides_are_counted_as_not_looked_at(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "poison", "poison", "ready")
    desk.receive(2, 60, 0)
    assert desk.run_redrive(WOULD_SUCCEED, confirmed=False) == 0
    assert desk.run_purge(WOULD_FAIL) == 0
    assert desk.said.count("2 of about 3 were not looked at") == 2


def test_an_age_has_its_two_largest_units() -> None:
    ages = {-1: "0 s", 59: "59 s", 61: "1 min 1 s", 3600: "1 h", 90_061: "1 d 1 h", 86_405: "1 d"}
    assert {seconds: age(seconds) for seconds in ages} == ages


def test_a_long_message_is_cut_and_no_control_character_reaches_the_terminal() -> None:
    assert body_text("x" * (MAX_BODY_CHARS + 5), whole=False).endswith("… 5 more characters: --whole shows them")
    assert body_text("\x9b31m red \x1b[0m", whole=True) == "\ufffd31m red \ufffd[0m"
    assert body_text('{"a":[1]}', whole=False) == '{\n  "a": [\n    1\n  ]\n}'


def test_every_action_is_logged_with_its_operator_and_only_the_owner_can_read_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "folder" / "operator.log"
    OperatorLog(path, ManualClock()).record("purge", queue="q")
    logged = {"time": "2026-01-31T12:00:00.000Z", "operator": os_user(), "action": "purge", "queue": "q"}
    assert json.loads(path.read_text()) == logged
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert capsys.readouterr().err == path.read_text()


def test_a_redrive_defaults_to_what_would_succeed_and_a_purge_to_everything() -> None:
    assert parse(["redrive", "audit"]).filter is Filter.WOULD_SUCCEED
    assert parse(["redrive", "audit", "--all"]).filter is Filter.ALL
    assert parse(["purge", "audit"]).filter is Filter.ALL
    assert parse(["purge", "audit", "--would-fail"]).filter is Filter.WOULD_FAIL
