"""Reloads, cut connections and services that are down: the tracker gets there."""

from __future__ import annotations

import signal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console import Console
from tests.browser.storefront import Storefront
from tests.browser.test_shopping import HAPPY
from tests.faults.lanes import answers
from tests.live import eventually

LOST = ("net::ERR_", "502", "503")
"""What Chromium says of a server that is gone, and of one that is about to be."""


@pytest.mark.usefixtures("all_running")
def test_a_reload_in_the_middle_of_an_order_loses_nothing(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.order(lamp)
    storefront.expect_status(order_id, "INVENTORY_RESERVED")
    page.reload()
    storefront.expect_status(order_id, "INVENTORY_RESERVED")
    storefront.expect_path(INVENTORY_RESERVED="reached", PAYMENT_PROCESSED="ahead", PAYMENT_FAILED="ahead")
    storefront.live.services.start("payment")
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY


@pytest.mark.usefixtures("all_running")
def test_the_tracker_reconnects_after_the_order_service_was_killed(
    storefront: Storefront, page: Page, console: Console
) -> None:
    for part in LOST:
        console.expect(part)
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.order(lamp)
    storefront.expect_status(order_id, "INVENTORY_RESERVED")
    storefront.expect_connection("live")
    storefront.live.services.kill("order", signal.SIGKILL)
    expect(page.locator("#tracker-connection")).not_to_have_attribute("data-state", "live")
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "reconnecting")
    storefront.live.services.start("order")
    eventually(lambda: answers(storefront.live.url), bool)
    storefront.expect_connection("live")
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "live")
    storefront.live.services.start("payment")
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY
    expect(page.locator("#tracker-problem")).to_be_empty()


@pytest.mark.usefixtures("all_running")
def test_without_a_stream_the_tracker_asks_again_and_again(
    storefront: Storefront, page: Page, console: Console
) -> None:
    console.expect("net::ERR_FAILED")
    page.route("**/orders/*/stream", lambda route: route.abort())
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.order(lamp)
    storefront.expect_connection("polling")
    storefront.expect_status(order_id, "INVENTORY_RESERVED")
    storefront.live.services.start("payment")
    storefront.expect_finished(order_id, "COMPLETED")
    assert storefront.trail() == HAPPY


@pytest.mark.usefixtures("all_running")
def test_while_the_order_service_is_down_the_page_says_so_and_recovers(
    storefront: Storefront, page: Page, console: Console
) -> None:
    for part in LOST:
        console.expect(part)
    storefront.stocked(6)
    storefront.open()
    storefront.live.services.kill("order", signal.SIGKILL)
    expect(page.locator("#shop-problem")).to_contain_text("the server cannot be reached")
    storefront.live.services.start("order")
    expect(page.locator("#shop-problem")).to_be_empty()
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "live")


@pytest.mark.usefixtures("all_running")
def test_a_service_that_is_down_loses_nothing_its_messages_wait_in_its_queue(
    storefront: Storefront, page: Page
) -> None:
    lamp = storefront.stocked(6)
    storefront.open()
    storefront.stop("notification")
    order_id = storefront.order(lamp)
    storefront.expect_status(order_id, "PAYMENT_PROCESSED")
    expect(page.locator('[data-part="queue:notification"]')).to_have_attribute("data-depth", "1")
    expect(page.locator("#who [data-service=notification] .depth")).to_contain_text("1 waiting")
    expect(page.locator("#mail")).to_be_hidden()
    storefront.live.services.start("notification")
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator('[data-part="queue:notification"]')).to_have_attribute("data-depth", "0")
