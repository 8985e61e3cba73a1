"""Who is the operator, and from where."""

from __future__ import annotations

import hmac
import logging
from typing import Any

import pytest

from api.http_message import Head, HttpError
from api.ops import session
from api.ops.session import FAILURES_SECONDS, MAX_FAILURES, SESSION_SECONDS, Sessions
from tests.clocks import ManualClock
from tests.unit.api.shop import AS_OPERATOR, OPS_TOKEN, Answer, Client, Shop, serving

WRONG = {"token": "not-the-operators-token"}
GUARDED = ["/ops", "/ops/state", "/ops/dead-letters/payment", "/ops/dead-letters/nobody"]
CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "/ops/session", {"token": OPS_TOKEN}),
    ("DELETE", "/ops/session", None),
    ("POST", "/ops/dead-letters/payment/redrive", {"all": True}),
    ("POST", "/ops/dead-letters/payment/purge", {"wouldFail": True}),
]
FOREIGN = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "whatever comes"},
]
OWN = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"},
    {"Origin": "http://127.0.0.1:3000", "Host": "127.0.0.1:3000"},
    {"Origin": "http://Shop.example", "Host": "shop.example"},
    {},
]
"""The third is what comes through a proxy that has put its own name for us into Host."""


def sign_in(client: Client, token: str = OPS_TOKEN) -> Answer:
    return client.ask("POST", "/ops/session", {"token": token})


