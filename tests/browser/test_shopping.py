"""What a customer can do in the storefront, and what follows."""

from __future__ import annotations

import re
import signal

import pytest
from playwright.sync_api import Page, Route, expect

from tests.addresses import answers
from tests.browser.pages import DECLINED, HAPPY, Console, Storefront
from tests.live import EXPIRED, VISA
from tests.waiting import eventually

LOST = ("net::ERR_", "502", "503")
"""What Chromium says of a server that is down, or about to be."""


def test_a_customer_buys_and_sees_every_step_and_the_mail(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(6)
    storefront.open()
    page.get_by_label("Email").fill("zoe@customer.example")
    order_id = storefront.order(lamp, units=2)
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY
    assert all(re.fullmatch(r"\+\d+(\.\d+)? m?s", text) for text in page.locator("#trail .since").all_inner_texts()[1:])
    storefront.expect_path(PENDING="reached", INVENTORY_RESERVED="reached", PAYMENT_PROCESSED="reached")
    storefront.expect_path(COMPLETED="reached", INVENTORY_FAILED="skipped", PAYMENT_FAILED="skipped")
    transaction = str(storefront.live.read([order_id])[0].transaction_id)
    expect(page.locator("#order-charged")).to_have_text("$39.98")
    expect(page.locator("#order-transaction")).to_have_text(transaction)
    expect(page.locator("#mail-subject")).to_contain_text(order_id)
    for part in (transaction, lamp.product_name, "39.98", "3-5 business days"):
        expect(page.locator("#mail-text")).to_contain_text(part)
    [mail] = storefront.live.mails_to("zoe@customer.example")
    expect(page.locator("#mail-text")).to_have_text(mail["BodyText"])
    expect(storefront.stock(lamp)).to_have_text("Low stock: 4 left")
    expect(page.locator(f"#recent-orders [data-order={order_id}] .status")).to_have_text("COMPLETED")


def test_more_than_there_is_can_be_ordered_and_ends_out_of_stock(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(2)
    storefront.open()
    expect(storefront.stock(lamp)).to_have_text("Low stock: 2 left")
    storefront.add(lamp, units=3)
    expect(page.locator("#cart .beyond")).to_contain_text("Only 2 in stock")
    order_id = storefront.place()
    storefront.expect_finished(order_id, "INVENTORY_FAILED")
    assert storefront.trail() == ["order.created", "inventory.failed"]
    storefront.expect_path(INVENTORY_FAILED="failed", INVENTORY_RESERVED="skipped", PAYMENT_FAILED="skipped")
    expect(page.locator("#order-reason")).to_contain_text(lamp.product_name)
    expect(page.locator("#order-charged")).to_have_text("nothing")
    expect(page.locator("#mail-text")).to_contain_text("no payment", ignore_case=True)


@pytest.mark.usefixtures("all_running")
def test_the_stock_of_a_declined_order_comes_back(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(9)
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.order(lamp, units=4, payment=EXPIRED)
    expect(storefront.stock(lamp)).to_have_text("Low stock: 5 left")
    storefront.live.services.start("payment")
    storefront.expect_finished(order_id, "PAYMENT_FAILED")
    expect(storefront.stock(lamp)).to_have_text("9 in stock")
    assert storefront.trail() == DECLINED
    storefront.expect_path(INVENTORY_RESERVED="reached", PAYMENT_FAILED="failed", PAYMENT_PROCESSED="skipped")
    expect(page.locator("#path [data-status=PAYMENT_FAILED] .note")).to_have_text("stock released")
    expect(page.locator("#mail-text")).to_contain_text("Card expired")


def test_cart_tracker_and_recent_orders_survive_a_reload(storefront: Storefront, page: Page) -> None:
    lamp, chair = storefront.stocked(6), storefront.stocked(6)
    storefront.open()
    order_id = storefront.order(lamp)
    storefront.add(chair, units=2)
    page.reload()
    storefront.expect_finished(order_id, "COMPLETED")
    quantity = page.get_by_role("spinbutton", name=f"Quantity of {chair.product_name}")
    expect(quantity).to_have_value("2")
    quantity.press("ArrowDown")
    expect(page.locator("#total")).to_have_text("Total $19.99")
    page.get_by_role("button", name=f"Remove {chair.product_name}").click()
    expect(page.locator("#place")).to_be_disabled()
    storefront.open()
    page.locator(f"#recent-orders [data-order={order_id}]").click()
    storefront.expect_finished(order_id, "COMPLETED")


def test_a_refusal_is_shown_in_the_words_of_the_api_and_the_cart_is_kept(
    storefront: Storefront, page: Page, console: Console
) -> None:
    console.expect("400 (Bad Request)")
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.add(lamp)
    page.locator("#customer").fill("")
    with page.expect_response("**/orders") as answer:
        page.locator("#place").click()
    expect(page.locator("#problem")).to_have_text(answer.value.json()["error"])
    page.locator("#customer").fill("CUST-001")
    storefront.expect_finished(storefront.place(), "COMPLETED")
    expect(page.locator("#problem")).to_be_empty()


def test_an_order_whose_answer_was_lost_is_placed_once_however_often_it_is_tried(
    storefront: Storefront, page: Page, console: Console
) -> None:
    console.expect("net::ERR_FAILED")
    lamp = storefront.stocked(6)
    storefront.open()
    placed: list[str] = []

    def lose_the_answer(route: Route) -> None:
        placed.append(route.fetch().json()["orderId"])
        route.abort()

    page.route("**/orders", lose_the_answer, times=1)
    storefront.add(lamp)
    page.locator("#payment").select_option(VISA)
    page.locator("#place").click()
    expect(page.locator("#problem")).to_contain_text("Your cart is kept")
    page.reload()
    page.locator("#payment").select_option(VISA)
    page.locator("#place").click()
    assert [storefront.placed_id()] == placed
    storefront.expect_finished(placed[0], "COMPLETED")
    assert storefront.live.stock(lamp.product_id) == 5


@pytest.mark.usefixtures("all_running")
def test_the_page_says_that_the_order_service_is_down_and_reconnects(
    storefront: Storefront, page: Page, console: Console
) -> None:
    console.expect(*LOST)
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.order(lamp)
    storefront.expect_connection("live")
    storefront.live.services.kill("order", signal.SIGKILL)
    expect(page.locator("#tracker-connection")).not_to_have_attribute("data-state", "live")
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "reconnecting")
    expect(page.locator("#shop-problem")).to_contain_text("the server cannot be reached")
    storefront.live.services.start("order")
    eventually(lambda: answers(storefront.live.url), bool)
    storefront.expect_connection("live")
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "live")
    storefront.live.services.start("payment")
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY
    expect(page.locator("#tracker-problem")).to_be_empty()
    expect(page.locator("#shop-problem")).to_be_empty()


@pytest.mark.usefixtures("all_running")
def test_without_a_stream_as_on_lambda_the_tracker_polls(storefront: Storefront, page: Page, console: Console) -> None:
    console.expect("501")
    page.route("**/stream", lambda route: route.fulfill(status=501))
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.order(lamp)
    storefront.expect_connection("polling")
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "polling")
    storefront.expect_status(order_id, "INVENTORY_RESERVED")
    storefront.live.services.start("payment")
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY
