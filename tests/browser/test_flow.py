"""The live flow: real events on their way, and nothing else."""

from __future__ import annotations

import json

from playwright.sync_api import Page, Route, expect

from tests.browser.console import Console
from tests.browser.operator import Operator
from tests.browser.recording import Recording
from tests.browser.storefront import Storefront
from tests.browser.test_shopping import DECLINED, HAPPY
from tests.live import EXPIRED, VISA, eventually

WAY_OF_A_PAID_ORDER = (
    "client",
    "node:order",
    "topic",
    "queue:inventory",
    "node:inventory",
    "queue:payment",
    "node:payment",
    "queue:notification",
    "node:notification",
)


def test_a_simulated_order_travels_along_the_lines_from_service_to_service(
    storefront: Storefront, page: Page, recording: Recording
) -> None:
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate(VISA)
    lit = recording.wait_until_lit(WAY_OF_A_PAID_ORDER)
    firsts = [lit.index(part) for part in WAY_OF_A_PAID_ORDER]
    assert firsts == sorted(firsts)
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator(f"#flow-log [data-order={order_id}]")).to_have_count(len(HAPPY))
    dots = recording.dots()
    assert {"cyan", "green", "yellow"} <= {dot["colour"] for dot in dots}
    assert len({(dot["x"], dot["y"]) for dot in dots}) > 20
    assert recording.strays() == []
    expect(page.locator(".dot")).to_have_count(0)


def test_each_event_is_in_the_log_once_newest_first(storefront: Storefront, page: Page) -> None:
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate(EXPIRED)
    rows = page.locator(f"#flow-log [data-order={order_id}]")
    expect(rows).to_have_count(len(DECLINED))
    types = [row.get_attribute("data-event") for row in rows.all()]
    assert types == DECLINED[::-1]
    rows.first.get_by_role("button", name=f"Track {order_id}").click()
    expect(page.locator("#tracker-title")).to_be_focused()


def test_a_declined_payment_visibly_returns_the_stock(storefront: Storefront, page: Page, recording: Recording) -> None:
    storefront.stocked(9)
    storefront.open()
    storefront.simulate(EXPIRED)
    recording.wait_until_lit(["says:payment:payment.failed", "takes:inventory:payment.failed"])
    lit = recording.wait_until_lit(["says:inventory:inventory.released"])
    assert lit.index("says:payment:payment.failed") < lit.index("says:inventory:inventory.released")
    said = eventually(recording.said, lambda seen: ("node:inventory", "stock returned") in seen)
    assert said.index(("node:payment", "card declined")) < said.index(("node:inventory", "stock returned"))


def test_more_than_is_in_stock_takes_the_way_to_the_failed_branch(
    storefront: Storefront, page: Page, recording: Recording
) -> None:
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate("out-of-stock")
    storefront.expect_finished(order_id, "INVENTORY_FAILED")
    lit = recording.wait_until_lit(["says:inventory:inventory.failed", "node:notification"])
    assert "node:payment" not in lit


def test_nothing_moves_without_an_event(storefront: Storefront, page: Page, recording: Recording) -> None:
    """The order is real and travels; only the flow is not told of it."""
    depth = {"waiting": 0, "inFlight": 0, "deadLetters": 0}
    queues = {"type": "queues", "queues": {"inventory": depth, "payment": depth}}
    page.route(
        "**/flow/stream",
        lambda route: route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(queues)}\n\n"),
    )
    storefront.stocked(9)
    storefront.open()
    order_id = storefront.simulate(VISA)
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator('[data-part="queue:payment"]')).to_have_attribute("data-depth", "0")
    assert recording.dots() == []
    assert recording.lit() == []
    assert page.locator("#flow-log [data-event]").count() == 0


def test_a_message_that_fails_three_times_visibly_goes_to_the_dead_letter_queue(
    storefront: Storefront, operator: Operator, page: Page, recording: Recording, console: Console
) -> None:
    console.expect("401 (Unauthorized)")
    storefront.open()
    expect(page.locator('[data-part="dlq:payment"]')).to_have_attribute("data-depth", "0")
    storefront.live.send("payment", "this is not JSON")
    expect(page.locator("#flow-log [data-dead-letters=payment]")).to_contain_text("failed three times")
    expect(page.locator('[data-part="dlq:payment"]')).to_have_attribute("data-depth", "1")
    recording.wait_until_lit(["dlq:payment"])
    down = [dot["y"] for dot in recording.dots() if dot["colour"] == "bad"]
    assert down[0] < down[-1]
    assert recording.strays() == []
    operator.sign_in()
    expect(operator.queue("payment", "dead-letters")).to_contain_text("1")
    operator.look_at("Payment")
    expect(operator.letters).to_have_attribute("data-kind", "breach")
    expect(operator.letters.locator(".reason")).to_contain_text("not JSON")
    expect(operator.letters.get_by_role("button", name="Redrive")).to_be_disabled()


def test_a_service_that_is_added_to_the_catalogue_appears_by_itself(
    storefront: Storefront, page: Page, recording: Recording
) -> None:
    def with_a_fifth(route: Route) -> None:
        catalogue = route.fetch().json()
        catalogue["services"]["fraud"] = {"title": "Fraud", "colour": "red", "consumes": ["order.created"]}
        route.fulfill(json=catalogue)

    page.route("**/catalog", with_a_fifth)
    storefront.stocked(9)
    storefront.open()
    for part in ("node:fraud", "queue:fraud", "dlq:fraud", "takes:fraud:order.created"):
        expect(page.locator(f'[data-part="{part}"]')).to_be_visible()
    expect(page.locator("#who [data-service=fraud]")).to_contain_text("Fraud takes order.created; publishes nothing")
    storefront.simulate(VISA)
    recording.wait_until_lit(["takes:fraud:order.created", "queue:fraud", "node:notification"])
    assert "node:fraud" not in recording.lit(), "there is no such service: nothing says that it took the event"
    assert recording.strays() == []
