"""GET /openapi.json: valid, complete, and true of what the service answers. The fuzz test compares every operation."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.ops import letters, routes, state
from shopflow.catalog import SCHEMAS
from shopflow.domain.order import EventType, decline
from tests.conformance.samples import an_event, an_order, header, made, refused, released, reserved
from tests.unit.api.contract import DOCUMENT, OPERATIONS, check_value
from tests.unit.api.shop import AS_OPERATOR, FINISHED_ID, Client, Shop
from tests.unit.api.test_streams import messages_of, streaming

COMPONENTS = DOCUMENT["components"]["schemas"]
BY_ID = {each.content["operationId"]: each.content for each in OPERATIONS}


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


def test_its_limits_are_those_of_the_code() -> None:
    ids = COMPONENTS["redrive"]["oneOf"][0]["properties"]["messageIds"]
    shown = COMPONENTS["deadLetters"]["properties"]["letters"]
    assert COMPONENTS["signIn"]["properties"]["token"]["maxLength"] == routes.MAX_TOKEN_CHARACTERS
    assert (ids["maxItems"], ids["items"]["maxLength"]) == (letters.MAX_REDRIVEN, letters.MAX_ID_CHARACTERS)
    assert (shown["maxItems"], shown["items"]["properties"]["body"]["maxLength"]) == (
        letters.MAX_SHOWN,
        letters.MAX_BODY_CHARACTERS,
    )
    assert COMPONENTS["state"]["properties"]["openOrders"]["properties"]["oldest"]["maxItems"] == state.MAX_SHOWN


@pytest.mark.parametrize("ending", ["declined", "out of stock"])
def test_orders_are_shown_as_documented_however_they_end(client: Client, shop: Shop, ending: str) -> None:
    order = shop.orders.create(replace(an_order(), order_id=FINISHED_ID))
    if ending == "out of stock":
        order = made(shop.orders, refused(order))
    else:
        order = made(shop.orders, reserved(order))
        failed = header(EventType.PAYMENT_FAILED, order.outbox)
        order = made(shop.orders, released(made(shop.orders, decline(order, failed, "Card expired"))))
    added = replace(an_event(order), event_type="fraud.checked", source="fraud-service", payload={"score": 7})
    shop.audit.insert([an_event(order), replace(added, event_id="7" * 26)], stored_at=order.updated_at)
    check_value("order", client.get(f"/orders/{FINISHED_ID}").json)
    for entry in client.get(f"/orders/{FINISHED_ID}/events").json:
        check_value("auditEntry", entry)


def test_every_message_of_the_streams_is_as_documented(client: Client, shop: Shop) -> None:
    shop.finish_an_order()
    lines = client.get(f"/orders/{FINISHED_ID}/stream").text.splitlines()
    sent = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [message["type"] for message in sent] == ["status", "audit", "audit", "audit", "done"]
    for message in sent:
        check_value("streamMessage", message)

    client.post()
    placed = shop.saved[-1]
    shop.audit.insert([an_event(placed)], stored_at=placed.created_at)
    with streaming(client, "/flow/stream") as (_, flow):
        sent = list(islice(messages_of(flow), 3))
    assert {message["type"] for message in sent} == {"event", "status", "queues"}
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
