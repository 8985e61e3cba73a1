"""Who may order where a token is asked for, and in whose name. The issuer is that of `scripts.issuer`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from api.lambda_handler import answer, of_authorizer
from api.tokens import KEYS_MS, PAUSE_MS, IssuerKeys, TokenCheck
from scripts.issuer import AUDIENCE, KEY_ID, Issuer
from shopflow.config import TokenSettings
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.unit.api.shop import SAMPLE, Client, Shop
from tests.unit.api.test_lambda import event
from tests.unit.test_text import PYTHONS

ITEMS = {"items": SAMPLE["items"]}
HOUR = 3600


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture
def shop(issuer: Issuer) -> Shop:
    clock = ManualClock()
    settings = TokenSettings(issuer.url, frozenset({AUDIENCE, "another"}))
    return Shop(clock, claims_of=TokenCheck(settings, clock))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("claims", [{}, {"aud": ["x", "another"]}, {"aud": None, "client_id": AUDIENCE}], ids=str)
def test_an_order_has_the_customer_of_its_token(
    client: Client, shop: Shop, issuer: Issuer, claims: dict[str, Any]
) -> None:
    for body in (ITEMS, {**ITEMS, "customerId": "CUST-7"}):
        assert client.post(body, **bearer(issuer.token("CUST-7", **claims))).status == 201
    assert [order.customer_id for order in shop.saved] == ["CUST-7", "CUST-7"]


def test_nobody_orders_in_the_name_of_another_or_of_nobody(client: Client, shop: Shop, issuer: Issuer) -> None:
    for customer, body, refusal in (
        ("CUST-7", {**ITEMS, "customerId": "CUST-8"}, (403, "customerId")),
        ("", ITEMS, (400, "customerId")),
        ("CUST-7", [], (400, "body")),
    ):
        answered = client.post(body, **bearer(issuer.token(customer)))
        assert (answered.status, answered.error.partition(":")[0]) == refusal
    assert shop.saved == []


def unsigned(issuer: Issuer) -> str:
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "CUST-7", "exp": time.time() + HOUR}
    return jwt.encode(claims, "", algorithm="none", headers={"kid": KEY_ID})


def of_another_issuer(issuer: Issuer) -> str:
    other = Issuer()
    other.close()
    return other.token("CUST-7", iss=issuer.url)


REFUSED: dict[str, Callable[[Issuer], str]] = {
    "not a token": lambda _: "CUST-7",
    "not a header": lambda issuer: "x" + issuer.token("CUST-7"),
    "unsigned": unsigned,
    "signed by another": of_another_issuer,
    "an unknown key": lambda issuer: issuer.token("CUST-7", key_id="other"),
    "changed": lambda issuer: issuer.token("CUST-7")[:-8] + "AAAAAAAA",
    "expired": lambda issuer: issuer.token("CUST-7", exp=int(time.time()) - 1),
    "without an end": lambda issuer: issuer.token("CUST-7", exp=None),
    "not yet valid": lambda issuer: issuer.token("CUST-7", nbf=int(time.time()) + HOUR),
    "another issuer": lambda issuer: issuer.token("CUST-7", iss="https://other.example"),
    "another audience": lambda issuer: issuer.token("CUST-7", aud="other"),
    "no audience": lambda issuer: issuer.token("CUST-7", aud=None),
    "no customer": lambda issuer: issuer.token("CUST-7", sub=None),
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=list(REFUSED))
def test_a_token_that_does_not_hold_is_refused(
    client: Client, shop: Shop, issuer: Issuer, token: Callable[[Issuer], str]
) -> None:
    answered = client.post(SAMPLE, **bearer(token(issuer)))
    assert (answered.status, answered.headers["Www-Authenticate"]) == (401, "Bearer")
    assert not PYTHONS.search(answered.error)
    assert shop.saved == []


def test_only_ordering_needs_a_token(client: Client) -> None:
    assert client.post(SAMPLE).status == client.post(SAMPLE, authorization="Basic QTpC").status == 401
    assert [client.get(path).status for path in ("/products", "/health", "/")] == [200, 200, 200]


def test_while_the_issuer_is_down_known_keys_are_used_and_others_wait() -> None:
    issuer, clock = Issuer(), ManualClock()
    keys = IssuerKeys(issuer.url, clock)
    known = keys.key(KEY_ID)
    with pytest.raises(jwt.InvalidKeyError):
        keys.key("new")
    issuer.close()
    with pytest.raises(jwt.InvalidKeyError):  # nobody makes us ask the issuer with every request
        keys.key("new")
    clock.now += PAUSE_MS + 1
    with pytest.raises(Unavailable):
        keys.key("new")
    clock.now += KEYS_MS + 1
    assert keys.key(KEY_ID) is known


def test_on_lambda_the_customer_is_in_the_claims_of_the_authorizer_and_nothing_else_counts(issuer: Issuer) -> None:
    shop = Shop(claims_of=of_authorizer)
    request = event("POST", "/orders", json.dumps(ITEMS), headers=bearer(issuer.token("CUST-7")))
    past_the_authorizer = event("POST", "/%6Frders", json.dumps(SAMPLE))
    assert [answer(shop.parts.api.endpoint, one)["statusCode"] for one in (request, past_the_authorizer)] == [401, 401]
    request["requestContext"]["authorizer"] = {"jwt": {"claims": {"sub": "CUST-7"}, "scopes": None}}
    assert answer(shop.parts.api.endpoint, request)["statusCode"] == 201
    assert [order.customer_id for order in shop.saved] == ["CUST-7"]
