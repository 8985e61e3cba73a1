"""The live flow and the replay: real events on their way, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.pages import DECLINED, Recording, Storefront
from tests.live import EXPIRED, VISA
from tests.waiting import eventually

WAY_OF_A_PAID_ORDER = (
    "client",
    "service:order",
    "topic",
    "queue:inventory",
    "service:inventory",
    "queue:payment",
    "service:payment",
    "queue:notification",
    "service:notification",
)


def in_order(parts: Sequence[str], lit: Sequence[str]) -> bool:
    """Whether ``parts`` lit up one after another. Others may light up in between: earlier orders are drawn, too."""
    rest = iter(lit)
    return all(part in rest for part in parts)


def test_an_order_travels_along_the_lines_from_service_to_service(
    storefront: Storefront, page: Page, recording: Recording
) -> None:
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate(VISA)
    eventually(recording.lit, lambda lit: in_order(WAY_OF_A_PAID_ORDER, lit))
    storefront.expect_finished(order_id, "COMPLETED")
    dots = recording.dots()
    assert {"cyan", "green", "yellow"} <= {dot["colour"] for dot in dots}
    assert len({(dot["x"], dot["y"]) for dot in dots}) > 20
    assert recording.strays() == []
    expect(page.locator(".dot")).to_have_count(0)


def test_a_declined_order_releases_its_stock_in_the_diagram_and_each_event_is_logged_once(
    storefront: Storefront, page: Page, recording: Recording
) -> None:
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate(EXPIRED)
    declined, released = "publishes:payment:payment.failed", "publishes:inventory:inventory.released"
    lit = recording.wait_until_lit(declined, "consumes:inventory:payment.failed", released)
    assert lit.index(declined) < lit.index(released)
    last = ("service:inventory", "stock released")
    actions = eventually(recording.actions, lambda seen: last in seen)
    assert actions.index(("service:payment", "card declined")) < actions.index(last)
    rows = page.locator(f"#flow-log [data-order={order_id}]")
    expect(rows).to_have_count(len(DECLINED))
    assert [row.get_attribute("data-event") for row in rows.all()] == DECLINED[::-1]
    rows.first.get_by_role("button", name=f"Track {order_id}").click()
    expect(page.locator("#tracker-title")).to_be_focused()


def test_a_finished_order_is_replayed_event_by_event_at_the_times_of_its_audit_trail(
    storefront: Storefront, page: Page, recording: Recording
) -> None:
    order_id = storefront.finished_order(EXPIRED)
    entries = requests.get(f"{storefront.live.url}/orders/{order_id}/events", timeout=10).json()
    times = [datetime.fromisoformat(entry["recordedAt"]).timestamp() * 1000 for entry in entries]
    storefront.open()
    page.locator("#replay-speed").evaluate("select => { select.value = '5'; }")
    page.locator("#replay-id").fill(order_id)
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.locator("#replay-status")).to_contain_text(f"Replaying {order_id} (PAYMENT_FAILED)")
    marks = page.locator("#replay-marks [data-event]").all()
    assert [mark.get_attribute("data-event") for mark in marks] == DECLINED
    for mark, at in zip(marks, times, strict=True):
        number, unit = re.findall(r" at ([\d.]+) (m?s)", mark.text_content() or "")[0]
        assert float(number) * (1 if unit == "ms" else 1000) == pytest.approx(at - times[0], abs=6)
    expect(page.locator("#replay-where")).to_contain_text("inventory.released")
    expect(page.locator("#replay-play")).to_have_text("Play")
    assert {"service:payment", "publishes:inventory:inventory.released"} <= set(recording.lit())
    assert recording.strays() == []
