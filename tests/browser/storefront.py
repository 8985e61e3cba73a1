"""The storefront, as its user works with it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from playwright.sync_api import Locator, Page, expect

from shopflow.domain.stock import Product
from tests.live import VISA, Live

PRICE = Decimal("19.99")


@dataclass(frozen=True, slots=True)
class Storefront:
    """``page`` shows it; behind it is ``live``."""

    page: Page
    live: Live

    def stocked(self, units: int, name: str = "") -> Product:
        """A new product, in the shop from its next look on."""
        product_id = f"P-{uuid4().hex[:12]}"
        product = Product(product_id, name or f"Lamp {product_id[-4:]}", PRICE, units, units)
        assert self.live.aws.products.seed(product)
        return product

    def open(self, order_id: str = "") -> None:
        self.page.goto(f"/?order={order_id}" if order_id else "/")
        expect(self.page.locator("#who [data-service]")).not_to_have_count(0)
        expect(self.page.locator("#products [data-product]")).not_to_have_count(0)

    def card(self, product: Product) -> Locator:
        return self.page.locator(f"#products [data-product={product.product_id}]")

    def stock(self, product: Product) -> Locator:
        return self.card(product).get_by_test_id("stock")

    def add(self, product: Product, units: int = 1) -> None:
        """Put it into the cart, as a customer does who types the number."""
        self.card(product).get_by_role("button").click()
        self.page.get_by_role("spinbutton", name=f"Quantity of {product.product_name}").fill(str(units))
        self.page.locator("#customer").focus()

    def place(self, payment: str = VISA) -> str:
        """Order what is in the cart. Returns the order's id."""
        self.page.locator("#payment").select_option(payment)
        self.page.locator("#place").click()
        return self.placed_id()

    def placed_id(self) -> str:
        return self.page.locator("#placed button").inner_text().removeprefix("Track ")

    def order(self, product: Product, units: int = 1, payment: str = VISA) -> str:
        self.add(product, units)
        return self.place(payment)

    def simulate(self, outcome: str) -> str:
        """Have the flow place an order. Returns its id."""
        self.page.locator("#simulate-outcome").select_option(outcome)
        self.page.locator("#simulate").click()
        return self.page.locator("#simulate-status button").inner_text().removeprefix("Track ")

    def expect_status(self, order_id: str, status: str) -> None:
        expect(self.page.locator(f"#order-card[data-order={order_id}]")).to_be_visible()
        expect(self.page.locator("#order-status")).to_have_text(status)

    def expect_finished(self, order_id: str, status: str) -> None:
        self.expect_status(order_id, status)
        self.expect_connection("finished")

    def expect_connection(self, state: str) -> None:
        expect(self.page.locator("#tracker-connection")).to_have_attribute("data-state", state)

    def expect_path(self, **states: str) -> None:
        """Each step of the status path, by status."""
        for status, state in states.items():
            expect(self.page.locator(f"#path [data-status={status}]")).to_have_attribute("data-state", state)

    def trail(self) -> list[str | None]:
        """The types of the audit events that the tracker shows."""
        return [row.get_attribute("data-event") for row in self.page.locator("#trail [data-event]").all()]

    def stop(self, service: str) -> None:
        """Have a service finish what it does and end."""
        self.live.services.kill(service, signal.SIGTERM)
