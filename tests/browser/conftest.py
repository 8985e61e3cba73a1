"""A real browser on the real services: Chromium, driven by Playwright, on a stack of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.addresses import answers, free_port
from tests.browser.pages import TOKEN, Console, Operator, Recording, Storefront
from tests.infra.test_run_all import run_all
from tests.live import QUICK, Live, running_services
from tests.stack import AppliedStack, applied_stack
from tests.waiting import eventually

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")
PATIENCE_MS = 20_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Skips the tests where there is no Chromium. In CI they fail."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("There is no Chromium: apt-get install chromium, or brew install --cask chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as launched:
        yield launched


@pytest.fixture(scope="package")
def stack(browser: Browser) -> Iterator[AppliedStack]:
    """A local AWS for these tests alone, not even started without a browser."""
    with applied_stack() as applied:
        yield applied


@pytest.fixture(scope="package")
def live(stack: AppliedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The five services, with an operator."""
    with running_services(stack, tmp_path_factory.mktemp("logs"), OPS_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture
def all_running(live: Live) -> Iterator[None]:
    """Services that a test may stop: they run again after it."""
    yield
    live.services.start()
    eventually(lambda: answers(live.url), bool)


@contextmanager
def new_page(browser: Browser, url: str, console: Console) -> Iterator[Page]:
    """A page in a browser that has never been here."""
    with browser.new_context(base_url=url, viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        console.listen_to(page)
        yield page


@pytest.fixture
def console() -> Iterator[Console]:
    written = Console()
    yield written
    assert written.unexpected() == []


@pytest.fixture
def page(browser: Browser, live: Live, console: Console) -> Iterator[Page]:
    """A page that must write no errors to its console, except those that the test expects."""
    with new_page(browser, live.url, console) as opened:
        yield opened


@pytest.fixture(scope="package")
def breakable(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `make run-all` on a stack of its own, whose services may be broken."""
    port, log = str(free_port()), tmp_path_factory.mktemp("run-all") / "log"
    with applied_stack() as stack, log.open("wb") as file:
        settings = {**QUICK, "PORT": port, "OPS_TOKEN": TOKEN}
        with run_all(stack, {"stdout": file.fileno()}, **settings):
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: answers(url), bool)
            yield url


@pytest.fixture
def trying(browser: Browser, breakable: str, console: Console) -> Iterator[Page]:
    """A page of `make run-all`. Before the sign-in it answers 401."""
    console.expect("401 (Unauthorized)")
    with new_page(browser, breakable, console) as opened:
        yield opened


@pytest.fixture
def storefront(page: Page, live: Live) -> Storefront:
    return Storefront(page, live)


@pytest.fixture
def operator(page: Page, live: Live, console: Console) -> Iterator[Operator]:
    """The operator. The page before the sign-in answers 401, and 404 where nothing can be tried.

    The dead-letter queues are empty after the test.
    """
    console.expect("401 (Unauthorized)", "404 (Not Found)")
    yield Operator(page, live)
    for url in live.config.resources.dlq_urls.values():
        live.sqs.purge_queue(QueueUrl=url)


@pytest.fixture
def recording(page: Page) -> Recording:
    """What the flow diagram shows, from the page's first moment on."""
    return Recording(page)
