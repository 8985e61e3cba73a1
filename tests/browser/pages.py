"""The pages as a user works with them, and what a test can ask of them."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from shopflow.domain.stock import Product
from tests.live import VISA, Live
from tests.waiting import eventually

TOKEN = "a-token-for-the-operators-page"  # noqa: S105 (of this test run only)
PRICE = Decimal("19.99")
HAPPY = ["order.created", "inventory.reserved", "payment.processed"]
DECLINED = ["order.created", "inventory.reserved", "payment.failed", "inventory.released"]
RECORDING = Path(__file__).with_name("recording.js")
OFF_THE_LINE = 12
"""SVG units: dots cut the rounded corners."""
MAX_TABS = 200
FOCUSED = "() => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const all = [...document.querySelectorAll("body *")];
  return all.filter((each) => each.getBoundingClientRect().right > width + 0.5).map((each) => each.outerHTML);
}"""
PHONE_WIDTH = 360


@dataclass(frozen=True, slots=True)
class Storefront:
    page: Page
    live: Live

    def stocked(self, units: int, name: str = "") -> Product:
        """A new product. The shop lists it the next time it looks."""
        product_id = f"P-{uuid4().hex[:12]}"
        product = Product(product_id, name or f"Lamp {product_id[-4:]}", PRICE, units, units)
        assert self.live.aws.products.put(product)
        return product

    def open(self, order_id: str = "") -> None:
        self.page.goto(f"/?order={order_id}" if order_id else "/")
        expect(self.page.locator("#services [data-service]")).not_to_have_count(0)
        expect(self.page.locator("#products [data-product]")).not_to_have_count(0)

    def card(self, product: Product) -> Locator:
        return self.page.locator(f"#products [data-product={product.product_id}]")

    def stock(self, product: Product) -> Locator:
        return self.card(product).get_by_test_id("stock")

    def add(self, product: Product, units: int = 1) -> None:
        """Puts the product into the cart and types the number of units."""
        self.card(product).get_by_role("button").click()
        self.page.get_by_role("spinbutton", name=f"Quantity of {product.product_name}").fill(str(units))
        self.page.locator("#customer").focus()

    def place(self, payment: str = VISA) -> str:
        """Orders what is in the cart. Returns the order's id."""
        self.page.locator("#payment").select_option(payment)
        self.page.locator("#place").click()
        return self.placed_id()

    def placed_id(self) -> str:
        return self.page.locator("#placed button").inner_text().removeprefix("Track ")

    def order(self, product: Product, units: int = 1, payment: str = VISA) -> str:
        self.add(product, units)
        return self.place(payment)

    def finished_order(self, payment: str = VISA) -> str:
        """An order placed through the API, for a new product, with a complete audit trail."""
        order_id = self.live.place({self.stocked(6).product_id: 1}, payment)
        eventually(lambda: [*self.live.trail(order_id)], lambda trail: trail in (HAPPY, DECLINED))
        return order_id

    def simulate(self, outcome: str) -> str:
        """Places a test order in the flow. Returns its id."""
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
        """The state of each step of the status path, by status."""
        for status, state in states.items():
            expect(self.page.locator(f"#path [data-status={status}]")).to_have_attribute("data-state", state)

    def trail(self) -> list[str | None]:
        """The event types of the audit trail in the tracker."""
        return [row.get_attribute("data-event") for row in self.page.locator("#trail [data-event]").all()]

    def stop(self, service: str) -> None:
        self.live.services.kill(service, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Operator:
    page: Page
    live: Live

    def sign_in(self) -> None:
        """Opens the link that `make run-all` prints."""
        self.page.goto(f"/ops#{TOKEN}")
        self.expect_live()

    def expect_live(self) -> None:
        expect(self.page.locator("#ops-connection")).to_have_attribute("data-state", "live")

    def inspect(self, title: str) -> None:
        """Inspects the dead-letter queue of the service with this title."""
        self.page.get_by_role("button", name=f"Inspect the dead letters of {title}").click()

    @property
    def letters(self) -> Locator:
        return self.page.locator("#letters [data-message]")

    def send_dead(self, service: str, text: str) -> None:
        """Puts a message into the dead-letter queue of a service."""
        self.live.sqs.send_message(QueueUrl=self.live.config.resources.dlq_urls[service], MessageBody=text)


@dataclass
class Console:
    """The errors of a page. Chromium writes one for each answer of 400 and above, and for each lost connection."""

    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def listen_to(self, page: Page) -> None:
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def expect(self, *parts: str) -> None:
        """The test provokes errors with one of these parts in their text."""
        self.expected += parts

    def unexpected(self) -> list[str]:
        return [text for text in self.errors if not any(part in text for part in self.expected)]


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that the flow diagram of ``page`` shows from now on (`recording.js`)."""

    page: Page

    def __post_init__(self) -> None:
        self.page.add_init_script(path=RECORDING)

    def dots(self) -> list[dict[str, Any]]:
        """Each place of a dot: x, y, colour."""
        return list(self.page.evaluate("() => recording.dots"))

    def strays(self) -> list[dict[str, Any]]:
        """The places that are on no line and in no box of the diagram."""
        return list(self.page.evaluate("max => recording.strays(max)", OFF_THE_LINE))

    def lit(self) -> list[str]:
        """The parts, each time that one lit up."""
        return list(self.page.evaluate("() => recording.lit"))

    def wait_until_lit(self, *parts: str) -> list[str]:
        return eventually(self.lit, lambda seen: set(parts) <= set(seen))

    def actions(self) -> list[tuple[str, str]]:
        """The texts under the services' names, with their part."""
        return [(each["part"], each["text"]) for each in self.page.evaluate("() => recording.actions")]


def try_to_break_it(page: Page) -> None:
    """Opens the page with the experiments, as the operator."""
    page.goto(f"/try#{TOKEN}")
    expect(page.locator("#claims [data-claim]")).to_have_count(7)


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the element with this name or text has the focus."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == name:
            return
    raise AssertionError(f"{MAX_TABS} Tabs did not reach {name!r}")


def check_for_everybody(page: Page) -> None:
    """axe-core finds nothing serious in light and dark, and the page fits a phone."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], node["target"]) for one in serious for node in one["nodes"]] == [], scheme
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 740})
    check_that_nothing_sticks_out(page)


def check_that_nothing_sticks_out(page: Page) -> None:
    """No element is wider than the window."""
    assert page.evaluate(STICKS_OUT) == []
