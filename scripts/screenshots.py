"""The pictures of the README, of real orders: `python -m scripts.screenshots --help`."""

from __future__ import annotations

import argparse
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scripts.browser import chromium
from scripts.console import OK, CommandError, Progress, run_command
from scripts.infra.stack import LOOPBACK, ROOT, answers
from scripts.run_all import with_token
from scripts.services import LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import Aws, connect
from shopflow.config import adopt_environment, configured_catalog, load_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = ROOT / "docs" / "img"
START_SECONDS = 30
PATIENCE_MS = 30_000
WIDTH, HEIGHT, OPS_HEIGHT = 1360, 960, 1200
MAX_BYTES = 300_000
HIDE_SECONDS = 30
UNITS = 20
DOTS = 4
VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
HEADPHONES, KEYBOARD, HUB = "PROD-001", "PROD-002", "PROD-003"
LETTER = '{"eventType": "payment.processed", "orderId": '
ABOUT = """\
Take the README's pictures anew, into docs/img/: shop, tracker, flow (light and dark) and the operator's page.

Starts the services on a port of their own, on the stack of `make infra-up`, and places real orders there. What it takes
it puts into stock first; the dead letter that is seen in the operator's page it takes away again.
"""


@dataclass(frozen=True, slots=True)
class Running:
    """The services at ``url``, which know the operator by ``token``, and what they work on."""

    url: str
    token: str
    aws: Aws


@dataclass(frozen=True, slots=True)
class Studio:
    """A page that shows a running ShopFlow."""

    page: Page
    url: str
    token: str

    @classmethod
    def of(cls, browser: Browser, running: Running, scheme: Literal["light", "dark"] = "light") -> Studio:
        """With a customer who was never there."""
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE_MS)
        return cls(page, running.url, running.token)

    def open(self, path: str = "/") -> None:
        self.page.goto(self.url + path)

    def add(self, product_id: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.locator(f"#products [data-product={product_id}] button").click()

    def order(self, product_id: str, units: int, payment: str, ends: str) -> None:
        """Place an order, and wait until the tracker has followed it to its end."""
        self.add(product_id, units)
        self.page.locator("#payment").select_option(payment)
        with self.page.expect_response(self.url + "/orders") as answer:
            self.page.locator("#place").click()
        card = self.page.locator(f"#order-card[data-order={answer.value.json()['orderId']}]")
        card.locator("#order-status", has_text=ends).wait_for()
        self.page.locator("#tracker-connection[data-state=finished]").wait_for()

    def take(self, name: str, part: str | None = None) -> Path:
        """A picture of that part of the page, or of the whole window. Raises `CommandError` when it is too heavy."""
        self.page.mouse.move(0, 0)
        self.page.evaluate("() => document.activeElement.blur()")
        file = FOLDER / f"{name}.png"
        shot = self.page.locator(part) if part else self.page
        shot.screenshot(path=file)
        if (size := file.stat().st_size) > MAX_BYTES:
            raise CommandError(f"{file.relative_to(ROOT)} has {size:,} bytes: more than {MAX_BYTES:,}")
        return file


def shop_and_tracker(studio: Studio) -> Iterator[Path]:
    studio.open()
    studio.order(HEADPHONES, 1, VISA, "COMPLETED")
    studio.order(KEYBOARD, 1, VISA, "INVENTORY_FAILED")
    studio.order(HUB, 2, EXPIRED, "PAYMENT_FAILED")
    studio.page.locator("#mail").wait_for()
    yield studio.take("tracker", "#tracker")
    studio.add(HEADPHONES, 2)
    studio.add(KEYBOARD)
    yield studio.take("shop", "#shop")


def flow(studio: Studio, name: str) -> Iterator[Path]:
    """While a declined order is about to give its stock back, between others."""
    studio.open()
    studio.page.locator("#flow-connection[data-state=live]").wait_for()
    studio.page.locator("#flow").scroll_into_view_if_needed()
    for outcome in (EXPIRED, VISA, VISA):
        studio.page.locator("#simulate-outcome").select_option(outcome)
        studio.page.locator("#simulate:enabled").click()
    studio.page.locator('[data-part="says:payment:payment.failed"].lit').wait_for()
    studio.page.locator(".dot").nth(DOTS - 1).wait_for()
    yield studio.take(name, "#flow")


def operator(studio: Studio, aws: Aws) -> Iterator[Path]:
    studio.open()
    for payment in (VISA, VISA, EXPIRED, VISA):
        studio.order(HUB, 1, payment, "PAYMENT_FAILED" if payment == EXPIRED else "COMPLETED")
    studio.page.set_viewport_size({"width": WIDTH, "height": OPS_HEIGHT})
    with dead_letter(aws, "notification"):
        studio.open(f"/ops#{studio.token}")
        studio.page.get_by_role("button", name="Look at the dead letters of Notification").click()
        studio.page.locator("#letters [data-message]").first.wait_for()
        studio.page.locator("#ops-connection[data-state=live]").wait_for()
        studio.page.evaluate("() => scrollTo({top: 0, behavior: 'instant'})")
        yield studio.take("ops")


@contextmanager
def dead_letter(aws: Aws, service: str) -> Iterator[None]:
    """A message that breaks its contract, as long as the block lasts; on its way it fails three times."""
    message_id = aws.sender(service).send(LETTER, {})
    try:
        yield
    finally:
        letters = aws.dead_letters(service)
        for letter in letters.receive(10, hide_seconds=HIDE_SECONDS, wait_seconds=1):
            if letter.message.message_id == message_id:
                letters.delete([letter])
            else:
                letters.hide([letter], 0)


@contextmanager
def running() -> Iterator[Running]:
    """All services, on a port of their own."""
    env = {name: value for name, value in adopt_environment().items() if name != "OPS_TOKEN"}
    token = secrets.token_urlsafe(24)
    here = {"HOST": LOOPBACK, "PORT": str(free_port()), "LOG_FORMAT": "json"}
    config = replace(load_config({**env, **here}), ops_token=token)
    url = f"http://{config.host}:{config.port}"
    with tempfile.TemporaryDirectory() as logs:
        commands = with_token(service_commands(configured_catalog(env)), token)
        with Services(commands, {**env, **here}, LogFiles(Path(logs))) as services:
            services.start()
            wait_for(url)
            yield Running(url, token, connect(config, PATIENT))


def wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"{url}/health"):
        if time.monotonic() > deadline:
            raise CommandError(f"The Order Service does not answer within {START_SECONDS} s: try 'make run-order'")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def restock(aws: Aws) -> None:
    for product_id in (HEADPHONES, HUB):
        if (product := aws.products.read([product_id]).get(product_id)) is None:
            raise CommandError(f"There is no product {product_id}. Run 'make infra-up', which seeds it.")
        if product.stock < UNITS:
            aws.products.restock(product_id, UNITS - product.stock)


def pictures(browser: Browser, running: Running) -> Iterator[Path]:
    yield from shop_and_tracker(Studio.of(browser, running))
    yield from flow(Studio.of(browser, running), "flow")
    yield from flow(Studio.of(browser, running, "dark"), "flow-dark")
    yield from operator(Studio.of(browser, running), running.aws)


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m scripts.screenshots", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    with progress.step("Taking the pictures") as show, chromium() as browser, running() as services:
        restock(services.aws)
        for file in pictures(browser, services):
            show(f"{file.relative_to(ROOT)} ({file.stat().st_size / 1000:.0f} KB)")
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
