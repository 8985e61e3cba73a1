"""Who the operator is, and which pages may send the operator's requests."""

from __future__ import annotations

import hmac
import logging
from typing import Any

import pytest

from api.http_message import Head, HttpError
from api.ops.session import FAILURES_SECONDS, MAX_FAILURES, SESSION_SECONDS, Sessions
from tests.clocks import ManualClock
from tests.unit.api.shop import AS_OPERATOR, OPS_TOKEN, Answer, Client, Shop, serving
from tests.waiting import eventually

WRONG = {"token": "not-the-operators-token"}
READS = ["/ops", "/ops/state", "/ops/dead-letters/payment"]
CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "/ops/session", {"token": OPS_TOKEN}),
    ("DELETE", "/ops/session", None),
    ("POST", "/ops/dead-letters/payment/redrive", {"all": True}),
    ("POST", "/ops/dead-letters/payment/purge", {"wouldFail": True}),
]
GUARDED: list[tuple[str, str, Any]] = [*(("GET", path, None) for path in READS), *CHANGES[2:]]
NOT_THE_OPERATOR: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer not-the-operators-token"},
    {"Authorization": f"Basic {OPS_TOKEN}"},
    {"Authorization": "Bearer"},
    {"Cookie": f"ops={OPS_TOKEN}"},
    {"Cookie": "ops=; ops=9; ops=.; ops=99999999999999999999.00; other=1"},
    {"Cookie": f"ops=1{'0' * 13}.{'0' * 64}"},
]
OTHER_SITES = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
]
OWN_SITE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"},  # a proxy has rewritten Host
    {"Origin": "http://Shop.example", "Host": "shop.example"},
    {},
]


def sign_in(client: Client) -> Answer:
    return client.ask("POST", "/ops/session", {"token": OPS_TOKEN})


def cookie(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize(("method", "path", "body"), GUARDED)
def test_without_the_token_it_is_401_and_nothing_changes(
    client: Client, shop: Shop, method: str, path: str, body: Any
) -> None:
    shop.dlqs["payment"].send("message")
    for headers in NOT_THE_OPERATOR:
        answer = client.ask(method, path, body, headers)
        assert (answer.status, answer.headers["Www-Authenticate"]) == (401, "Bearer")
    assert shop.queues["payment"].depth().waiting == 0


def test_a_session_is_of_one_browser_ends_after_its_time_and_cannot_be_extended() -> None:
    clock = ManualClock()
    with serving(Shop(clock)) as server, serving(Shop(clock, ops_token=OPS_TOKEN.upper())) as other:
        client = Client(server)
        answer = sign_in(client)
        value, *attributes = answer.headers["Set-Cookie"].split("; ")
        assert attributes == ["HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"]
        assert OPS_TOKEN not in value
        headers = {"Cookie": f"theme=dark; {value}"}
        assert client.get("/ops/state", headers).status == 200
        assert Client(other).get("/ops/state", headers).status == 401
        clock.advance(SESSION_SECONDS)
        assert client.get("/ops/state", headers).status == 401
        ends, _, signature = value.removeprefix("ops=").partition(".")
        assert client.get("/ops/state", {"Cookie": f"ops={int(ends) + 60_000}.{signature}"}).status == 401
        cleared = "ops=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"
        assert client.ask("DELETE", "/ops/session").headers["Set-Cookie"] == cleared


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
        assert [client.get("/ops/state", each).status for each in (AS_OPERATOR, cookie(signed_in))] == [200, 200]
        clock.advance(FAILURES_SECONDS)
        assert client.ask("POST", "/ops/session", WRONG).status == 401


@pytest.mark.parametrize("token", ["\u20ac\u20ac", "\xe4", "\ud800", "\xff\u0100"])
def test_a_header_of_any_text_is_a_wrong_token_and_no_error(token: str) -> None:
    for headers in ({"authorization": (f"Bearer {token}",)}, {"cookie": (f"ops=9.{token}",)}):
        with pytest.raises(HttpError) as refused:
            Sessions(OPS_TOKEN, ManualClock()).check(Head("GET", "/ops", headers))
        assert refused.value.status == 401


def test_without_a_token_configured_there_is_no_operator() -> None:
    with serving(Shop(ops_token=None)) as server:
        for method, path, body in [*GUARDED, *CHANGES[:2]]:
            answer = Client(server).ask(method, path, body, {"Authorization": "Bearer None"})
            assert (answer.status, answer.headers["Www-Authenticate"]) == (401, "Bearer")
            assert "OPS_TOKEN" in answer.error


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_a_page_of_another_site_sends_is_refused(
    client: Client, shop: Shop, method: str, path: str, body: Any
) -> None:
    shop.dlqs["payment"].send("message")
    for headers in OTHER_SITES:
        answer = client.ask(method, path, body, {**AS_OPERATOR, **cookie(sign_in(client)), **headers})
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    assert shop.queues["payment"].depth().waiting == 0
    for headers in OWN_SITE:
        assert client.ask(method, path, body, {**AS_OPERATOR, **headers}).status in (200, 204)


def test_a_form_cannot_sign_in_or_change_anything(client: Client) -> None:
    for path in [path for method, path, _ in CHANGES if method == "POST"]:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = {**AS_OPERATOR, "Content-Type": content_type}
            assert client.ask("POST", path, b'{"all": true}', headers).status == 415
        assert path == "/ops/session" or client.get(path, AS_OPERATOR).status == 405


def test_get_changes_nothing(client: Client, shop: Shop) -> None:
    client.post()
    shop.dlqs["payment"].send("message")

    def stored() -> object:
        return dict(shop.tables.orders), [queue.depth() for queue in (*shop.queues.values(), *shop.dlqs.values())]

    before = stored()
    for path in READS:
        for method in ("GET", "HEAD", "OPTIONS"):
            client.ask(method, path, None, AS_OPERATOR)
    assert stored() == before


def test_secrets_are_compared_in_constant_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    genuine = hmac.compare_digest

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return genuine(first, second)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    headers = cookie(sign_in(client))
    client.get("/ops/state", headers)
    signature = headers["Cookie"].rpartition(".")[2].encode()
    assert compared == [(OPS_TOKEN.encode(), OPS_TOKEN.encode()), (signature, signature)]


def test_no_secret_is_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        headers = cookie(sign_in(client))
        client.get("/ops", headers)
        client.get("/ops/state", AS_OPERATOR)
        client.ask("POST", "/ops/session", WRONG)
        eventually(lambda: len(caplog.records) >= 4)  # a line of the access log follows its answer
    for secret in (OPS_TOKEN, headers["Cookie"].rpartition(".")[2], WRONG["token"]):
        assert secret not in caplog.text
