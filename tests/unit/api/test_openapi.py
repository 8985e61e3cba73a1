"""GET /openapi.json: valid, complete, and true of what the service answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from http.client import HTTPResponse
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import http_message, placing, streams
from api.ops import letters, routes, session, state
from api.pollers import Change
from api.streams import FlowStream
from shopflow.catalog import SCHEMAS
from shopflow.domain.order import EventType, Order, decline
from shopflow.ports import AuditEntry
from tests.conformance.samples import an_event, an_order, header, made, refused, released, reserved
from tests.unit.api.contract import DOCUMENT, OPERATIONS, Operation, check, check_value, messages
from tests.unit.api.shop import AS_OPERATOR, FINISHED_ID, OPS_TOKEN, QUICK, SAMPLE, Answer, Client, Shop, serving
from tests.unit.api.test_http import talking

pytestmark = pytest.mark.usefixtures("short_flow")
COMPONENTS = DOCUMENT["components"]["schemas"]
BY_ID = {each.content["operationId"]: each.content for each in OPERATIONS}
BODIES: dict[str, Any] = {
    "/orders": SAMPLE,
    "/ops/session": {"token": OPS_TOKEN},
    "/ops/dead-letters/{service}/redrive": {"all": True},
    "/ops/dead-letters/{service}/purge": {"wouldFail": True},
}


def test_it_is_openapi_3_1_and_its_example_of_an_order_can_be_placed(client: Client) -> None:
    assert client.get("/openapi.json").json == DOCUMENT
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    example = BY_ID["placeOrder"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post(example).status == 201


def test_it_has_every_route_and_nothing_else(shop: Shop) -> None:
    served = {(route.method, route.path) for route in shop.parts.api.routes}
    documented = {
        (operation.method, route.path)
        for operation in OPERATIONS
        for route in shop.parts.api.routes
        if re.fullmatch(route.path, operation.target)
    }
    assert len(OPERATIONS) == len(served)
    assert {path for _, path in documented} == {path for _, path in served}
    assert served <= documented


def test_its_schemas_are_those_of_the_schemas_folder() -> None:
    def contract(name: str) -> Any:
        text = (SCHEMAS / f"{name}.schema.json").read_text()
        return json.loads(re.sub(r'"[^"]*#/\$defs/', '"#/components/schemas/', text))

    copies = contract("common")["$defs"] | {"place-order": contract("place-order")}
    envelope = contract("envelope")["properties"]
    copies |= {name: envelope[name] for name in ("eventType", "version", "source", "causationId")}
    for name, schema in copies.items():
        assert COMPONENTS[name] == {key: value for key, value in schema.items() if key not in ("$schema", "$id")}, name


KIB = 1024
LIMITS: list[tuple[object, object]] = [
    (COMPONENTS["signIn"]["properties"]["token"]["maxLength"], routes.MAX_TOKEN_CHARACTERS),
    (COMPONENTS["redrive"]["oneOf"][0]["properties"]["messageIds"]["maxItems"], letters.MAX_REDRIVEN),
    (COMPONENTS["redrive"]["oneOf"][0]["properties"]["messageIds"]["items"]["maxLength"], letters.MAX_ID_CHARACTERS),
    (COMPONENTS["deadLetters"]["properties"]["letters"]["maxItems"], letters.MAX_SHOWN),
    (
        COMPONENTS["deadLetters"]["properties"]["letters"]["items"]["properties"]["body"]["maxLength"],
        letters.MAX_BODY_CHARACTERS,
    ),
    (COMPONENTS["state"]["properties"]["openOrders"]["properties"]["oldest"]["maxItems"], state.MAX_SHOWN),
]
SENTENCES: list[tuple[Any, str]] = [
    (BY_ID["placeOrder"]["requestBody"], f"{placing.MAX_QUANTITY} of one product"),
    (BY_ID["streamOrder"], f"after {streams.OrderStream.limit_ms // 60_000} minutes"),
    (BY_ID["signIn"], f"for {session.SESSION_SECONDS // 3600} hours"),
    (DOCUMENT["components"]["headers"]["SessionCookie"], f"Max-Age=(0|{session.SESSION_SECONDS})"),
    (BY_ID["listDeadLetters"], f"in {letters.LOOK_SECONDS} seconds"),
    (BY_ID["listDeadLetters"], f"Up to {letters.MAX_SHOWN} of"),
    (BY_ID["redrive"], f"up to {letters.MAX_REDRIVEN}, for up to {letters.LOOK_SECONDS} seconds"),
    *(
        (DOCUMENT["components"]["responses"]["Error"], text)
        for text in (
            f"larger than {http_message.MAX_BODY_BYTES // KIB} KiB",
            f"more than {http_message.MAX_FRAMING_BYTES // KIB} KiB",
            f"longer than {http_message.MAX_REQUEST_LINE_BYTES // KIB} KiB",
            f"more than {http_message.MAX_HEADERS} headers",
            f"larger than {http_message.MAX_HEADER_BYTES // KIB} KiB together",
        )
    ),
]


def test_its_limits_are_those_of_the_code() -> None:
    assert [documented for documented, _ in LIMITS] == [limit for _, limit in LIMITS]
    for part, text in SENTENCES:
        assert text in json.dumps(part)


def test_the_flow_ends_when_the_document_says() -> None:
    # In a test of its own: short_flow changes the limit.
    assert "after 10 minutes" in json.dumps(BY_ID["streamFlow"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_right_and_wrong_requests_of_every_operation_are_answered_as_documented(
    operation: Operation, client: Client, shop: Shop
) -> None:
    shop.finish_an_order()
    shop.dlqs["payment"].send("poison")
    path = operation.target
    body = BODIES.get(operation.path) if operation.method == "POST" else None
    requests: list[tuple[str, Any, Mapping[str, str]]] = [
        (path, body, AS_OPERATOR),
        (path, body, AS_OPERATOR | {"If-None-Match": "*"}),
        (path, body, {"Sec-Fetch-Site": "cross-site"}),
        (path, {}, AS_OPERATOR),
        (path, body, AS_OPERATOR | {"Content-Type": "text/plain"}),
        (path, body, AS_OPERATOR | {"Expect": "a miracle"}),
        (path + "?" + "a" * http_message.MAX_REQUEST_LINE_BYTES, None, {}),
        (path, None, {"X": "y" * http_message.MAX_HEADER_BYTES}),
    ]
    answers = [client.ask(operation.method, *request) for request in requests]
    assert answers[0].status < 300
    for answer in answers:
        check(operation, answer)


def test_a_late_request_an_outage_and_a_bug_are_answered_as_documented(shop: Shop) -> None:
    with serving(shop, replace(QUICK, receive_seconds=0.05)) as server, talking(Client(server)) as connection:
        connection.sendall(b"POST /orders HTTP/1.1\r\n")
        with closing(HTTPResponse(connection, method="POST")) as response:
            response.begin()
            late = Answer.of(response)
    with serving(shop) as server:
        client = Client(server)
        shop.orders.unavailable = True
        down = client.post()
        shop.orders.unavailable = False
        shop.orders.bug = RuntimeError("a bug")
        answers = [late, down, client.post()]
    assert [answer.status for answer in answers] == [408, 503, 500]
    for answer in answers:
        check(OPERATIONS[0], answer)


@pytest.mark.parametrize("ending", ["declined", "out of stock", "with an event of an added service"])
def test_orders_are_shown_as_documented_however_they_end(client: Client, shop: Shop, ending: str) -> None:
    order = _ended(shop, ending)
    event = an_event(order)
    if ending == "with an event of an added service":
        event = replace(event, event_type="fraud.checked", source="fraud-service", payload={"score": 7})
    shop.audit.insert([event], stored_at=order.updated_at)
    for operation in OPERATIONS:
        if operation.path in ("/orders/{orderId}", "/orders/{orderId}/events"):
            answer = client.get(operation.target)
            assert answer.status == 200
            check(operation, answer)


def _ended(shop: Shop, ending: str) -> Order:
    order = shop.orders.create(replace(an_order(), order_id=FINISHED_ID))
    if ending != "declined":
        return made(shop.orders, refused(order))
    order = made(shop.orders, reserved(order))
    failed = header(EventType.PAYMENT_FAILED, order.outbox)
    return made(shop.orders, released(made(shop.orders, decline(order, failed, "Card expired"))))


def test_every_message_of_the_streams_is_as_documented(client: Client, shop: Shop) -> None:
    shop.finish_an_order()
    sent = messages(client.get(f"/orders/{FINISHED_ID}/stream").text)
    assert [message["type"] for message in sent] == ["status", "audit", "audit", "audit", "done"]
    for message in sent:
        check_value("streamMessage", message)

    order = shop.orders.create(replace(an_order(), order_id="ORD-00000001"))
    flow = FlowStream(shop.order_poller(shop.clock), shop.queue_poller(), shop.clock, lambda _: False, lambda: None)
    flow.hear_change(Change(order, (AuditEntry(an_event(order), order.created_at),), status_changed=True))
    flow.hear_queues({"payment": shop.backlogs.of("payment")})
    sent = list(flow._new_messages())
    assert [message["type"] for message in sent] == ["event", "status", "queues"]
    for message in sent:
        check_value("flowMessage", message)


def test_dead_letters_and_open_orders_are_shown_as_documented(client: Client, shop: Shop) -> None:
    shop.orders.create(replace(an_order(), order_id="ORD-00000001", opened_at=0))
    for body in ("poison", '{"correlationId": "ORD-00000001", "eventType": "inventory.reserved"}'):
        shop.dlqs["payment"].send(body)
    for path, schema in (("/ops/state", "state"), ("/ops/dead-letters/payment", "deadLetters")):
        answer = client.get(path, AS_OPERATOR)
        assert "ORD-00000001" in answer.text
        check_value(schema, answer.json)
