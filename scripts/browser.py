"""Chromium, driven by Playwright, for the commands that look at ShopFlow's pages, and for their tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.console import CommandError

if TYPE_CHECKING:  # only these commands need it: it is in requirements/dev.txt
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


class NoBrowser(CommandError):
    """There is nothing to open the pages in. Install what the text names."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium of this machine. Raises `NoBrowser` where there is none, or no Playwright to drive it.

    What goes wrong with it in the block, such as a page that does not show what it should, becomes a `CommandError`.
    """
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise NoBrowser("There is no Chromium: apt-get install chromium, or brew install --cask chromium")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        raise NoBrowser("Playwright is missing: pip install -r requirements/dev.txt") from None
    try:
        with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as browser:
            yield browser
    except Error as error:
        raise CommandError(f"Chromium: {' '.join(error.message.split())}") from error
