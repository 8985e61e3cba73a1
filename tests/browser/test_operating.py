"""The operator's page: who gets in, what it shows, and what the operator can do there."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.pages import TOKEN, Operator, Storefront

WRONG = "not the token of the operator"
REDRIVE = "/ops/dead-letters/payment/redrive"
SUBMIT = """url => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: url, enctype: "text/plain" });
  document.body.append(form);
  form.submit();
}"""


def test_only_the_right_token_opens_the_page_and_signing_out_closes_it(operator: Operator, page: Page) -> None:
    answer = page.goto("/ops")
    assert answer is not None
    assert (answer.status, answer.header_value("WWW-Authenticate")) == (401, "Bearer")
    page.locator("#token").fill(WRONG)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in-problem")).not_to_be_empty()
    for path in ("/ops/state", "/ops/dead-letters/payment"):
        assert page.request.get(path).status == 401
    page.locator("#token").fill(TOKEN)
    page.locator("#sign-in").click()
    operator.expect_live()
    page.locator("#sign-out").click()
    expect(page.locator("#token")).to_be_visible()
    assert page.request.get("/ops/state").status == 401


def test_the_printed_link_signs_in_and_no_address_keeps_the_token(operator: Operator, page: Page) -> None:
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


def test_another_site_cannot_act_with_the_operators_session(
    operator: Operator, context: BrowserContext, page: Page
) -> None:
    operator.sign_in()
    context.route("http://elsewhere.test/**", lambda route: route.fulfill(content_type="text/html", body="<p>hello"))
    other = context.new_page()
    other.goto("http://elsewhere.test/")
    with other.expect_response(f"**{REDRIVE}") as asked:
        other.evaluate(SUBMIT, operator.live.url + REDRIVE)
    assert asked.value.status in (403, 415), "a form cannot send JSON, and other requests name their origin"
    assert page.request.get("/ops/state").status == 200


@pytest.mark.usefixtures("all_running")
def test_one_dead_letter_is_redriven_and_its_order_finishes(
    operator: Operator, storefront: Storefront, page: Page
) -> None:
    order_id = operator.order_with_dead_letter(storefront.stocked(9))
    operator.send_dead("payment", "this is not JSON")
    operator.live.services.start("payment")
    operator.sign_in()
    expect(operator.queue("payment", "dead-letters")).to_have_text("2")
    operator.inspect("Payment")
    expect(operator.letters).to_have_count(2)
    broken = page.locator("#letters [data-kind=breach]")
    expect(broken.locator(".reason")).to_contain_text("not JSON")
    expect(broken.get_by_role("button", name="Redrive")).to_be_disabled()
    good = page.locator("#letters [data-redrivable=true]")
    expect(good).to_contain_text("inventory.reserved")
    for choice, left in (("#confirm-no", 2), ("#confirm-yes", 1)):
        good.get_by_role("button", name="Redrive").click()
        page.locator(choice).click()
        expect(operator.letters).to_have_count(left)
    expect(page.locator("#dead-status")).to_contain_text("1 message sent again, 1 left.")
    operator.live.closed([order_id])
    expect(operator.queue("payment", "dead-letters")).to_have_text("1")


@pytest.mark.usefixtures("all_running")
def test_redrive_and_purge_of_a_whole_queue_say_first_what_they_would_do(
    operator: Operator, storefront: Storefront, page: Page
) -> None:
    order_id = operator.order_with_dead_letter(storefront.stocked(9))
    for number in range(120):
        operator.send_dead("payment", f"poison {number}")
    operator.live.services.start("payment")
    redrive = page.get_by_role("button", name="Redrive what would succeed")
    purge = page.get_by_role("button", name="Purge what would fail again")
    status, question = page.locator("#dead-status"), page.locator("#confirm-text")
    operator.sign_in()
    operator.inspect("Payment")
    expect(status).to_contain_text("1 would succeed, 120 would fail again. 100 are shown.")
    expect(page.locator("#dead-reasons [data-kind=breach]")).to_contain_text("120")
    expect(operator.letters.first).to_have_attribute("data-redrivable", "true")
    purge.click()
    expect(question).to_contain_text("Delete 120 dead letters of Payment for good? 120 break their contract. 1 other")
    page.locator("#confirm-no").click()
    redrive.click()
    expect(question).to_contain_text("Send 1 message to Payment again? 120 others would fail")
    page.locator("#confirm-yes").click()
    expect(status).to_contain_text("1 message sent again, 120 left.")
    operator.live.closed([order_id])
    expect(redrive).to_be_disabled()
    purge.click()
    page.locator("#confirm-yes").click()
    expect(status).to_contain_text("120 messages deleted, 0 left.")
    expect(operator.letters).to_have_count(0)
