"""What the operator sees of queues, open orders and dead letters, and what a redrive or a purge does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from api.ops.letters import LOOK_SECONDS, MAX_BODY_CHARACTERS, MAX_SHOWN, DeadLetterDesk
from api.ops.state import awaited_services
from shopflow.domain.order import Status, notify
from shopflow.domain.times import to_text
from shopflow.ports import DeadLetter
from tests.clocks import ManualClock
from tests.conformance.samples import an_order, charged, made, reserved
from tests.unit.api.shop import AS_OPERATOR, Answer, Client, Shop, judged_by_name, serving
from workers.dry_run import Judge, Judged, Kind, Verdict

LETTERS = "/ops/dead-letters/payment"
ENVELOPE = json.dumps({"correlationId": "ORD-00000001", "eventType": "inventory.reserved"})


def bury(shop: Shop, *bodies: str) -> list[str]:
    return [shop.dlqs["payment"].send(body) for body in bodies]


def look(client: Client) -> Any:
    return client.get(LETTERS, AS_OPERATOR).json


def redrive(client: Client, body: Any) -> Answer:
    return client.ask("POST", f"{LETTERS}/redrive", body, AS_OPERATOR)


def purge(client: Client, body: Any) -> Answer:
    return client.ask("POST", f"{LETTERS}/purge", body, AS_OPERATOR)


def desk(shop: Shop, judge: Judge) -> DeadLetterDesk:
    return DeadLetterDesk(shop.dead_letters, shop.clock, judge)


def sent(shop: Shop) -> list[str]:
    return [message.body for message in shop.queues["payment"].receive(10, 0)]


def left(shop: Shop) -> int:
    """How many dead letters are visible."""
    return shop.dlqs["payment"].depth().waiting


def test_each_letter_is_shown_with_its_reason_and_what_it_is_about() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    poison, ready = bury(shop, "poison", ENVELOPE)
    with serving(shop) as server:
        shown = look(Client(server))
    assert (shown["deadLetters"], shown["lookedAt"], shown["more"]) == (2, 2, False)
    assert (shown["wouldSucceed"], shown["wouldFail"]) == (1, 1)
    common = {"sentAt": to_text(clock.now), "receiveCount": 1}
    work = {"kind": "ready", "reason": "can be processed: would charge $9.99", "redrivable": True, "body": ENVELOPE}
    about = {"orderId": "ORD-00000001", "eventType": "inventory.reserved"}
    waste = {"kind": "breach", "reason": "breaks its contract: not JSON", "redrivable": False, "body": "poison"}
    assert shown["letters"] == [
        common | work | about | {"messageId": ready},
        common | waste | dict.fromkeys(about) | {"messageId": poison},
    ]


def test_the_named_letters_are_redriven_whatever_would_become_of_them(client: Client, shop: Shop) -> None:
    poison, _ = bury(shop, "poison", "message")
    answer = redrive(client, {"messageIds": [poison, "nobody"]}).json
    assert (answer["redriven"], answer["left"], sent(shop)) == (1, 1, ["poison"])


def test_a_double_click_redrives_once(client: Client, shop: Shop) -> None:
    ids = bury(shop, "message")
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: redrive(client, {"messageIds": ids}).json["redriven"], range(5)))
    assert sorted(answers) == [0, 0, 0, 0, 1]
    assert sent(shop) == ["message"]


UNCLEAR: list[Any] = [
    *({}, [], {"all": False}, {"all": 1}, {"messageIds": []}, {"messageIds": "x"}, {"messageIds": [1]}),
    *({"messageIds": ["x"] * 101}, {"messageIds": ["x" * 101]}, {"all": True, "messageIds": ["x"]}),
    *({"wouldFail": False}, {"wouldFail": 1}, {"wouldFail": True, "all": True}, b"null"),
]


def test_an_unclear_request_or_service_changes_nothing(client: Client, shop: Shop) -> None:
    bury(shop, "poison", "message")
    for body in UNCLEAR:
        assert [change(client, body).status for change in (redrive, purge)] == [400, 400], body
    for service in ("order", "nobody", ".."):
        path = f"/ops/dead-letters/{service}"
        assert client.get(path, AS_OPERATOR).status == 404
        assert client.ask("POST", f"{path}/redrive", {"all": True}, AS_OPERATOR).status == 404
    assert (sent(shop), left(shop)) == ([], 2)


def test_a_request_stops_in_time_and_returns_every_letter_that_it_does_not_send() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    bury(shop, *["poison"] * 100)

    def slow(service: str, letters: Sequence[DeadLetter]) -> list[Judged]:
        clock.advance(LOOK_SECONDS / 2)
        return judged_by_name(service, letters)

    shown = desk(shop, slow).look("payment")
    assert (shown["deadLetters"], shown["lookedAt"], shown["more"]) == (100, 60, True)
    assert desk(shop, slow).redrive("payment", None) == {"redriven": 0, "left": 100, "lookedAt": 60, "more": True}
    assert left(shop) == 100


def test_a_good_letter_behind_three_thousand_poison_ones_is_shown_first_redriven_and_not_purged() -> None:
    shop = Shop(ManualClock())
    bury(shop, *["poison" + "x" * MAX_BODY_CHARACTERS] * 3000, "good")
    with serving(shop) as server:
        shown = look(Client(server))
        redriven = redrive(Client(server), {"all": True}).json
        bury(shop, "good")
        purged = purge(Client(server), {"wouldFail": True}).json
    assert [letter["body"][:6] for letter in shown["letters"]] == ["good", *["poison"] * (MAX_SHOWN - 1)]
    assert {len(letter["body"]) for letter in shown["letters"]} == {4, MAX_BODY_CHARACTERS}
    reasons = [(group["count"], group["kind"], group["redrivable"]) for group in shown["reasons"]]
    assert reasons == [(1, "ready", True), (3000, "breach", False)]
    assert redriven == {"redriven": 1, "left": 3000, "lookedAt": 3001, "more": False}
    assert sent(shop) == ["good"]
    assert purged == {"purged": 3000, "left": 1, "lookedAt": 3001, "more": False}


def test_a_letter_whose_outcome_is_unknown_is_neither_purged_nor_redriven(shop: Shop) -> None:
    unknown = Verdict(Kind.UNKNOWN, "no table")
    undecided = desk(shop, lambda _, letters: [Judged(one, unknown) for one in letters])
    bury(shop, "message")
    assert (undecided.purge("payment")["purged"], undecided.redrive("payment", None)["redriven"]) == (0, 0)
    assert left(shop) == 1


def test_the_operator_sees_queues_and_dead_letters_and_the_orders_open_for_over_a_minute() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        oldest = client.post().json["orderId"]
        clock.advance(30)
        older, finished = (client.post().json["orderId"] for _ in range(2))
        made(shop.orders, reserved(shop.tables.orders[older]))
        paid = made(shop.orders, charged(made(shop.orders, reserved(shop.tables.orders[finished]))))
        made(shop.orders, notify(paid, clock.now))
        bury(shop, "poison")
        shop.dlqs["payment"].receive(1, 0)
        clock.advance(61)
        client.post()
        state = client.get("/ops/state", AS_OPERATOR).json
    assert list(state["queues"]) == ["inventory", "payment", "notification", "audit"]
    assert state["queues"]["inventory"] == {"waiting": 4, "inFlight": 0, "deadLetters": 0}
    assert state["queues"]["payment"] == {"waiting": 0, "inFlight": 0, "deadLetters": 1}
    assert state["openOrders"] == {
        "total": 2,
        "oldest": [
            {"orderId": oldest, "status": "PENDING", "ageSeconds": 91, "waitsFor": ["inventory"]},
            {"orderId": older, "status": "INVENTORY_RESERVED", "ageSeconds": 61, "waitsFor": ["payment"]},
        ],
    }


@pytest.mark.parametrize(
    ("status", "done", "services"),
    [
        (Status.PAYMENT_PROCESSED, [], ["notification"]),
        (Status.INVENTORY_FAILED, [], ["notification"]),
        (Status.PAYMENT_FAILED, [], ["notification", "inventory"]),
        (Status.PAYMENT_FAILED, ["notified_at"], ["inventory"]),
        (Status.PAYMENT_FAILED, ["released_at"], ["notification"]),
        (Status.PAYMENT_FAILED, ["notified_at", "released_at"], ["relay"]),
    ],
)
def test_an_order_waits_for_the_services_whose_step_it_lacks(
    status: Status, done: list[str], services: list[str]
) -> None:
    fields: dict[str, Any] = dict.fromkeys(done, 1)
    assert awaited_services(replace(an_order(), status=status, **fields)) == services
