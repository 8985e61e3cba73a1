"""Light and quick. The figures: `python -m scripts.page_speed`."""

from __future__ import annotations

from playwright.sync_api import Browser

from scripts.page_speed import visit
from tests.live import Live

MAX_BYTES = 150_000
MAX_PAINT_MS = 1_000
"""Far above what it takes: this machine may be busy with other tests."""


def test_the_storefront_weighs_under_150_kb_and_paints_within_a_second(browser: Browser, live: Live) -> None:
    visits = [visit(browser, live.url) for _ in range(3)]
    assert max(each.transferred_bytes for each in visits) < MAX_BYTES
    assert min(each.requests for each in visits) > 20, "the modules were not counted"
    assert min(each.first_paint_ms for each in visits) < MAX_PAINT_MS


def test_a_second_visit_loads_no_module_again(browser: Browser, live: Live) -> None:
    with browser.new_context(base_url=live.url) as context:
        context.new_page().goto("/", wait_until="load")
        page = context.new_page()
        page.goto("/", wait_until="load")
        parts = page.evaluate("() => performance.getEntriesByType('resource').map((each) => each.toJSON())")
        loaded = [part for part in parts if "/static/" in part["name"]]
        assert len(loaded) > 20
        assert sum(part["transferSize"] for part in loaded) < sum(part["encodedBodySize"] for part in loaded) / 2
