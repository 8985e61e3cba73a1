"""Takes the pictures of the README, into docs/img/. `make screenshots` runs it; `make test` does not."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, ViewportSize, expect

from tests.browser.pages import Operator, Storefront, try_to_break_it
from tests.live import EXPIRED, VISA

FOLDER = Path(__file__).parents[2] / "docs" / "img"
WINDOW: ViewportSize = {"width": 1360, "height": 960}
MAX_BYTES = 300_000
MAX_FILM_BYTES = 600_000
FRAME_PAUSE_MS = 60
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
    """The diagram and the sentence over it, for as long as the test waits."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._pictures: list[Image.Image] = []
        self._times: list[float] = []
        top, below = (page.locator(part).bounding_box() for part in ("#now", "#flow-figure"))
        assert top
        assert below
        self._box: FloatRect = {**below, "y": top["y"], "height": below["y"] + below["height"] - top["y"]}

    def wait(self, until: Locator | None = None, seconds: float = 1.5) -> None:
        """Waits for that many seconds, or until there is such an element."""
        end = time.monotonic() + seconds
        while until.count() == 0 if until else time.monotonic() < end:
            self._times.append(time.monotonic())
            self._pictures.append(Image.open(io.BytesIO(self._page.screenshot(clip=self._box))).convert("RGB"))
            self._page.wait_for_timeout(FRAME_PAUSE_MS)

    def save(self, file: Path) -> None:
        """An animated PNG with one palette, at the speed at which it happened."""
        width, height = self._pictures[0].size
        sheet = Image.new("RGB", (width, height * len(self._pictures)))
        for i, picture in enumerate(self._pictures):
            sheet.paste(picture, (0, i * height))
        palette = sheet.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in self._pictures)
        times = [*self._times, self._times[-1] + LAST_FRAME_SECONDS]
        durations = [round(1000 * (end - start)) for start, end in pairwise(times)]
        first.save(file, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
        assert file.stat().st_size < MAX_FILM_BYTES


def test_shop_and_tracker(storefront: Storefront, page: Page) -> None:
    names = ("PROD-001", "PROD-002", "PROD-003")
    headphones, keyboard, hub = map(storefront.live.aws.products.read(names).__getitem__, names)
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
    film.wait()
    trying.get_by_role("button", name="Kill Notification").click()
    film.wait()
    trying.locator("#simulate").click()
    film.wait(trying.locator('[data-part="queue:notification"].lit'))
    film.wait()
    if scheme == "light":
        trying.screenshot(path=FOLDER / "try-free-play.png")
    film.wait()
    trying.get_by_role("button", name="Restart Notification").click()
    film.wait(trying.locator('[data-part="service:notification"] .action', has_text="customer notified"))
    film.wait()
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
