"""The dead-letter tool's parts that need no queue, and its native redrive, which no emulator at hand has."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from scripts.console import CommandError, Progress
from scripts.dlq import redrive as redriving
from scripts.dlq.__main__ import parse
from scripts.dlq.redrive import Fate, Redrive, Wish, fate_of
from scripts.dlq.showing import MOST_BODY_CHARS, age, body_text, groups
from scripts.operator_log import OperatorLog, os_user
from shopflow.aws.dead_letters import SqsDeadLetters
from shopflow.dead_letters import Judged
from shopflow.errors import Unavailable
from shopflow.messaging.dry_run import Kind, Verdict
from shopflow.ports import DeadLetter, Message
from tests.clocks import ManualClock

WISH = Wish("payment", limit=100, per_second=50, message_ids=frozenset(), everything=False, confirmed=True)
READY, DONE = Verdict(Kind.READY, "would charge $9.99"), Verdict(Kind.DONE)
BREACH = Verdict(Kind.BREACH, "not JSON: Expecting value: line 1 column 1 (char 0)")


def letter(message_id: str, body: str = "{}") -> DeadLetter:
    return DeadLetter(Message(message_id, f"handle-of-{message_id}", body, 4), 0, {})


def judged(message_id: str, verdict: Verdict) -> Judged:
    return Judged(letter(message_id), verdict)


class FakeQueue:
    """Gives ``arrivals`` in turn, then nothing."""

    name = "payment-dlq"

    def __init__(self, *arrivals: list[DeadLetter]) -> None:
        self.arrivals = list(arrivals)
        self.given_back: list[str] = []
        self.redriven: list[str] = []

    def receive(self, most: int, hide_seconds: int, wait_seconds: int) -> list[DeadLetter]:
        return self.arrivals.pop(0) if self.arrivals else []

    def give_back(self, letters: Sequence[DeadLetter]) -> None:
        self.given_back += [one.message.message_id for one in letters]

    def redrive(self, one: DeadLetter) -> str:
        self.redriven.append(one.message.message_id)
        return f"again-{one.message.message_id}"


def _fate(queue: FakeQueue, has_effect: bool) -> Fate:
    return fate_of("canary", cast(SqsDeadLetters, queue), lambda: has_effect, patience_seconds=0)


def test_a_canary_that_is_found_in_the_dead_letter_queue_came_back_and_its_neighbours_are_given_back() -> None:
    queue = FakeQueue([letter("other")], [letter("canary")])
    assert _fate(queue, has_effect=False) is Fate.CAME_BACK
    assert queue.given_back == ["other", "canary"]


def test_a_canary_whose_effect_is_there_was_processed() -> None:
    assert _fate(FakeQueue(), has_effect=True) is Fate.PROCESSED


def test_a_canary_that_nobody_takes_still_waits() -> None:
    assert _fate(FakeQueue(), has_effect=False) is Fate.WAITS


@pytest.fixture
def quiet() -> Progress:
    return Progress(Console(file=io.StringIO()))


def test_when_nobody_takes_the_canary_nothing_else_is_sent_and_the_others_are_given_back(
    tmp_path: Path, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "judge", lambda _, letters: [Judged(one, READY) for one in letters])
    queue = FakeQueue([letter("a"), letter("b")])
    wish = Wish("payment", 100, 50, frozenset(), everything=False, confirmed=True, canary_seconds=0)
    log = tmp_path / "operator.log"
    with pytest.raises(CommandError, match="does the payment service run"):
        Redrive(wish, cast(SqsDeadLetters, queue), OperatorLog(log), quiet).run()
    assert (queue.redriven, "b" in queue.given_back) == (["a"], True)
    assert [json.loads(line).get("sent") for line in log.read_text().splitlines()] == [None, 1]


def test_only_what_would_not_fail_again_is_redriven_and_the_canary_is_one_that_shows_something() -> None:
    letters = [judged("done", DONE), judged("breach", BREACH), judged("ready", READY)]
    assert [one.message_id for one in WISH.chosen(letters)] == ["ready", "done"]


def test_with_everything_wished_for_also_what_would_fail_again_is_redriven() -> None:
    wish = Wish("payment", 100, 50, frozenset(), everything=True, confirmed=True)
    assert [one.message_id for one in wish.chosen([judged("breach", BREACH)])] == ["breach"]


def test_the_others_stay_hidden_until_the_last_is_sent() -> None:
    assert Wish("payment", 1000, 1, frozenset(), False, True).hide_seconds == 120 + 120 + 1000


def test_dead_letters_are_grouped_by_what_they_have_in_common() -> None:
    unknown = [
        Verdict(Kind.BREACH, f"correlationId: order ORD-{name} does not exist") for name in ("A1B2C3D4", "ZZZZ0000")
    ]
    charges = [Verdict(Kind.READY, f"would charge ${amount}") for amount in ("9.99", "19.98", "5.00")]
    found = groups([judged(str(number), one) for number, one in enumerate([BREACH, *unknown, *charges])])
    assert [(reason, len(members)) for reason, members in found] == [
        ("can be processed: would charge $…", 3),
        ("breaks its contract: correlationId: order ORD-… does not exist", 2),
        ("breaks its contract: not JSON", 1),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (86_405, "1 d")],
)
def test_an_age_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_a_long_message_is_cut_and_nothing_in_it_commands_the_terminal() -> None:
    assert body_text("x" * (MOST_BODY_CHARS + 5), whole=False).endswith("… 5 more characters: --whole shows them")
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
    "arguments", [[], ["peek"], ["peek", "order"], ["redrive", "audit", "--rate", "0"], ["list", "--limit", "1001"]]
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


class NativeQueue(FakeQueue):
    """One that SQS empties itself."""

    def __init__(self, dlq: SqsDeadLetters, *arrivals: list[DeadLetter]) -> None:
        super().__init__(*arrivals)
        self._dlq = dlq
        self.move = dlq.move

    def depth(self) -> int:
        return 41

    def start_move(self, per_second: int) -> bool:
        return self._dlq.start_move(per_second)


@pytest.mark.parametrize(("status", "sent"), [("COMPLETED", 42), ("FAILED", 42)])
def test_after_the_canary_sqs_moves_all_the_others_and_is_watched(
    sqs: tuple[SqsDeadLetters, Stubber],
    tmp_path: Path,
    quiet: Progress,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    sent: int,
) -> None:
    verdicts = iter([READY, DONE])
    monkeypatch.setattr(redriving, "judge", lambda _, letters: [Judged(one, next(verdicts)) for one in letters])
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
    queue = NativeQueue(dlq, [letter("a")])
    wish = Wish("payment", 100, 50, frozenset(), everything=True, confirmed=True)
    run = Redrive(wish, cast(SqsDeadLetters, queue), OperatorLog(tmp_path / "log"), quiet)
    if status == "COMPLETED":
        assert run.run() == 0
    else:
        with pytest.raises(CommandError, match="SQS stopped after 41"):
            run.run()
    assert (run.sent, queue.redriven) == (sent, ["a"])
