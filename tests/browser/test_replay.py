"""The scrubber: a finished order again, by its audit trail."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.recording import Recording
from tests.browser.storefront import Storefront
from tests.browser.test_shopping import DECLINED, HAPPY
from tests.live import EXPIRED


def replay(page: Page, order_id: str) -> None:
    page.locator("#replay-id").fill(order_id)
    page.get_by_role("button", name="Replay", exact=True).click()


def scrub(page: Page, at: int) -> None:
    page.locator("#replay-position").fill(str(at))


def test_a_finished_order_is_replayed_event_by_event(storefront: Storefront, page: Page, recording: Recording) -> None:
    order_id = storefront.live.place({storefront.stocked(6).product_id: 1}, EXPIRED)
    storefront.live.closed([order_id])
    storefront.open()
    page.locator("#replay-speed").evaluate("select => { select.value = '5'; }")
    replay(page, order_id)
    expect(page.locator("#replay-status")).to_contain_text(f"Replaying {order_id} (PAYMENT_FAILED)")
    marks = page.locator("#replay-marks [data-event]")
    assert [mark.get_attribute("data-event") for mark in marks.all()] == DECLINED
    expect(page.locator("#replay-where")).to_contain_text("inventory.released")
    expect(page.locator("#replay-play")).to_have_text("Play")
    assert {"node:payment", "says:inventory:inventory.released"} <= set(recording.lit())
    assert recording.strays() == []


def test_the_marks_stand_at_the_times_that_the_audit_trail_has(storefront: Storefront, page: Page) -> None:
    order_id = storefront.live.place({storefront.stocked(6).product_id: 1})
    storefront.live.closed([order_id])
    entries = requests.get(f"{storefront.live.url}/orders/{order_id}/events", timeout=10).json()
    times = [datetime.fromisoformat(entry["recordedAt"]).timestamp() * 1000 for entry in entries]
    storefront.open()
    replay(page, order_id)
    for entry, at in zip(entries, times, strict=True):
        mark = page.locator(f"#replay-marks [data-event='{entry['eventType']}'] small")
        text = mark.text_content() or ""
        number, unit = re.fullmatch(r" at ([\d.]+) (m?s)", text).groups()  # type: ignore[union-attr]
        assert float(number) * (1 if unit == "ms" else 1000) == pytest.approx(at - times[0], abs=6)


def test_the_scrubber_goes_where_it_is_moved_by_keyboard_too(storefront: Storefront, page: Page) -> None:
    order_id = storefront.live.place({storefront.stocked(6).product_id: 1})
    storefront.live.closed([order_id])
    storefront.open(order_id)
    page.locator("#order-replay").click()
    position, where = page.locator("#replay-position"), page.locator("#replay-where")
    scrub(page, 0)
    expect(page.locator("#replay-play")).to_have_text("Play")
    expect(where).to_have_text(re.compile(r"^0 of \d+ ms: order\.created$"))
    assert page.locator(".dot").count() > 0
    position.press("End")
    expect(where).to_have_text(re.compile(rf"^(\d+) of \1 ms: {re.escape(HAPPY[-1])}$"))
    expect(page.locator("#replay-marks .passed")).to_have_count(len(HAPPY))
    position.press("Home")
    expect(page.locator("#replay-marks .passed")).to_have_count(1)
    page.locator("#replay-live").click()
    expect(page.locator("#replay-controls")).to_be_hidden()
    expect(page.locator("#flow-svg")).not_to_have_attribute("data-replay", "")
    expect(page.locator(".dot")).to_have_count(0)


def test_the_same_position_shows_the_same_picture(storefront: Storefront, page: Page) -> None:
    order_id = storefront.live.place({storefront.stocked(6).product_id: 1})
    storefront.live.closed([order_id])
    storefront.open(order_id)
    page.locator("#order-replay").click()

    def picture(at: int) -> list[str | None]:
        scrub(page, at)
        expect(page.locator("#replay-where")).to_contain_text(f"{at} of ")
        return [dot.get_attribute("transform") for dot in page.locator(".dot").all()]

    first = picture(20)
    assert first
    assert picture(5) != first
    assert picture(20) == first


@pytest.mark.usefixtures("all_running")
def test_an_order_that_is_not_finished_cannot_be_replayed_yet(storefront: Storefront, page: Page) -> None:
    storefront.open()
    storefront.stop("payment")
    order_id = storefront.live.place({storefront.stocked(6).product_id: 1})
    replay(page, order_id)
    expect(page.locator("#replay-status")).to_have_text(f"{order_id} is not finished yet: watch it live.")
    expect(page.locator("#replay-controls")).to_be_hidden()
