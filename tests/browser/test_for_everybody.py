"""With the keyboard alone, on a phone's width, in the dark, with a screen reader."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.console import Console
from tests.browser.looking import FOCUSED, MAX_TABS, findings, sideways, tab_to
from tests.browser.operator import Operator
from tests.browser.recording import Recording
from tests.browser.storefront import Storefront
from tests.live import EXPIRED

OUTLINED = """() => {
  const focused = document.activeElement;
  return [focused.tagName, getComputedStyle(focused).outlineStyle, focused.outerHTML];
}"""
PHONE = ViewportSize(width=360, height=740)
STANDING_PLACES = 16
"""In the queues (a few beside each other) and at the services; a travelling dot is at hundreds."""


@pytest.fixture
def with_letter(operator: Operator, console: Console) -> Operator:
    """The operator's page with all that it can show: orders, a dead letter and its text, an order's trail."""
    console.expect("401 (Unauthorized)")
    operator.live.send("notification", "this is not JSON")
    operator.sign_in()
    operator.look_at("Notification")
    expect(operator.letters).to_have_count(1)
    operator.page.get_by_text("Its body").click()
    operator.page.get_by_text("The same as a table").click()
    return operator


def declined(storefront: Storefront) -> str:
    order_id = storefront.order(storefront.stocked(6), units=2, payment=EXPIRED)
    storefront.expect_finished(order_id, "PAYMENT_FAILED")
    return order_id


def test_an_order_can_be_placed_and_followed_with_the_keyboard_alone(storefront: Storefront, page: Page) -> None:
    lamp = storefront.stocked(8)
    storefront.open()
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the shop"
    page.keyboard.press("Enter")
    tab_to(page, f"Add to cart: {lamp.product_name}")
    page.keyboard.press("Enter")
    tab_to(page, f"Quantity of {lamp.product_name}")
    page.keyboard.press("ArrowUp")
    tab_to(page, f"One more of {lamp.product_name}")
    page.keyboard.press("Space")
    while not page.evaluate("() => document.activeElement.id === 'payment'"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#payment")).to_have_value("pm_card_visa")
    tab_to(page, "Place order")
    page.keyboard.press("Enter")
    order_id = storefront.placed_id()
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator("#order-items")).to_contain_text(lamp.product_name)
    tab_to(page, f"Track {order_id}")
    page.keyboard.press("Enter")
    expect(page.locator("#tracker-title")).to_be_focused()


def test_whatever_has_the_keyboards_focus_shows_it(storefront: Storefront, page: Page) -> None:
    storefront.open()
    seen = set()
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        tag, outline, name = page.evaluate(OUTLINED)
        if tag == "BODY":
            break
        assert outline != "none", name
        seen.add(tag)
    assert {"A", "BUTTON", "INPUT", "SELECT"} <= seen


def test_the_storefront_fits_a_phone(storefront: Storefront, page: Page) -> None:
    page.set_viewport_size(PHONE)
    storefront.open()
    declined(storefront)
    expect(page.locator("#flow-svg")).to_have_attribute("data-compact", "")
    assert sideways(page) == []
    page.locator("#order-replay").click()
    expect(page.locator("#replay-controls")).to_be_visible()
    assert sideways(page) == []


def test_the_operators_page_fits_a_phone(with_letter: Operator, page: Page) -> None:
    page.set_viewport_size(PHONE)
    assert sideways(page) == []
    with_letter.page.locator("#sign-out").click()
    expect(page.locator("#token")).to_be_visible()
    assert sideways(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_storefront(storefront: Storefront, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    storefront.open()
    assert findings(page) == []
    order_id = declined(storefront)
    storefront.add(storefront.stocked(1), units=3)
    page.locator("#replay-id").fill(order_id)
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.locator("#replay-controls")).to_be_visible()
    assert findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_operators_pages(
    with_letter: Operator, storefront: Storefront, page: Page, scheme: str
) -> None:
    order_id = with_letter.live.place({storefront.stocked(6).product_id: 1})
    with_letter.live.closed([order_id])
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.locator("#order-id").fill(order_id)
    page.get_by_role("button", name="Show its trail").click()
    expect(page.locator("#order-trail [data-event]")).to_have_count(3)
    assert findings(page) == []
    page.locator("#sign-out").click()
    expect(page.locator("#token")).to_be_visible()
    assert findings(page) == []


def test_who_wants_no_motion_gets_none(storefront: Storefront, page: Page, recording: Recording) -> None:
    """Dots then appear where they are going, instead of travelling there."""
    page.emulate_media(reduced_motion="reduce")
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate("pm_card_visa")
    recording.wait_until_lit(["node:notification"])
    expect(page.locator(f"#flow-log [data-order={order_id}]")).to_have_count(3)
    places = {(dot["x"], dot["y"]) for dot in recording.dots()}
    assert 0 < len(places) <= STANDING_PLACES


def test_axe_would_find_what_is_wrong(page: Page, storefront: Storefront) -> None:
    """The check itself, checked: a picture without a text and a control without a name."""
    storefront.open()
    page.evaluate("() => { document.body.append(document.createElement('img'), document.createElement('input')); }")
    assert {finding.partition(":")[0] for finding in findings(page)} == {"image-alt", "label"}
