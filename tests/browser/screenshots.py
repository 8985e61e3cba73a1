"""Takes the pictures of the README, into docs/img/. `make screenshots` runs it; `make test` does not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from shopflow.domain.stock import Product
from tests.browser.pages import Operator, Storefront
from tests.live import EXPIRED, VISA

FOLDER = Path(__file__).parents[2] / "docs" / "img"
MAX_BYTES = 300_000
MIN_DOTS = 4
LETTER = '{"eventType": "payment.processed", "orderId": '


@pytest.fixture(autouse=True)
def window(page: Page) -> None:
    page.set_viewport_size({"width": 1360, "height": 960})


def take(name: str, what: Page | Locator, page: Page) -> None:
    page.mouse.move(0, 0)
    page.evaluate("() => { document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' }); }")
    assert len(what.screenshot(path=FOLDER / f"{name}.png")) < MAX_BYTES


def products(storefront: Storefront) -> tuple[Product, Product, Product]:
    """Headphones, a keyboard that is out of stock, and a hub."""
    found = storefront.live.aws.products.read(["PROD-001", "PROD-002", "PROD-003"])
    return found["PROD-001"], found["PROD-002"], found["PROD-003"]


def test_shop_and_tracker(storefront: Storefront, page: Page) -> None:
    headphones, keyboard, hub = products(storefront)
    storefront.open()
    storefront.expect_finished(storefront.order(headphones), "COMPLETED")
    storefront.expect_finished(storefront.order(keyboard), "INVENTORY_FAILED")
    storefront.expect_finished(storefront.order(hub, units=2, payment=EXPIRED), "PAYMENT_FAILED")
    expect(page.locator("#mail")).to_be_visible()
    take("tracker", page.locator("#tracker"), page)
    storefront.add(headphones, units=2)
    storefront.add(keyboard)
    take("shop", page.locator("#shop"), page)


@pytest.mark.parametrize(("name", "scheme"), [("flow", "light"), ("flow-dark", "dark")])
def test_flow(storefront: Storefront, page: Page, name: str, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    storefront.open()
    expect(page.locator("#flow-connection")).to_have_attribute("data-state", "live")
    for outcome in (EXPIRED, VISA, VISA):
        storefront.simulate(outcome)
        expect(page.locator("#simulate")).to_be_enabled()
    page.locator('[data-part="publishes:payment:payment.failed"].lit').wait_for()
    page.locator(".dot").nth(MIN_DOTS - 1).wait_for()
    take(name, page.locator("#flow"), page)


def test_ops(storefront: Storefront, operator: Operator, page: Page) -> None:
    for payment in (VISA, VISA, EXPIRED, VISA):
        storefront.finished_order(payment)
    operator.send_dead("notification", LETTER)
    page.set_viewport_size({"width": 1360, "height": 780})
    operator.sign_in()
    operator.inspect("Notification")
    expect(operator.letters).to_have_count(1)
    operator.expect_live()
    take("ops", page, page)
