"""The dead-letter tool's parts that need no queue, and its native redrive, which no emulator at hand has."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from scripts.console import CommandError, Progress
from scripts.dlq import redrive as redriving
from scripts.dlq.__main__ import parse
from scripts.dlq.choosing import Choice, Which
from scripts.dlq.purge import Purge
from scripts.dlq.redrive import Fate, Redrive, Wish, fate_of
from scripts.dlq.showing import MAX_BODY_CHARS, age, body_text
from scripts.operator_log import OperatorLog, os_user
from shopflow.aws.queues import MoveTask, SqsDeadLetters
from shopflow.errors import Unavailable
from shopflow.memory.queues import MemoryDeadLetters, MemoryQueue
from shopflow.ports import DeadLetter
from tests.clocks import ManualClock
from workers.dead_letters import Judged
from workers.dry_run import Kind, Verdict

READY, DONE = Verdict(Kind.READY, "would charge $9.99"), Verdict(Kind.DONE)
BREACH, FAILS = Verdict(Kind.BREACH, "not JSON: Expecting value"), Verdict(Kind.FAILS, "KeyError: 'price'")
UNKNOWN = Verdict(Kind.UNKNOWN, "no table")
VERDICTS = {"ready": READY, "done": DONE, "poison": BREACH, "bug": FAILS, "unknown": UNKNOWN}
NAME = "payment-dlq"
WOULD_SUCCEED, WOULD_FAIL, ALL = Choice(Which.WOULD_SUCCEED), Choice(Which.WOULD_FAIL), Choice(Which.ALL)


def wish(choice: Choice, confirmed: bool = True, canary_seconds: float = 60) -> Wish:
    return Wish("payment", NAME, choice, per_second=500, confirmed=confirmed, canary_seconds=canary_seconds)


class Queue(MemoryDeadLetters):
    """A dead-letter queue of ``bodies``. What is sent back has its effect unless it is ``idle``; poison returns."""

    def __init__(self, *bodies: str, idle: bool = False) -> None:
        clock = ManualClock()
        self.dlq, self.queue = MemoryQueue(clock, "dlq"), MemoryQueue(clock, "queue")
        super().__init__(self.dlq, self.queue)
        self.ids = [self.dlq.send(body) for body in bodies]
        self.sent: list[str] = []
        self.idle = idle

    def redrive(self, letter: DeadLetter) -> str:
        body = letter.message.body
        self.sent.append(body)
        if not body.startswith("poison"):
            return super().redrive(letter)
        self.delete([letter])
        return self.dlq.send(body)

    def start_move(self, per_second: int) -> bool:
        return False

    def move(self) -> MoveTask:
        raise AssertionError("it cannot")

    def judge(self, _: str, letters: Sequence[DeadLetter]) -> list[Judged]:
        """By the first word; what was sent back has had its effect."""
        return [Judged(one, self._verdict(one.message.body)) for one in letters]

    def _verdict(self, body: str) -> Verdict:
        processed = body in self.sent and not body.startswith("poison") and not self.idle
        return DONE if processed else VERDICTS[body.split()[0]]

    def left(self) -> list[str]:
        """Those that can be received now."""
        letters: list[DeadLetter] = []
        while received := self.receive(10, 60, 0):
            letters += received
        return [one.message.body for one in letters]


class Desk:
    """Where the command is given: what it says, and its log."""

    def __init__(self, folder: Path) -> None:
        self.text = io.StringIO()
        self.progress = Progress(Console(file=self.text, width=200, highlight=False))
        self.log_file = folder / "operator.log"
        self.log = OperatorLog(self.log_file)

    def redrive(self, queue: Queue, what: Wish) -> Redrive:
        return Redrive(what, queue, queue.judge, self.log, self.progress)

    def purge(
        self, queue: Queue, choice: Choice, *, dry_run: bool = False, agreed: Callable[[str], bool] = lambda _: True
    ) -> int:
        return Purge("payment", NAME, choice, dry_run, queue, queue.judge, self.log, self.progress, agreed).run()

    @property
    def said(self) -> str:
        return " ".join(self.text.getvalue().split())

    @property
    def entries(self) -> list[Any]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _fate(queue: Queue, message_id: str, has_effect: bool) -> Fate:
    return fate_of(message_id, queue, lambda: has_effect, patience_seconds=0)


def test_a_canary_that_is_found_in_the_dead_letter_queue_came_back_and_its_neighbours_are_given_back() -> None:
    queue = Queue("poison 1", "poison 2")
    assert _fate(queue, queue.ids[1], has_effect=False) is Fate.CAME_BACK
    assert queue.left() == ["poison 1", "poison 2"]


def test_a_canary_whose_effect_is_there_was_processed() -> None:
    assert _fate(Queue(), "canary", has_effect=True) is Fate.PROCESSED


def test_a_canary_that_nobody_takes_still_waits() -> None:
    assert _fate(Queue(), "canary", has_effect=False) is Fate.WAITS


def test_a_good_letter_behind_three_thousand_poison_ones_is_redriven_and_no_poison_is(desk: Desk) -> None:
    queue = Queue(*(f"poison {number}" for number in range(3000)), "ready")
    assert desk.redrive(queue, wish(WOULD_SUCCEED)).run() == 0
    assert (queue.sent, len(queue.left())) == (["ready"], 3000)
    assert "payment-dlq: 1 of 3,001 to send" in desk.said
    assert "3,000 left where they are (would fail again, or not asked for)" in desk.said
    assert "3,000 breaks its contract: not JSON" in desk.said
    assert "1 sent back to the payment queue" in desk.said


def test_a_dry_run_of_a_redrive_says_the_same_and_sends_nothing(desk: Desk) -> None:
    queue = Queue("poison", "ready", "ready")
    assert desk.redrive(queue, wish(WOULD_SUCCEED, confirmed=False)).run() == 0
    assert (queue.sent, queue.left()) == ([], ["poison", "ready", "ready"])
    assert "2 of 3 to send" in desk.said
    assert "Nothing was sent: this was a dry run" in desk.said
    assert not desk.log_file.exists()


def test_all_that_would_succeed_is_sent_the_one_first_that_shows_something(desk: Desk) -> None:
    queue = Queue("done 1", "poison", "ready 1", "bug", "unknown", *(f"ready {number}" for number in range(2, 30)))
    assert desk.redrive(queue, wish(WOULD_SUCCEED)).run() == 0
    assert queue.sent == ["ready 1", "done 1", *(f"ready {number}" for number in range(2, 30))]
    assert queue.left() == ["poison", "bug", "unknown"]
    assert [entry["action"] for entry in desk.entries] == ["redrive", "redrive ended"]
    assert (len(desk.entries[0]["messages"]), desk.entries[1]["sent"]) == (30, 30)


def test_with_all_wished_for_also_what_would_fail_again_is_sent(desk: Desk) -> None:
    queue = Queue("bug", "unknown 1")
    assert desk.redrive(queue, wish(ALL)).run() == 0
    assert sorted(queue.sent) == ["bug", "unknown 1"]


def test_only_the_named_ones_are_sent_and_no_more_than_wished_for(desk: Desk) -> None:
    queue = Queue(*(f"ready {number}" for number in range(9)))
    named = frozenset(queue.ids[3:8])
    assert desk.redrive(queue, wish(Choice(Which.WOULD_SUCCEED, named, limit=2))).run() == 0
    assert queue.sent == ["ready 3", "ready 4"]


def test_a_canary_that_comes_back_stops_a_redrive_and_everything_is_given_back(desk: Desk) -> None:
    queue = Queue("poison 0", "poison 1", "poison 2")
    with pytest.raises(CommandError, match=r"It came back \(breaks its contract: not JSON"):
        desk.redrive(queue, wish(ALL)).run()
    assert (queue.sent, sorted(queue.left())) == (["poison 0"], ["poison 0", "poison 1", "poison 2"])


def test_when_nobody_takes_the_canary_nothing_else_is_sent_and_the_others_are_given_back(desk: Desk) -> None:
    queue = Queue("ready 1", "ready 2", idle=True)
    with pytest.raises(CommandError, match="does the payment service run"):
        desk.redrive(queue, wish(WOULD_SUCCEED, canary_seconds=0)).run()
    assert (queue.sent, queue.left()) == (["ready 1"], ["ready 2"])
    assert [entry.get("sent") for entry in desk.entries] == [None, 1]


def test_a_purge_of_what_would_fail_again_saves_a_good_letter_behind_three_thousand_of_those(desk: Desk) -> None:
    queue = Queue(*(f"poison {number}" for number in range(3000)), "ready", "done", "unknown", "bug")
    assert desk.purge(queue, WOULD_FAIL) == 0
    assert queue.left() == ["ready", "done", "unknown"]
    assert "payment-dlq: 3,001 of 3,004 to delete, for good 1 fails: KeyError: 'price' 3,000 breaks" in desk.said
    assert "✔ 3,001 deleted" in desk.said
    assert [entry["action"] for entry in desk.entries] == ["purge", "purge ended"]
    assert desk.entries[0]["messages"][0] == {"messageId": queue.ids[0], "why": "breaks its contract: not JSON"}


def test_a_dry_run_of_a_purge_says_the_same_and_deletes_nothing(desk: Desk) -> None:
    queue = Queue("poison", "ready")
    assert desk.purge(queue, WOULD_FAIL, dry_run=True) == 0
    assert queue.left() == ["poison", "ready"]
    assert "1 of 2 to delete" in desk.said
    assert "Nothing was deleted: this was a dry run." in desk.said
    assert not desk.log_file.exists()


def test_a_purge_that_nobody_agrees_to_deletes_nothing(desk: Desk) -> None:
    queue = Queue("poison")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        desk.purge(queue, ALL, agreed=lambda _: False)
    assert queue.left() == ["poison"]


def test_a_purge_of_all_says_what_it_would_lose(desk: Desk) -> None:
    queue = Queue("poison", "ready", "done")
    assert desk.purge(queue, ALL) == 0
    assert queue.left() == []
    assert "2 of them would succeed: to save them, redrive first, or say --would-fail." in desk.said


def test_a_purge_deletes_nothing_that_came_since_and_nothing_that_would_succeed_since(desk: Desk) -> None:
    queue = Queue("poison", "bug")

    def answer_late(_: str) -> bool:
        queue.dlq.send("poison of another")
        queue.sent.append("bug")  # mended meanwhile: it has had its effect
        return True

    assert desk.purge(queue, WOULD_FAIL, agreed=answer_late) == 1
    assert queue.left() == ["bug", "poison of another"]
    assert "1 were not: they are gone, or another verdict is true of them now." in desk.said


def test_while_the_question_stands_nothing_is_hidden(desk: Desk) -> None:
    queue = Queue("poison", "bug")
    seen: list[int] = []

    def look(_: str) -> bool:
        seen.append(queue.dlq.depth().waiting)
        return False

    with pytest.raises(CommandError):
        desk.purge(queue, ALL, agreed=look)
    assert seen == [2]


def test_letters_that_another_look_hides_are_said_not_to_be_looked_at(desk: Desk) -> None:
    queue = Queue("poison", "poison", "ready")
    queue.receive(2, 60, 0)
    assert desk.redrive(queue, wish(WOULD_SUCCEED, confirmed=False)).run() == 0
    assert desk.purge(queue, WOULD_FAIL) == 0
    assert "1 of 1 to send" in desk.said
    assert desk.said.count("2 of about 3 were not looked at: another look at them goes on, or they are too many") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (86_405, "1 d")],
)
def test_an_age_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_a_long_message_is_cut_and_nothing_in_it_commands_the_terminal() -> None:
    assert body_text("x" * (MAX_BODY_CHARS + 5), whole=False).endswith("… 5 more characters: --whole shows them")
    assert (
        body_text("\x9b31m red \x1b[0m", whole=True) == "\N{REPLACEMENT CHARACTER}31m red \N{REPLACEMENT CHARACTER}[0m"
    )
    assert body_text('{"a":[1]}', whole=False) == '{\n  "a": [\n    1\n  ]\n}'


def test_every_action_is_logged_with_who_and_what_for_its_owners_eyes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "folder" / "operator.log"
    log = OperatorLog(path, ManualClock())
    log.record("purge", queue="q")
    log.record("purge ended", deleted=1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first = {"time": "2026-01-31T12:00:00.000Z", "operator": os_user(), "action": "purge", "queue": "q"}
    assert (lines[0], lines[1]["deleted"]) == (first, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert capsys.readouterr().err == path.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["peek"], ["peek", "order"], ["redrive", "audit", "--rate", "0"], ["list", "--limit", "1001"]),
        *(["redrive", "audit", "--would-fail"], ["redrive", "audit", "--all", "--would-succeed"]),
        *(["purge", "audit", "--would-succeed"], ["purge", "audit", "--yes", "--dry-run"]),
    ],
    ids=" ".join,
)
def test_a_misused_command_exits_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments)
    assert exit_.value.code == 2


ARN = "arn:aws:sqs:us-east-1:000000000000:payment"
URL = "http://127.0.0.1:1/000000000000/payment"


@pytest.fixture
def sqs() -> Iterator[tuple[SqsDeadLetters, Stubber]]:
    """SQS as its API reference has it: every request is checked against the service's model."""
    session = boto3.session.Session("id", "secret", region_name="us-east-1")
    client = session.client("sqs")
    with Stubber(client) as stubber:
        yield SqsDeadLetters(client, f"{URL}-dlq", f"{URL}-queue"), stubber
        stubber.assert_no_pending_responses()