def cookie(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer not-the-operators-token"},
        {"Authorization": f"Basic {OPS_TOKEN}"},
        {"Authorization": "Bearer"},
        {"Cookie": f"ops={OPS_TOKEN}"},
        {"Cookie": "ops=; ops=9; ops=.; ops=99999999999999999999.00; other=1"},
        {"Cookie": f"ops=1{'0' * 13}.{'0' * 64}"},
        {"Cookie": "ops=\xe4.\xe4"},
    ],
    ids=lambda headers: " ".join(headers),
)
def test_without_the_token_it_is_401(client: Client, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers)
    assert (answer.status, answer.headers["Www-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(("method", "path", "body"), CHANGES[2:])
def test_without_the_token_nothing_is_redriven(client: Client, shop: Shop, method: str, path: str, body: Any) -> None:
    shop.dlqs["payment"].send("message")
    assert client.ask(method, path, body).status == 401
    assert shop.queues["payment"].depth().waiting == 0


def test_the_page_is_there_for_the_operator_and_the_one_to_sign_in_for_anybody_else(client: Client) -> None:
    stranger, operator = client.get("/ops"), client.get("/ops", AS_OPERATOR)
    assert (stranger.status, operator.status) == (401, 200)
    assert stranger.text != operator.text
    for answer in (stranger, operator):
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_signing_in_opens_a_session_that_is_the_browsers_alone(client: Client) -> None:
    answer = sign_in(client)
    value, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert (answer.status, answer.text) == (204, "")
    assert attributes == ["HttpOnly", "SameSite=Strict", "Path=/ops", f"Max-Age={SESSION_SECONDS}"]
    assert OPS_TOKEN not in value
    for path in ("/ops", "/ops/state"):
        assert client.get(path, {"Cookie": f"theme=dark; {value}"}).status == 200


def test_signing_out_clears_the_cookie(client: Client) -> None:
    answer = client.ask("DELETE", "/ops/session")
    assert (answer.status, answer.headers["Set-Cookie"]) == (
        204,
        "ops=; HttpOnly; SameSite=Strict; Path=/ops; Max-Age=0",
    )


def test_a_session_ends_after_its_time_and_cannot_be_extended() -> None:
    clock = ManualClock()
    with serving(Shop(clock)) as server:
        client = Client(server)
        headers = cookie(sign_in(client))
        clock.advance(SESSION_SECONDS - 1)
        assert client.get("/ops/state", headers).status == 200
        clock.advance(1)
        assert client.get("/ops/state", headers).status == 401
        ends, _, seal = headers["Cookie"].removeprefix("ops=").partition(".")
        later = {"Cookie": f"ops={int(ends) + 60_000}.{seal}"}
        assert client.get("/ops/state", later).status == 401


def test_a_session_is_worth_nothing_under_another_token(client: Client) -> None:
    headers = cookie(sign_in(client))
    with serving(Shop(ops_token=OPS_TOKEN.upper())) as server:
        assert Client(server).get("/ops/state", headers).status == 401


@pytest.mark.parametrize(
    "body", [{}, {"token": ""}, {"token": 1}, {"token": None}, [], "x", {"token": "x" * 513}, {"token": "x", "more": 1}]
)
def test_what_is_no_token_is_a_400_that_says_what_it_must_be(client: Client, body: Any) -> None:
    answer = client.ask("POST", "/ops/session", body)
    assert answer.status == 400
    assert '{"token": "…"}' in answer.error


def test_wrong_tokens_are_limited_and_the_right_one_always_works() -> None:
    clock = ManualClock()
    with serving(Shop(clock)) as server:
        client = Client(server)
        wrong = [client.ask("POST", "/ops/session", WRONG).status for _ in range(MAX_FAILURES)]
        assert wrong == [401] * MAX_FAILURES
        refused = client.ask("POST", "/ops/session", WRONG)
        assert (refused.status, refused.headers["Retry-After"]) == (429, str(FAILURES_SECONDS))
        assert client.get("/ops", {"Authorization": "Bearer wrong"}).status == 429
        signed_in = sign_in(client)
        assert signed_in.status == 204
        assert [client.get("/ops/state", each).status for each in (AS_OPERATOR, cookie(signed_in))] == [200, 200]
        assert client.get("/ops/state").status == 401
        clock.advance(FAILURES_SECONDS)
        assert client.ask("POST", "/ops/session", WRONG).status == 401


@pytest.mark.parametrize("token", ["\u20ac\u20ac", "\xe4", "\ud800", "\xff\u0100"])
@pytest.mark.parametrize("name", ["authorization", "cookie"])
def test_a_header_of_any_text_is_no_token_and_no_error(token: str, name: str) -> None:
    value = f"Bearer {token}" if name == "authorization" else f"ops=9.{token}"
    with pytest.raises(HttpError) as refused:
        Sessions(OPS_TOKEN, ManualClock()).check(Head("GET", "/ops", {name: (value,)}))
    assert refused.value.status == 401


def test_a_token_that_is_not_ascii_works_too() -> None:
    sessions = Sessions("schl\xfcssel-\u20ac-schl\xfcssel", ManualClock())
    for value in ("schl\xfcssel-\u20ac-schl\xfcssel".encode().decode("latin-1"), "schl\xfcssel-\u20ac-schl\xfcssel"):
        sessions.check(Head("GET", "/ops", {"authorization": (f"Bearer {value}",)}))


@pytest.mark.parametrize(("method", "path", "body"), [("GET", each, None) for each in GUARDED] + CHANGES)
def test_without_a_token_configured_there_is_no_operator(method: str, path: str, body: Any) -> None:
    with serving(Shop(ops_token=None)) as server:
        answer = Client(server).ask(method, path, body, {"Authorization": "Bearer None"})
    assert (answer.status, answer.headers["Www-Authenticate"]) == (401, "Bearer")
    assert "OPS_TOKEN" in answer.error


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_a_page_of_another_site_sends_is_refused(
    client: Client, shop: Shop, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    shop.dlqs["payment"].send("message")
    answer = client.ask(method, path, body, {**AS_OPERATOR, **cookie(sign_in(client)), **headers})
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert shop.queues["payment"].depth().waiting == 0


@pytest.mark.parametrize("headers", OWN, ids=str)
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_our_own_page_sends_is_taken(
    client: Client, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    assert client.ask(method, path, body, {**AS_OPERATOR, **headers}).status in (200, 204)


@pytest.mark.parametrize("path", ["/ops", "/ops/state", "/ops/dead-letters/payment"])
def test_get_changes_nothing(client: Client, shop: Shop, path: str) -> None:
    client.post()
    shop.dlqs["payment"].send("message")
    before = (dict(shop.tables.orders), [queue.depth() for queue in (*shop.queues.values(), *shop.dlqs.values())])
    for method in ("GET", "HEAD", "OPTIONS"):
        client.ask(method, path, None, AS_OPERATOR)
    after = (dict(shop.tables.orders), [queue.depth() for queue in (*shop.queues.values(), *shop.dlqs.values())])
    assert after == before


@pytest.mark.parametrize("path", [path for method, path, _ in CHANGES if method == "POST"])
def test_what_changes_something_is_not_reachable_by_get(client: Client, path: str) -> None:
    assert client.get(path, AS_OPERATOR).status == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_cannot_sign_in_or_change_anything(client: Client, content_type: str) -> None:
    for path in [path for method, path, _ in CHANGES if method == "POST"]:
        answer = client.ask("POST", path, b'{"all": true}', {**AS_OPERATOR, "Content-Type": content_type})
        assert answer.status == 415


def test_secrets_are_compared_in_constant_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    genuine = hmac.compare_digest

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return genuine(first, second)

    monkeypatch.setattr(session.hmac, "compare_digest", compare)  # type: ignore[attr-defined]
    headers = cookie(sign_in(client))
    assert compared == [(OPS_TOKEN.encode(), OPS_TOKEN.encode())]
    client.get("/ops/state", headers)
    seal = headers["Cookie"].rpartition(".")[2].encode()
    assert compared[1:] == [(seal, seal)]


def test_no_secret_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        headers = cookie(sign_in(client))
        client.get("/ops", headers)
        client.get("/ops/state", AS_OPERATOR)
        client.ask("POST", "/ops/session", WRONG)
        client.get("/health")
    assert len(caplog.records) >= 4
    for secret in (OPS_TOKEN, headers["Cookie"].rpartition(".")[2], WRONG["token"]):
        assert secret not in caplog.text
