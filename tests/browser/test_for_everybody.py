"""With the keyboard alone, on a phone, in the dark, with a screen reader, without motion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import FOCUSED, Operator, Recording, Storefront, check_for_everybody, tab_to
from tests.live import EXPIRED, VISA

MAX_RESTING_PLACES = 16
"""In the queues (a few beside each other) and at the services. A dot that travels has hundreds of places."""


def new_customer(storefront: Storefront, operator: Operator) -> None:
    storefront.open()


def replay_of_a_declined_order(storefront: Storefront, operator: Operator) -> None:
    storefront.open(storefront.finished_order(EXPIRED))
    storefront.expect_connection("finished")
    storefront.add(storefront.stocked(1), units=3)
    storefront.page.locator("#order-replay").click()
    expect(storefront.page.locator("#replay-controls")).to_be_visible()


def operator_with_a_dead_letter(storefront: Storefront, operator: Operator) -> None:
    storefront.finished_order()
    operator.send_dead("notification", "this is not JSON")
    operator.sign_in()
    operator.inspect("Notification")
    expect(operator.letters).to_have_count(1)
    operator.page.get_by_text("Message body").click()


def sign_in_page(storefront: Storefront, operator: Operator) -> None:
    operator.page.goto("/ops")
    expect(operator.page.locator("#token")).to_be_visible()


SCENES = (new_customer, replay_of_a_declined_order, operator_with_a_dead_letter, sign_in_page)


@pytest.mark.parametrize("show", SCENES)
def test_axe_finds_nothing_serious_and_the_page_fits_a_phone(
    storefront: Storefront, operator: Operator, page: Page, show: Callable[[Storefront, Operator], None]
) -> None:
    show(storefront, operator)
    check_for_everybody(page)


def test_an_order_can_be_placed_and_tracked_with_the_keyboard_alone(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(8)
    storefront.open()
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the shop"
    page.keyboard.press("Enter")
    tab_to(page, f"Add to cart: {lamp.product_name}")
    page.keyboard.press("Enter")
    tab_to(page, f"Quantity of {lamp.product_name}")
    page.keyboard.press("ArrowUp")
    while not page.evaluate("() => document.activeElement.id === 'payment'"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#payment")).to_have_value(VISA)
    tab_to(page, "Place order")
    page.keyboard.press("Enter")
    order_id = storefront.placed_id()
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator("#order-items")).to_contain_text(lamp.product_name)
    tab_to(page, f"Track {order_id}")
    page.keyboard.press("Enter")
    expect(page.locator("#tracker-title")).to_be_focused()


def test_a_user_who_prefers_no_motion_gets_none(storefront: Storefront, page: Page, recording: Recording) -> None:
    """Dots appear where they are going."""
    page.emulate_media(reduced_motion="reduce")
    storefront.stocked(9)
    storefront.open()
    storefront.simulate(VISA)
    recording.wait_until_lit("service:notification")
    assert 0 < len({(dot["x"], dot["y"]) for dot in recording.dots()}) <= MAX_RESTING_PLACES
