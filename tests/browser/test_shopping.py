"""What a customer can do."""

from __future__ import annotations

from playwright.sync_api import Page


def test_probe(page: Page) -> None:
    page.goto("/")
    page.wait_for_selector("[data-product]")
