"""Who the operator is, and which pages may send the operator's requests."""

from __future__ import annotations

import hmac
import logging
from pathlib import Path
from typing import Any

import pytest

from api.http_message import Head, HttpError
from api.ops.session import FAILURES_SECONDS, MAX_FAILURES, SESSION_SECONDS, Sessions
from tests.clocks import ManualClock
from tests.unit.api.contract import OPERATIONS
from tests.unit.api.shop import AS_OPERATOR, OPS_TOKEN, Answer, Client, Shop, serving
from tests.waiting import eventually

SESSION = "/ops/session"
BODIES: dict[str, Any] = {
    SESSION: {"token": OPS_TOKEN},
    "/ops/dead-letters/payment/redrive": {"all": True},
    "/ops/dead-letters/payment/purge": {"wouldFail": True},
}
WRONG = {"token": "not-the-operators-token"}
ALL = [(one.method, one.target) for one in OPERATIONS if one.path.startswith(("/ops", "/try"))]
GUARDED = [(method, path) for method, path in ALL if path != SESSION]
READS = [path for method, path in GUARDED if method == "GET"]
CHANGES = [(method, path) for method, path in ALL if method != "GET"]
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
    *({"Origin": origin} for origin in ("https://elsewhere.example", "null", "http://127.0.0.1:1")),
    *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "")),
]
OWN_SITE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"},  # a proxy has rewritten Host
    {"Origin": "http://Shop.example", "Host": "shop.example"},
    {},
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """With one dead letter, and a supervisor's socket at which nobody listens."""
    control = tmp_path / "control.sock"
    control.touch()
    shop = Shop(control=control)
    shop.dlqs["payment"].send("message")
    return shop


def request(client: Client, method: str, path: str, headers: dict[str, str]) -> Answer:
    return client.ask(method, path, BODIES.get(path), headers)


def sign_in(client: Client, body: Any = BODIES[SESSION]) -> Answer:
    return client.ask("POST", SESSION, body)


def cookie(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_the_token_it_is_401_and_nothing_changes(client: Client, shop: Shop, method: str, path: str) -> None:
    for headers in NOT_THE_OPERATOR:
        answer = request(client, method, path, headers)
        assert (answer.status, answer.headers["Www-Authenticate"]) == (401, "Bearer")
    assert shop.queues["payment"].depth().waiting == 0


def test_a_session_is_of_one_browser_ends_after_its_time_and_cannot_be_extended() -> None:
    clock = ManualClock()
    with serving(Shop(clock)) as server, serving(Shop(clock, ops_token=OPS_TOKEN.upper())) as other:
        client = Client(server)
        value, *attributes = sign_in(client).headers["Set-Cookie"].split("; ")
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
        assert client.ask("DELETE", SESSION).headers["Set-Cookie"] == cleared


def test_wrong_tokens_are_limited_and_the_right_one_always_works() -> None:
    clock = ManualClock()
    with serving(Shop(clock)) as server:
        client = Client(server)
        assert [sign_in(client, WRONG).status for _ in range(MAX_FAILURES)] == [401] * MAX_FAILURES
        refused = sign_in(client, WRONG)
        assert (refused.status, refused.headers["Retry-After"]) == (429, str(FAILURES_SECONDS))
        assert client.get("/ops", {"Authorization": "Bearer wrong"}).status == 429
        assert {client.get("/ops/state", each).status for each in (AS_OPERATOR, cookie(sign_in(client)))} == {200}
        clock.advance(FAILURES_SECONDS)
        assert sign_in(client, WRONG).status == 401


@pytest.mark.parametrize("token", ["\u20ac\u20ac", "\xe4", "\ud800", "\xff\u0100"])
def test_a_header_of_any_text_is_a_wrong_token_and_no_error(token: str) -> None:
    for headers in ({"authorization": (f"Bearer {token}",)}, {"cookie": (f"ops=9.{token}",)}):
        with pytest.raises(HttpError) as refused:
            Sessions(OPS_TOKEN, ManualClock()).check(Head("GET", "/ops", headers))
        assert refused.value.status == 401


def test_without_a_token_configured_there_is_no_operator() -> None:
    with serving(Shop(ops_token=None)) as server:
        for method, path in [one for one in ALL if one[1] != "/try"]:  # that page is off without a supervisor
            answer = request(Client(server), method, path, {"Authorization": "Bearer None"})
            assert (answer.status, answer.headers["Www-Authenticate"]) == (401, "Bearer")
            assert "OPS_TOKEN" in answer.error


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_what_a_page_of_another_site_sends_is_refused(client: Client, shop: Shop, method: str, path: str) -> None:
    for headers in OTHER_SITES:
        answer = request(client, method, path, {**AS_OPERATOR, **cookie(sign_in(client)), **headers})
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    assert shop.queues["payment"].depth().waiting == 0
    for headers in OWN_SITE:
        assert request(client, method, path, {**AS_OPERATOR, **headers}).status in (200, 204, 503)


def test_a_form_cannot_sign_in_or_change_anything(client: Client) -> None:
    for path in BODIES:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = {**AS_OPERATOR, "Content-Type": content_type}
            assert client.ask("POST", path, b'{"all": true}', headers).status == 415


def test_get_changes_nothing(client: Client, shop: Shop) -> None:
    client.post()

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
        sign_in(client, WRONG)
        eventually(lambda: len(caplog.records) >= 4)  # a line of the access log follows its answer
    for secret in (OPS_TOKEN, headers["Cookie"].rpartition(".")[2], WRONG["token"]):
        assert secret not in caplog.text
