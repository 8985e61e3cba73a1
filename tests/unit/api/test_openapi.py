"""GET /openapi.json: valid, complete, and true of what the service answers."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import reduce
from http.client import HTTPResponse
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.http_message import MAX_HEADER_BYTES, MAX_REQUEST_LINE_BYTES
from api.openapi import LIMITS, SOURCE, load_document
from api.pollers import Change
from api.streams import FlowStream
from shopflow.domain.order import EventType, Order, decline
from shopflow.ports import AuditEntry
from tests.conformance.samples import an_event, an_order, header, made, refused, released, reserved
from tests.unit.api.contract import Contract, Operation, messages
from tests.unit.api.shop import AS_OPERATOR, FINISHED_ID, OPS_TOKEN, QUICK, SAMPLE, Answer, Client, Shop, serving

pytestmark = pytest.mark.usefixtures("short_flow")
CONTRACT = Contract()
OPERATIONS = list(CONTRACT.operations())
NAMES = [f"{operation.method} {operation.path}" for operation in OPERATIONS]


def test_it_is_openapi_3_1_and_refers_to_nothing_outside(client: Client) -> None:
    document = client.get("/openapi.json").json
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1.")
    references = {value for key, value in _pairs(document) if key == "$ref"}
    assert all(reference.startswith("#/components/") for reference in references)
    assert "$id" not in dict(_pairs(document))


def test_it_has_the_contracts_of_the_schemas_folder_to_the_letter() -> None:
    schemas = load_document()["components"]["schemas"]
    assert schemas["place-order"]["properties"]["items"]["maxItems"] == 50
    assert schemas["common"]["$defs"]["orderId"]["pattern"] == "^ORD-[0-9A-Z]{8}$"
    assert schemas["order.created"]["properties"]["orderId"] == {"$ref": "#/components/schemas/common/$defs/orderId"}


def test_its_example_of_an_order_can_be_placed(client: Client) -> None:
    body = load_document()["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post(body).status == 201


def test_every_route_is_in_it_and_everything_in_it_is_a_route(client: Client, shop: Shop) -> None:
    documented = {(each.method, _target(each.path)) for each in OPERATIONS}
    paths = {path for _, path in documented}
    routes = shop.parts.api.routes
    served = {(route.method, path) for route in routes for path in paths if re.fullmatch(route.path, path)}
    assert all(any(re.fullmatch(route.path, path) for path in paths) for route in routes)
    assert {each for each in documented if each[0] in ("GET", "POST", "DELETE")} == served
    for path in paths:
        allowed = client.ask("OPTIONS", path).headers["Allow"]
        assert set(allowed.split(", ")) == {method for method, other in documented if other == path}


REDRIVE = "/ops/dead-letters/payment/redrive"
BOUNDED: list[tuple[str, str, Callable[[Any, int], Any]]] = [
    (REDRIVE, "redrive", lambda ids, more: {"messageIds": ["x"] * (ids["maxItems"] + more)}),
    (REDRIVE, "redrive", lambda ids, more: {"messageIds": ["x" * (ids["items"]["maxLength"] + more)]}),
    ("/ops/session", "signIn", lambda token, more: {"token": "x" * (token["maxLength"] + more)}),
]


@pytest.mark.parametrize(("path", "schema", "body"), BOUNDED)
def test_what_it_says_is_the_most_is_taken_and_one_more_is_not(
    client: Client, path: str, schema: str, body: Callable[[Any, int], Any]
) -> None:
    found = load_document()["components"]["schemas"][schema]
    [bounds] = found.get("oneOf", [found])[0]["properties"].values()
    assert client.ask("POST", path, body(bounds, 0), AS_OPERATOR).status in (200, 401)
    assert client.ask("POST", path, body(bounds, 1), AS_OPERATOR).status == 400


def test_it_has_no_number_of_its_own_where_the_code_has_a_limit() -> None:
    bounds = re.compile(r'"(?:max|min)(?:Items|Length|imum)": (\d+)|"const": (\d+)')
    own = {int(number) for found in bounds.findall(SOURCE.read_text()) for number in found if number}
    assert own <= {0, 1, 255}  # 255: of Idempotency-Key, whose pattern has it too
    assert set(re.findall(r"\$([A-Z_]+)", SOURCE.read_text())) == set(LIMITS)


BODIES: dict[str, Any] = {
    "/orders": SAMPLE,
    "/ops/session": {"token": OPS_TOKEN},
    "/ops/dead-letters/{service}/redrive": {"all": True},
    "/ops/dead-letters/{service}/purge": {"wouldFail": True},
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_right_and_wrong_requests_of_every_operation_are_answered_as_documented(
    operation: Operation, client: Client, shop: Shop
) -> None:
    shop.finish_an_order()
    shop.dlqs["payment"].send("poison")
    method, path = operation.method, _target(operation.path)
    body = BODIES.get(operation.path) if method == "POST" else None
    requests: list[tuple[str, Any, Mapping[str, str]]] = [
        (path, body, AS_OPERATOR),
        (path, body, AS_OPERATOR | {"If-None-Match": "*"}),
        (path, body, {"Sec-Fetch-Site": "cross-site"}),
        (path, {}, AS_OPERATOR),
        (path, body, AS_OPERATOR | {"Content-Type": "text/plain"}),
        (path, body, AS_OPERATOR | {"Expect": "a miracle"}),
        (path + "?" + "a" * MAX_REQUEST_LINE_BYTES, None, {}),
        (path, None, {"X": "y" * MAX_HEADER_BYTES}),
    ]
    answers = [client.ask(method, *request) for request in requests]
    assert answers[0].status < 300
    for answer in answers:
        CONTRACT.check(method, path, answer)


def test_a_late_request_an_outage_and_a_bug_are_answered_as_documented(shop: Shop) -> None:
    with serving(shop, replace(QUICK, receive_seconds=0.05)) as server:
        client = Client(server)
        with socket.create_connection(client.address, timeout=10) as connection:
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
        CONTRACT.check("POST", "/orders", answer)


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/orders", 405), ("GET", "/nowhere", 404)])
def test_what_is_not_in_it_is_refused_as_documented(client: Client, method: str, path: str, status: int) -> None:
    answer = client.ask(method, path)
    assert answer.status == status
    CONTRACT.check(method, path, answer)


@pytest.mark.parametrize("ending", ["declined", "out of stock"])
def test_orders_that_failed_are_shown_as_documented(client: Client, shop: Shop, ending: str) -> None:
    order = _failed(shop, ending)
    shop.audit.insert([an_event(order)], stored_at=order.updated_at)
    for path in (f"/orders/{order.order_id}", f"/orders/{order.order_id}/events"):
        answer = client.get(path)
        assert answer.status == 200
        CONTRACT.check("GET", path, answer)


def _failed(shop: Shop, ending: str) -> Order:
    order = shop.orders.create(replace(an_order(), order_id="ORD-00000001"))
    if ending == "out of stock":
        return made(shop.orders, refused(order))
    order = made(shop.orders, reserved(order))
    failed = header(EventType.PAYMENT_FAILED, order.outbox)
    return made(shop.orders, released(made(shop.orders, decline(order, failed, "Card expired"))))


def test_every_message_of_a_stream_is_as_documented(client: Client, shop: Shop) -> None:
    shop.finish_an_order()
    told = messages(client.get(f"/orders/{FINISHED_ID}/stream").text)
    assert [message["type"] for message in told] == ["status", "audit", "audit", "audit", "done"]
    for message in told:
        CONTRACT.check_value("/components/schemas/streamMessage", message)


def test_an_event_of_a_service_that_was_added_is_shown_as_documented(client: Client, shop: Shop) -> None:
    shop.finish_an_order()
    [entry, *_] = shop.audit.trail(FINISHED_ID)
    checked = replace(entry.event, event_id="01" + "Z" * 24, event_type="fraud.checked", source="fraud-service")
    shop.audit.insert([replace(checked, payload={"orderId": FINISHED_ID, "score": 7})], stored_at=entry.stored_at)
    answer = client.get(f"/orders/{FINISHED_ID}/events")
    assert "fraud.checked" in [entry["eventType"] for entry in answer.json]
    CONTRACT.check("GET", f"/orders/{FINISHED_ID}/events", answer)


def test_every_message_of_the_flow_is_as_documented(shop: Shop) -> None:
    order = shop.orders.create(replace(an_order(), order_id="ORD-00000001"))
    feed = FlowStream(shop.order_poller(shop.clock), shop.queue_poller(), shop.clock, lambda _: False, lambda: None)
    feed.hear_change(Change(order, (AuditEntry(an_event(order), order.created_at),), status_changed=True))
    feed.hear_queues({"payment": shop.backlogs.of("payment")})
    told = list(feed._new_messages())
    assert [message["type"] for message in told] == ["event", "status", "queues"]
    for message in told:
        CONTRACT.check_value("/components/schemas/flowMessage", message)


def test_dead_letters_and_open_orders_are_shown_as_documented(client: Client, shop: Shop) -> None:
    shop.orders.create(replace(an_order(), order_id="ORD-00000001", opened_at=0))
    for body in ("poison", '{"correlationId": "ORD-00000001", "eventType": "inventory.reserved"}'):
        shop.dlqs["payment"].send(body)
    for path, shown in (("/ops/state", "ORD-00000001"), ("/ops/dead-letters/payment", "poison")):
        answer = client.get(path, AS_OPERATOR)
        assert shown in answer.text
        CONTRACT.check("GET", path, answer)


def _target(path: str) -> str:
    """``path`` with the examples of its parameters."""
    parameters = CONTRACT.document["components"]["parameters"].values()
    return reduce(lambda found, each: found.replace(f"{{{each['name']}}}", each["example"]), parameters, path)


def _pairs(value: Any) -> Any:
    if isinstance(value, dict):
        yield from value.items()
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _pairs(item)
