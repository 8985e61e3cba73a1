"""The operator's page: who gets in, what it shows, and what the operator can do there."""

from __future__ import annotations

import signal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import TOKEN, Operator, Storefront
from tests.waiting import eventually

WRONG = "not the token of the operator"


def test_only_the_right_token_opens_the_page_and_signing_out_closes_it(operator: Operator, page: Page) -> None:
    answer = page.goto("/ops")
    assert answer is not None
    assert (answer.status, answer.header_value("WWW-Authenticate")) == (401, "Bearer")
    page.locator("#token").fill(WRONG)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in-problem")).not_to_be_empty()
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


@pytest.mark.usefixtures("all_running")
def test_dead_letters_are_redriven_and_purged_after_the_page_said_what_that_would_do(
    operator: Operator, storefront: Storefront, page: Page
) -> None:
    # Given: of the dead letters of Payment, two orders' would succeed
    order_ids = orders_with_dead_letters(operator, storefront)
    for number in range(120):
        operator.send_dead("payment", f"poison {number}")
    operator.live.services.start("payment")
    status, question = page.locator("#dead-status"), page.locator("#confirm-text")
    yes, no = page.locator("#confirm-yes"), page.locator("#confirm-no")
    # When the operator inspects the queue
    operator.sign_in()
    operator.inspect("Payment")
    # Then the page says what would happen, those that would succeed first
    expect(status).to_contain_text("2 would succeed, 120 would fail again. 100 are shown.")
    expect(page.locator("#dead-reasons [data-kind=breach]")).to_contain_text("120")
    good, broken = operator.letters.first, operator.letters.last
    expect(good).to_contain_text("inventory.reserved")
    expect(broken.locator(".reason")).to_contain_text("not JSON")
    expect(broken.get_by_role("button", name="Redrive")).to_be_disabled()
    # One letter
    good.get_by_role("button", name="Redrive").click()
    no.click()
    good.get_by_role("button", name="Redrive").click()
    yes.click()
    expect(status).to_contain_text("1 message sent again, 121 left.")
    # The whole queue
    page.locator("#dead-purge").click()
    expect(question).to_contain_text("Delete 120 dead letters of Payment for good? 120 break their contract. 1 other")
    no.click()
    page.locator("#dead-redrive").click()
    expect(question).to_contain_text("Send 1 message to Payment again? 120 others would fail")
    yes.click()
    expect(status).to_contain_text("1 message sent again, 120 left.")
    operator.live.closed(order_ids)
    expect(page.locator("#dead-redrive")).to_be_disabled()
    page.locator("#dead-purge").click()
    yes.click()
    expect(status).to_contain_text("120 messages deleted, 0 left.")
    expect(operator.letters).to_have_count(0)
    expect(page.locator("#queue-rows [data-service=payment]").get_by_test_id("dead-letters")).to_have_text("0")


def orders_with_dead_letters(operator: Operator, storefront: Storefront) -> list[str]:
    """Two orders whose `inventory.reserved` is a dead letter of the payment service, which does not run."""
    live = operator.live
    live.services.kill("payment", signal.SIGTERM)
    order_ids = [live.place({storefront.stocked(9).product_id: 1}) for _ in range(2)]
    letters, queue = live.aws.dead_letters("payment"), live.config.resources.queue_urls["payment"]

    def dead_after_a_receive() -> int:
        live.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0)
        return letters.depth()

    eventually(dead_after_a_receive, lambda depth: depth == len(order_ids))
    return order_ids
