"""The operator's page: who gets in, what it shows, what can be done there."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.console import Console
from tests.browser.operator import TOKEN, Operator
from tests.browser.storefront import Storefront
from tests.live import EXPIRED, eventually

SIGNED_OUT = "401 (Unauthorized)"
WRONG = "not the token of the operator"
REDRIVE = "/ops/dead-letters/payment/redrive"
SUBMIT = """url => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: url, enctype: "text/plain" });
  document.body.append(form);
  form.submit();
}"""


@pytest.fixture(autouse=True)
def expect_to_be_asked_who_we_are(console: Console) -> None:
    console.expect(SIGNED_OUT)


def test_without_the_token_there_is_a_sign_in_page_and_nothing_else(page: Page) -> None:
    answer = page.goto("/ops")
    assert answer is not None
    assert answer.status == 401
    assert answer.header_value("WWW-Authenticate") == "Bearer"
    expect(page.locator("#token")).to_be_visible()
    for path in ("/ops/state", "/ops/dead-letters/payment"):
        assert page.request.get(path).status == 401


def test_the_link_that_is_printed_signs_in_and_leaves_no_token_in_any_address(operator: Operator, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.headers.get('referer')}"))
    operator.sign_in()
    expect(page).to_have_url(f"{operator.live.url}/ops")
    assert not [text for text in asked if TOKEN in text.replace(f"/ops#{TOKEN}", "/ops", 1)]
    assert page.evaluate("() => document.cookie") == ""
    page.goto(f"/ops#{TOKEN}")
    expect(page).to_have_url(f"{operator.live.url}/ops")
    page.reload()
    operator.expect_live()


def test_a_wrong_token_is_refused_and_the_right_one_can_be_typed(operator: Operator, page: Page) -> None:
    page.goto("/ops")
    page.locator("#token").fill(WRONG)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in-problem")).to_have_text("this is not the operator's token")
    assert page.request.get("/ops/state").status == 401
    page.locator("#token").fill(TOKEN)
    page.locator("#sign-in").click()
    operator.expect_live()


def test_whoever_signs_out_is_out(operator: Operator, page: Page) -> None:
    operator.sign_in()
    page.locator("#sign-out").click()
    expect(page.locator("#token")).to_be_visible()
    assert page.request.get("/ops/state").status == 401


def test_another_site_cannot_act_with_the_operators_session(
    operator: Operator, context: BrowserContext, page: Page
) -> None:
    operator.sign_in()
    context.route("http://elsewhere.test/**", lambda route: route.fulfill(content_type="text/html", body="<p>hello"))
    other = context.new_page()
    other.goto("http://elsewhere.test/")
    with other.expect_response(f"**{REDRIVE}") as asked:
        other.evaluate(SUBMIT, operator.live.url + REDRIVE)
    assert asked.value.status in (403, 415), "no form can send JSON; what can, tells its origin"
    assert page.request.get("/ops/state").status == 200


def test_figures_queues_and_charts_follow_what_happens(operator: Operator, storefront: Storefront, page: Page) -> None:
    operator.sign_in()
    before = int(operator.figure("accepted").inner_text())
    product = storefront.stocked(9).product_id
    order_ids = operator.live.place_at_once([{product: 1}] * 3)
    operator.live.closed(order_ids)
    expect(operator.figure("accepted")).to_have_text(str(before + 3))
    expect(operator.figure("finished")).to_have_text(str(before + 3))
    for name in ("p50", "p95", "p99"):
        expect(operator.figure(name)).to_contain_text("s")
    for service in ("inventory", "payment", "notification", "audit"):
        expect(operator.queue(service, "waiting")).to_have_text("0")
    expect(page.locator("#throughput-chart rect.accepted")).to_have_count(10)
    expect(page.locator("#latency-chart circle.p95")).not_to_have_count(0)
    page.get_by_text("The same as a table").click()
    expect(page.locator("#minute-rows tr")).to_have_count(10)


@pytest.mark.usefixtures("all_running")
def test_what_waits_for_a_service_that_is_down_is_seen(operator: Operator, storefront: Storefront, page: Page) -> None:
    operator.sign_in()
    storefront.stop("payment")
    order_id = operator.live.place({storefront.stocked(9).product_id: 1})
    expect(operator.queue("payment", "waiting")).to_have_text("1")
    expect(operator.queue("payment", "oldest")).to_contain_text("s")
    operator.live.services.start("payment")
    operator.live.closed([order_id])
    expect(operator.queue("payment", "waiting")).to_have_text("0")


@pytest.mark.usefixtures("all_running")
def test_a_dead_letter_that_can_succeed_is_redriven_from_the_page_and_its_order_finishes(
    operator: Operator, storefront: Storefront, page: Page
) -> None:
    storefront.stop("payment")
    order_id = operator.live.place({storefront.stocked(9).product_id: 1})
    eventually(lambda: operator.live.trail(order_id), lambda trail: len(trail) == 2)
    operator.bury("payment")
    operator.live.send("payment", "this is not JSON")
    operator.live.services.start("payment")
    operator.sign_in()
    expect(operator.queue("payment", "dead-letters")).to_contain_text("2")
    operator.look_at("Payment")
    expect(operator.letters).to_have_count(2)
    good = page.locator("#letters [data-redrivable=true]")
    expect(good).to_contain_text("inventory.reserved")
    expect(page.locator("#letters [data-redrivable=false]")).to_have_attribute("data-kind", "breach")
    good.get_by_role("button", name="Redrive").click()
    page.locator("#confirm-no").click()
    expect(operator.letters).to_have_count(2)
    good.get_by_role("button", name="Redrive").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#dead-status")).to_contain_text("1 message sent again, 1 left.")
    expect(operator.letters).to_have_count(1)
    operator.live.closed([order_id])
    expect(operator.queue("payment", "dead-letters")).to_contain_text("1")


@pytest.mark.usefixtures("all_running")
def test_what_would_succeed_is_redriven_and_what_would_fail_again_purged_each_said_first(
    operator: Operator, storefront: Storefront, page: Page
) -> None:
    storefront.stop("payment")
    order_id = operator.live.place({storefront.stocked(9).product_id: 1})
    eventually(lambda: operator.live.trail(order_id), lambda trail: len(trail) == 2)
    operator.bury("payment")
    for number in range(120):
        operator.send_dead("payment", f"poison {number}")
    operator.live.services.start("payment")
    operator.sign_in()
    operator.look_at("Payment")
    expect(page.locator("#dead-status")).to_contain_text("1 would succeed, 120 would fail again. 100 are shown.")
    expect(page.locator("#dead-reasons [data-kind=breach]")).to_have_text("120breaks its contract: not JSON")
    expect(operator.letters.first).to_have_attribute("data-redrivable", "true")
    page.get_by_role("button", name="Purge what would fail again").click()
    expect(page.locator("#confirm-text")).to_contain_text(
        "Delete 120 dead letters of Payment for good? 120 break their contract. 1 other would succeed, and stay."
    )
    page.locator("#confirm-no").click()
    page.get_by_role("button", name="Redrive what would succeed").click()
    expect(page.locator("#confirm-text")).to_contain_text("Send 1 message to Payment again? 120 others would fail")
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.locator("#dead-status")).to_contain_text("1 message sent again, 120 left.")
    operator.live.closed([order_id])
    expect(page.get_by_role("button", name="Redrive what would succeed")).to_be_disabled()
    page.get_by_role("button", name="Purge what would fail again").click()
    page.get_by_role("button", name="Purge", exact=True).click()
    expect(page.locator("#dead-status")).to_contain_text("120 messages deleted, 0 left.")
    expect(operator.letters).to_have_count(0)


def test_an_orders_trail_is_shown_by_its_id(operator: Operator, storefront: Storefront, page: Page) -> None:
    order_id = operator.live.place({storefront.stocked(9).product_id: 1}, EXPIRED)
    operator.live.closed([order_id])
    operator.sign_in()
    page.locator("#order-id").fill(order_id.lower())
    page.get_by_role("button", name="Show its trail").click()
    expect(page.locator("#order-status")).to_contain_text("PAYMENT_FAILED; Card expired")
    expect(page.locator("#order-trail [data-event]")).to_have_count(4)
    page.get_by_text("Track it, or replay it in the flow").click()
    storefront.expect_finished(order_id, "PAYMENT_FAILED")


def test_orders_open_for_over_a_minute_are_listed_with_their_trail(
    operator: Operator, storefront: Storefront, page: Page
) -> None:
    """Nobody waits a minute here: the answer of the state is made to name a real order as one of them."""
    order_id = operator.live.place({storefront.stocked(9).product_id: 1})
    operator.live.closed([order_id])

    def with_an_old_order(route: Route) -> None:
        state = route.fetch().json()
        old = {"orderId": order_id, "status": "INVENTORY_RESERVED", "ageSeconds": 75}
        route.fulfill(json=state | {"openOrders": {"total": 1, "oldest": [old]}})

    page.route("**/ops/state", with_an_old_order)
    operator.sign_in()
    expect(operator.figure("open")).to_have_text("1")
    expect(page.locator(f"#open-rows [data-order={order_id}]")).to_contain_text("1 min 15 s")
    page.get_by_role("button", name=f"Trail of {order_id}").click()
    expect(page.locator("#order-trail [data-event]")).to_have_count(3)
