"""Takes the pictures of the README, into docs/img/. `make screenshots` runs it; `make test` does not."""

from __future__ import annotations

import io
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, ViewportSize, expect

from shopflow.domain.stock import Product
from tests.browser.pages import Operator, Storefront, try_to_break_it
from tests.live import EXPIRED, VISA

FOLDER = Path(__file__).parents[2] / "docs" / "img"
WINDOW: ViewportSize = {"width": 1360, "height": 960}
MAX_BYTES = 300_000
MAX_FILM_BYTES = 600_000
FRAME_SECONDS = 1 / 8
COLOURS = 256
LAST_FRAME_SECONDS = 2
LETTER = '{"eventType": "payment.processed", "orderId": '


@pytest.fixture
def page(page: Page) -> Page:
    page.set_viewport_size(WINDOW)
    return page


@pytest.fixture
def trying(trying: Page) -> Page:
    trying.set_viewport_size(WINDOW)
    try_to_break_it(trying)
    trying.locator("#simulate-outcome").select_option(VISA)
    trying.locator('[data-part="queue:notification"][data-depth="0"]').wait_for()
    return trying


def take(name: str, what: Page | Locator, page: Page) -> None:
    page.mouse.move(0, 0)
    page.evaluate("() => { document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' }); }")
    assert len(what.screenshot(path=FOLDER / f"{name}.png")) < MAX_BYTES


class Film:
    """What Chromium draws of the diagram and the sentence over it, from now on."""

    def __init__(self, page: Page) -> None:
        self._frames: list[tuple[float, str]] = []
        self._chromium = page.context.new_cdp_session(page)
        self._chromium.on("Page.screencastFrame", self._take)
        self._chromium.send("Page.startScreencast", {"format": "png"})
        top, below = (page.locator(part).bounding_box() for part in ("#now", "#flow-figure"))
        assert top
        assert below
        right, bottom = below["x"] + below["width"], below["y"] + below["height"]
        self._box = (round(below["x"]), round(top["y"]), round(right), round(bottom))

    def _take(self, frame: dict[str, Any]) -> None:
        self._frames.append((frame["metadata"]["timestamp"], frame["data"]))
        self._chromium.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    def save(self, file: Path) -> None:
        """An animated PNG with one palette, at the speed at which it happened."""
        self._chromium.send("Page.stopScreencast")
        times, pictures = list[float](), list[Image.Image]()
        for at, data in self._frames:
            if times and at < times[-1] + FRAME_SECONDS:
                continue
            times.append(at)
            pictures.append(Image.open(io.BytesIO(b64decode(data))).convert("RGB").crop(self._box))
        width, height = pictures[0].size
        sheet = Image.new("RGB", (width, height * len(pictures)))
        for i, picture in enumerate(pictures):
            sheet.paste(picture, (0, i * height))
        palette = sheet.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
        durations = [round(1000 * (end - start)) for start, end in pairwise([*times, times[-1] + LAST_FRAME_SECONDS])]
        first.save(file, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
        assert file.stat().st_size < MAX_FILM_BYTES


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
def test_flow(trying: Page, name: str, scheme: Literal["light", "dark"]) -> None:
    """Notification is killed, an order travels, its last message waits, and Notification comes back for it."""
    trying.emulate_media(color_scheme=scheme)
    trying.locator("#play").evaluate("play => play.scrollIntoView({ behavior: 'instant' })")
    film = Film(trying)
    trying.wait_for_timeout(1500)
    trying.get_by_role("button", name="Kill Notification").click()
    trying.wait_for_timeout(1500)
    trying.locator("#simulate").click()
    trying.locator('[data-part="queue:notification"].lit').wait_for()
    trying.wait_for_timeout(1500)
    if scheme == "light":
        trying.screenshot(path=FOLDER / "try-free-play.png")
    trying.wait_for_timeout(1500)
    trying.get_by_role("button", name="Restart Notification").click()
    trying.locator('[data-part="service:notification"] .action', has_text="customer notified").wait_for()
    trying.wait_for_timeout(1500)
    film.save(FOLDER / f"{name}.png")


def test_try(trying: Page) -> None:
    trying.locator("#seven").evaluate("seven => seven.scrollIntoView({ behavior: 'instant' })")
    trying.get_by_role("button", name="Run experiment 2").click()
    trying.locator(".verdict", has_text="It holds.").wait_for()
    trying.screenshot(path=FOLDER / "try.png")


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
