"""The benchmark's arithmetic: what it makes of numbers, calls and results."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from bench.calls import (
    SUFFIX,
    Call,
    begun_between,
    messages_a_receive,
    read_calls,
    requests_a_day,
    until_last_deletion,
    usage_of,
)
from bench.figures import Conditions, Figure, Result, at_least, at_most, percentile, typical_ratio
from bench.gateway import gateway_seconds
from bench.load import DECLINED, VISA, http_clients, place_orders
from bench.results import FILE, save
from bench.table import number, verdict
from shopflow.config import GatewaySettings
from workers.gateway import SimulatedGateway


def _figure(value: float) -> Figure:
    return Figure("p50", value, "ms", at_most(300), Conditions(0.5, 12))


def test_a_bound_is_met_by_itself_and_missed_on_its_wrong_side() -> None:
    assert at_most(1.5).met_by(1.5)
    assert not at_most(1.5).met_by(1.51)
    assert at_least(0.6).met_by(0.6)
    assert not at_least(0.6).met_by(0.59)


def test_a_figure_without_a_target_is_never_missed() -> None:
    assert _figure(301).missed
    assert not Figure("p99", 1e9, "ms").missed


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (95, 95), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_one_disturbed_round_does_not_move_the_ratio() -> None:
    assert typical_ratio([2, 20, 2], [1, 1, 1]) == 2
    assert typical_ratio([2, 20, 200], [1, 10, 100]) == 2, "a slow machine is slow for both of a pair"


def test_calls_are_read_as_they_were_written(tmp_path: Path) -> None:
    calls = [
        Call("PutItem", 1.5, 0.25, 2, 0.0, 2.0, 0, ""),
        Call("ReceiveMessage", 2.0, 20.0, entries=0, error="Timeout"),
    ]
    (tmp_path / f"order{SUFFIX}").write_text("".join(call.line() for call in calls))
    assert read_calls(tmp_path) == {"order": calls}


def test_retries_are_paid_for_and_each_request_goes_to_its_service() -> None:
    made = {
        "order": [Call("PutItem", 0, 0, attempts=3, write_units=2), Call("PublishBatch", 1, 0)],
        "audit": [
            Call("ReceiveMessage", 0, 0, entries=4),
            Call("DeleteMessageBatch", 1, 0),
            Call("GetItem", 2, 0, read_units=1),
        ],
    }
    usage = usage_of(made)
    assert usage.calls == {"PutItem": 3, "PublishBatch": 1, "ReceiveMessage": 1, "DeleteMessageBatch": 1, "GetItem": 1}
    assert (usage.sqs_requests, usage.sns_requests) == (2, 1)
    assert (usage.write_units, usage.read_units) == (2, 1)


def test_an_empty_receive_does_not_make_batches_smaller() -> None:
    made = {"audit": [Call("ReceiveMessage", number, 0, entries=entries) for number, entries in enumerate((10, 0, 6))]}
    assert messages_a_receive(made) == 8
    assert messages_a_receive({}) == 0


def test_what_follows_the_last_deletion_is_left_out() -> None:
    made = {
        "a": [Call("DeleteMessageBatch", 5, 1), Call("ReceiveMessage", 6, 20)],
        "b": [Call("ReceiveMessage", 4, 20), Call("ReceiveMessage", 7, 20)],
    }
    kept = until_last_deletion(made)
    assert {name: [call.started for call in calls] for name, calls in kept.items()} == {"a": [5], "b": [4]}


def test_a_window_holds_what_begins_in_it() -> None:
    made = {"a": [Call("Scan", started, 0) for started in (0, 1, 2)]}
    assert [call.started for call in begun_between(made, 0, 2)["a"]] == [0, 1]


def test_an_idle_day_follows_from_the_pace_of_each_process() -> None:
    polls = [Call("ReceiveMessage", started, 20) for started in (3, 23, 43)]
    days = requests_a_day({"a": polls, "b": polls, "order": [Call("Scan", 10, 0)]}, window_seconds=60)
    assert days == {"ReceiveMessage": 2 * 4320, "Scan": 1440}


def test_the_gateways_latency_is_known_before_it_is_asked() -> None:
    settings = GatewaySettings(0.8, (300, 800), "seed")
    slept: list[float] = []
    gateway = SimulatedGateway(settings, slept.append)
    ids = [f"ORD-{each:08}" for each in range(20)]
    for order_id in ids:
        gateway.charge(order_id, 1, None)  # type: ignore[arg-type]
    assert slept == pytest.approx([gateway_seconds(settings, order_id) for order_id in ids])


def test_clients_share_the_orders_and_place_each_once() -> None:
    numbers = count()
    load = place_orders([lambda: f"ORD-{next(numbers)}"] * 4, 100)
    assert sorted(load.order_ids) == sorted(f"ORD-{each}" for each in range(100))
    assert len(load.seconds) == 100


def test_a_client_that_fails_fails_the_load() -> None:
    def refuse() -> str:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        place_orders([refuse], 1)


def test_a_part_that_runs_again_replaces_its_own_results_only(tmp_path: Path) -> None:
    for part, value in (("api", 1.0), ("growth", 2.0), ("api", 123.456)):
        save(tmp_path, Result(part, part, (_figure(value),)), {"commit": "abc"})
    parts = json.loads((tmp_path / FILE).read_text())["parts"]
    assert {name: part["figures"][0]["value"] for name, part in parts.items()} == {"api": 123.5, "growth": 2.0}
    assert parts["api"]["figures"][0] == {
        "name": "p50",
        "value": 123.5,
        "unit": "ms",
        "target": "≤ 300",
        "met": True,
        "emulatorCpu": 0.5,
        "largestBacklog": 12,
    }
    assert parts["api"]["commit"] == "abc"


def test_every_missed_target_is_told_by_name() -> None:
    good, bad = Result("api", "API", (_figure(1),)), Result("growth", "Growth", (_figure(1), _figure(301)))
    assert verdict([good]) == ["✔ Every target is met"]
    assert verdict([good, bad]) == ["✘ growth: p50 is 301 ms, target ≤ 300"]


@pytest.mark.parametrize(
    ("value", "text"), [(20_000, "20,000"), (123.4, "123"), (12.34, "12.3"), (0.0123, "0.0123"), (3.0, "3")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_share_of_each_payment_method_holds_however_many_clients_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []

    class Connected:
        def __init__(self, *_: object, **__: object) -> None:
            self.sock = self

        def connect(self) -> None: ...

        def setsockopt(self, *_: object) -> None: ...

        def request(self, _method: str, _path: str, body: bytes, _headers: object) -> None:
            sent.append(json.loads(body)["paymentMethod"])

        def getresponse(self) -> Connected:
            return self

        status = 201

        def read(self) -> bytes:
            return b'{"orderId": "ORD-1"}'

    monkeypatch.setattr("http.client.HTTPConnection", Connected)
    place_orders(http_clients(("127.0.0.1", 1), "PROD-001", 16, [VISA] * 4 + [DECLINED]), 60)
    assert sent.count(DECLINED) == 12
