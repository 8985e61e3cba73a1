"""A real browser on the real services: Debian's Chromium, driven by Playwright, on a stack of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from scripts.services import LogFiles, Services, service_commands
from shopflow.aws.calls import PATIENT
from shopflow.aws.wiring import connect
from shopflow.catalog import load_catalog
from shopflow.config import load_config
from tests.conftest import brought_up
from tests.faults.lanes import answers, free_port
from tests.integration.conftest import QUICK
from tests.live import Live, eventually, sqs_client
from tests.stack import AppliedStack

TOKEN = "a-token-for-the-operators-page"  # noqa: S105 (of this test run only)
PATIENCE_MS = 15_000
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


@dataclass(frozen=True, slots=True)
class Shop:
    """A running ShopFlow and the address of its storefront."""

    live: Live
    token: str

    @property
    def url(self) -> str:
        return self.live.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Skips where there is no Chromium, except in CI, where that is a failure."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        message = "no Chromium to test the pages in: apt-get install chromium, or brew install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as launched:
        yield launched


@pytest.fixture(scope="session")
def stack(browser: Browser, request: pytest.FixtureRequest) -> Iterator[AppliedStack]:
    """A stack for these tests alone, not even brought up without a browser."""
    with brought_up(request, "browser") as applied:
        yield applied


@pytest.fixture(scope="session")
def shop(stack: AppliedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    env = dict(stack.env) | QUICK | {"PORT": str(free_port()), "OPS_TOKEN": TOKEN}
    config = load_config(env)
    with Services(service_commands(load_catalog()), env, LogFiles(tmp_path_factory.mktemp("logs"))) as services:
        services.start()
        running = Live(config, connect(config, PATIENT), services, sqs_client(config))
        eventually(lambda: answers(running.url), bool)
        yield Shop(running, TOKEN)


@pytest.fixture
def context(browser: Browser, shop: Shop) -> Iterator[BrowserContext]:
    """A customer with nothing remembered."""
    with browser.new_context(base_url=shop.url, viewport={"width": 1280, "height": 900}) as opened:
        opened.set_default_timeout(PATIENCE_MS)
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose console must stay free of errors."""
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert errors == []
