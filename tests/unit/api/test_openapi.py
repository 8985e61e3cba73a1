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
from api.ops.session import MAX_FAILURES
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
KEY = {"Idempotency-Key": "one"}
OTHER = SAMPLE | {"customerId": "CUST-002"}
UNKNOWN = SAMPLE | {"items": [{"productId": "PROD-404", "quantity": 1}]}


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


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_every_answer_of_an_operation_is_documented_and_every_documented_one_is_given(
    operation: Operation, shop: Shop
) -> None:
    shop.finish_an_order()
    given = set()
    with serving(shop) as server, serving(Shop(ops_token=None)) as unattended:
        answers = _provoked(Client(server), operation)
        if operation.path.startswith("/ops") and operation.method != "OPTIONS":
            answers += _provoked_by_strangers(Client(server), Client(unattended), operation)
        for answer in answers:
            CONTRACT.check(operation.method, _target(operation.path), answer)
            given.add(answer.status)
    late_or_down = {408, 500, 503}  # for these see the tests below
    assert given == operation.statuses - late_or_down


def _provoked(client: Client, operation: Operation) -> list[Answer]:
    """The answers to one right request and to every wrong one that this operation can have."""
    method, path = operation.method, _target(operation.path)
    right = [(path, body, headers) for body, headers in _right(operation)]
    if method not in ("OPTIONS", "POST", "DELETE"):
        right += [(path, None, {"If-None-Match": "*"})] if 304 in operation.statuses else []
    if 404 in operation.statuses and "{" in path + operation.path:
        right += [(each, *_right(operation)[0]) for each in _nowhere(operation.path)]
    answers = [client.ask(method, *each) for each in right]
    wrong = [
        {"Content-Length": "x"},
        {"Transfer-Encoding": "gzip"},
        {"Content-Length": "70000"},
        {"Expect": "a miracle", "Content-Length": "1", "Content-Type": "application/json"},
        {"X": "y" * MAX_HEADER_BYTES},
    ]
    wrong += [{"Content-Type": "application/json"}] if method == "POST" else []
    answers += [_bare(client, f"{method} {path} HTTP/1.1", headers) for headers in wrong]
    answers.append(_bare(client, f"{method} {path}?{'a' * MAX_REQUEST_LINE_BYTES} HTTP/1.1", {}))
    answers.append(_bare(client, f"{method} {path} HTTP/2.0", {}))
    return answers


def _right(operation: Operation) -> list[tuple[Any, Mapping[str, str]]]:
    """Bodies and headers of requests that the operation understands, the first of which succeeds."""
    if operation.method == "OPTIONS":
        return [(None, {})]
    as_text = {"Content-Type": "text/plain"}
    bodies = {
        "/ops/session": {"token": OPS_TOKEN},
        "/ops/dead-letters/{service}/redrive": {"all": True},
        "/ops/dead-letters/{service}/purge": {"wouldFail": True},
    }
    if operation.method != "POST":
        return [(None, AS_OPERATOR)]
    if operation.path == "/orders":
        keyed = [(SAMPLE, KEY), (SAMPLE, KEY), (OTHER, KEY)]
        return [(SAMPLE, {}), *keyed, (UNKNOWN, {}), ({}, {}), (SAMPLE, as_text)]
    body = bodies[operation.path]
    return [(body, AS_OPERATOR), ({}, AS_OPERATOR), (body, AS_OPERATOR | as_text)]


def _nowhere(path: str) -> list[str]:
    """Paths of that kind under which there is nothing."""
    return [re.sub(r"\{\w+\}", each, path) for each in ("ORD-00000000", "x")]


def _provoked_by_strangers(client: Client, unattended: Client, operation: Operation) -> list[Answer]:
    """What those are answered who are no operator, or come from elsewhere; ``unattended`` has no operator."""
    method, path = operation.method, _target(operation.path)
    body, headers = _right(operation)[0]
    wrong = {"token": "x"} if operation.path == "/ops/session" and body else body
    answers = [unattended.ask(method, path, body), client.ask(method, path, wrong)]
    if method in ("POST", "DELETE"):
        answers.append(client.ask(method, path, body, {**headers, "Sec-Fetch-Site": "cross-site"}))
    if 429 in operation.statuses:
        attempts = {"Authorization": "Bearer x"}
        answers += [client.ask(method, path, wrong, attempts) for _ in range(MAX_FAILURES + 1)]
    return answers


def _bare(client: Client, line: str, headers: Mapping[str, str]) -> Answer:
    """The answer to a head as it is, with no body after it."""
    lines = [line, "Host: x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection(client.address, timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return _answer(connection, line.partition(" ")[0])


def _answer(connection: socket.socket, method: str) -> Answer:
    with closing(HTTPResponse(connection, method=method)) as response:
        response.begin()
        return Answer.of(response)


def test_a_late_request_is_answered_as_documented(shop: Shop) -> None:
    with serving(shop, replace(QUICK, receive_seconds=0.05)) as server:
        for operation in OPERATIONS:
            with socket.create_connection(Client(server).address, timeout=10) as connection:
                connection.sendall(f"{operation.method} {_target(operation.path)} HTTP/1.1\r\n".encode())
                answer = _answer(connection, operation.method)
            assert answer.status == 408
            CONTRACT.check(operation.method, _target(operation.path), answer)


def test_an_outage_and_a_bug_are_answered_as_documented(client: Client, shop: Shop) -> None:
    shop.orders.unavailable = True
    down = [("POST", "/orders", client.post()), ("GET", f"/orders/{FINISHED_ID}", client.get(f"/orders/{FINISHED_ID}"))]
    shop.orders.unavailable = False
    shop.orders.bug = RuntimeError("a bug")
    bug = client.post()
    assert [answer.status for _, _, answer in down] + [bug.status] == [503, 503, 500]
    for method, path, answer in [*down, ("POST", "/orders", bug)]:
        CONTRACT.check(method, path, answer)


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
