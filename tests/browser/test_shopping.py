"""What a customer can do, and what comes of it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.console import Console
from tests.browser.storefront import Storefront
from tests.live import EXPIRED, VISA

HAPPY = ["order.created", "inventory.reserved", "payment.processed"]
DECLINED = ["order.created", "inventory.reserved", "payment.failed", "inventory.released"]
OUTCOMES = {
    "Declined: insufficient funds": "Insufficient funds",
    "Declined: card expired": "Card expired",
    "Declined by the issuing bank": "Transaction declined by issuing bank",
    "Declined: suspected fraud": "Suspected fraud — transaction blocked",
}


def test_a_customer_buys_and_sees_each_step_of_it(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(6)
    storefront.open()
    order_id = storefront.order(lamp, units=2)
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY
    assert all(re.fullmatch(r"\+\d+(\.\d+)? m?s", text) for text in page.locator("#trail .since").all_inner_texts()[1:])
    storefront.expect_path(
        PENDING="reached",
        INVENTORY_RESERVED="reached",
        PAYMENT_PROCESSED="reached",
        COMPLETED="reached",
        INVENTORY_FAILED="skipped",
        PAYMENT_FAILED="skipped",
    )
    expect(page.locator("#order-charged")).to_have_text("$39.98")
    expect(storefront.stock(lamp)).to_have_text("Low stock: 4 left")
    expect(page.locator(f"#recent-orders [data-order={order_id}] .status")).to_have_text("COMPLETED")


def test_the_message_that_the_customer_got_is_shown(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(6)
    storefront.open()
    order_id = storefront.order(lamp, units=3)
    storefront.expect_finished(order_id, "COMPLETED")
    order = storefront.live.read([order_id])[0]
    message = page.locator("#mail-text")
    expect(page.locator("#mail-subject")).to_contain_text(order_id)
    for part in (str(order.transaction_id), lamp.product_name, "59.97", "3-5 business days"):
        expect(message).to_contain_text(part)
    expect(page.locator("#order-transaction")).to_have_text(str(order.transaction_id))


def test_more_than_there_is_can_be_ordered_and_ends_out_of_stock(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(2)
    storefront.open()
    storefront.add(lamp, units=3)
    expect(page.get_by_test_id("beyond-stock")).to_contain_text("beyond stock (2 left)")
    order_id = storefront.place()
    storefront.expect_finished(order_id, "INVENTORY_FAILED")
    assert storefront.trail() == ["order.created", "inventory.failed"]
    storefront.expect_path(INVENTORY_FAILED="failed", INVENTORY_RESERVED="skipped", PAYMENT_FAILED="skipped")
    expect(page.locator("#order-reason")).to_contain_text(lamp.product_name)
    expect(page.locator("#order-charged")).to_have_text("nothing")
    expect(page.locator("#mail-text")).to_contain_text("no payment", ignore_case=True)
    expect(storefront.stock(lamp)).to_have_text("Low stock: 2 left")


def test_a_product_that_is_out_of_stock_says_so_and_can_be_ordered_anyway(storefront: Storefront, page: Page) -> None:
    storefront.open()
    keyboard = page.locator("#products [data-product=PROD-002]")
    expect(keyboard).to_have_attribute("data-level", "out")
    expect(keyboard.get_by_test_id("stock")).to_have_text("Out of stock")
    page.get_by_role("button", name="Add anyway: Mechanical Keyboard").click()
    storefront.expect_finished(storefront.place(), "INVENTORY_FAILED")


@pytest.mark.usefixtures("all_running")
def test_the_stock_of_a_declined_order_is_seen_to_come_back(storefront: Storefront, page: Page) -> None:
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
    expect(page.locator("#path [data-status=PAYMENT_FAILED] .note")).to_have_text("stock returned")
    expect(page.locator("#mail-text")).to_contain_text("Card expired")


@pytest.mark.parametrize("choice", OUTCOMES)
def test_each_way_to_be_declined_can_be_chosen(storefront: Storefront, page: Page, choice: str) -> None:
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.add(lamp)
    page.locator("#payment").select_option(label=choice)
    page.locator("#place").click()
    storefront.expect_finished(storefront.placed_id(), "PAYMENT_FAILED")
    expect(page.locator("#order-reason")).to_have_text(OUTCOMES[choice])


def test_cart_and_recent_orders_outlive_a_reload(storefront: Storefront, page: Page) -> None:
    lamp, chair = storefront.stocked(6), storefront.stocked(6)
    storefront.open()
    order_id = storefront.order(lamp)
    storefront.expect_finished(order_id, "COMPLETED")
    storefront.add(chair, units=2)
    storefront.open()
    quantity = page.get_by_role("spinbutton", name=f"Quantity of {chair.product_name}")
    expect(quantity).to_have_value("2")
    page.get_by_role("button", name=f"One less of {chair.product_name}").click()
    expect(quantity).to_have_value("1")
    expect(page.locator("#total")).to_have_text("Total $19.99")
    page.get_by_role("button", name=f"Remove {chair.product_name}").click()
    expect(page.locator("#place")).to_be_disabled()
    page.locator(f"#recent-orders [data-order={order_id}]").click()
    storefront.expect_finished(order_id, "COMPLETED")


def test_what_the_api_refuses_is_shown_in_its_own_words_and_the_cart_is_kept(
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
    expect(page.locator(f"#cart [data-product={lamp.product_id}]")).to_be_visible()
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
    expect(page.locator("#problem")).to_contain_text("The cart is kept")
    page.locator("#place").click()
    assert [storefront.placed_id()] == placed
    storefront.expect_finished(placed[0], "COMPLETED")
    assert storefront.live.stock(lamp.product_id) == 5


def test_an_order_that_does_not_exist_is_said_not_to(storefront: Storefront, page: Page, console: Console) -> None:
    console.expect("404 (Not Found)")
    storefront.open("ORD-ZZZZZZZZ")
    storefront.expect_connection("unknown")
    expect(page.locator("#tracker-problem")).to_contain_text("ORD-ZZZZZZZZ")
    expect(page.locator("#order-card")).to_be_hidden()