def _expect_arn(stubber: Stubber, kind: str) -> None:
    asked = {"QueueUrl": f"{URL}-{kind}", "AttributeNames": ["QueueArn"]}
    stubber.add_response("get_queue_attributes", {"Attributes": {"QueueArn": f"{ARN}-{kind}"}}, asked)


START = {"SourceArn": f"{ARN}-dlq", "DestinationArn": f"{ARN}-queue", "MaxNumberOfMessagesPerSecond": 50}


def test_sqs_moves_the_messages_itself_where_it_can(sqs: tuple[SqsDeadLetters, Stubber]) -> None:
    dlq, stubber = sqs
    _expect_arn(stubber, "dlq")
    _expect_arn(stubber, "queue")
    stubber.add_response("start_message_move_task", {"TaskHandle": "task"}, START)
    assert dlq.start_move(50)


@pytest.mark.parametrize(("code", "is_error"), [("InvalidAction", False), ("AccessDenied", True)])
def test_only_an_endpoint_without_the_action_is_redriven_by_hand(
    sqs: tuple[SqsDeadLetters, Stubber], code: str, is_error: bool
) -> None:
    dlq, stubber = sqs
    _expect_arn(stubber, "dlq")
    _expect_arn(stubber, "queue")
    stubber.add_client_error("start_message_move_task", code, expected_params=START)
    if is_error:
        with pytest.raises(Unavailable):
            dlq.start_move(50)
    else:
        assert not dlq.start_move(50)


class NativeQueue(Queue):
    """One that SQS empties itself."""

    def __init__(self, dlq: SqsDeadLetters, *bodies: str) -> None:
        super().__init__(*bodies)
        self._native = dlq

    def start_move(self, per_second: int) -> bool:
        return self._native.start_move(per_second)

    def move(self) -> MoveTask:
        return self._native.move()


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_after_the_canary_sqs_moves_all_the_others_and_is_watched(
    sqs: tuple[SqsDeadLetters, Stubber], desk: Desk, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr(redriving, "POLL_SECONDS", (0.0,))
    dlq, stubber = sqs
    for kind in ("dlq", "queue"):
        _expect_arn(stubber, kind)
    stubber.add_response("start_message_move_task", {"TaskHandle": "task"}, START)
    states: list[Any] = [{"Status": "RUNNING"}, {"Status": status, "ApproximateNumberOfMessagesMoved": 41}]
    for state in states:
        _expect_arn(stubber, "dlq")
        stubber.add_response(
            "list_message_move_tasks", {"Results": [state]}, {"SourceArn": f"{ARN}-dlq", "MaxResults": 1}
        )
    queue = NativeQueue(dlq, "ready", *["poison 1"] * 41)
    run = desk.redrive(queue, replace(wish(ALL), per_second=50))
    if status == "COMPLETED":
        assert run.run() == 0
    else:
        with pytest.raises(CommandError, match="SQS stopped after 41"):
            run.run()
    assert (run.sent, queue.sent) == (42, ["ready"])


def test_only_a_redrive_of_all_there_are_is_left_to_sqs() -> None:
    assert wish(ALL).empties_the_queue
    for choice in (WOULD_SUCCEED, Choice(Which.ALL, limit=3), Choice(Which.ALL, frozenset({"id"}))):
        assert not wish(choice).empties_the_queue


def test_a_redrive_is_of_what_would_succeed_and_a_purge_of_all_unless_told() -> None:
    assert parse(["redrive", "audit"]).which is Which.WOULD_SUCCEED
    assert parse(["redrive", "audit", "--all"]).which is Which.ALL
    assert parse(["purge", "audit"]).which is Which.ALL
    assert parse(["purge", "audit", "--would-fail"]).which is Which.WOULD_FAIL
