"""What comes from outside is text, and no script runs but the page's own."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console import Console
from tests.browser.looking import sideways
from tests.browser.operator import TOKEN, Operator
from tests.browser.storefront import Storefront

MARKUP = "<img src=x onerror=\"document.title='pwned'\"><b>bold</b>"
INLINE = re.compile(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|<style|=\"?javascript:", re.IGNORECASE)
PAGES = ("/", "/ops")


def expect_only_text(page: Page) -> None:
    """Nothing of `MARKUP` has become an element, and a text without a blank is no wider than its place."""
    expect(page.locator("img")).to_have_count(0)
    assert "pwned" not in page.title()
    assert sideways(page) == []


def test_a_products_name_is_shown_as_the_text_that_it_is(storefront: Storefront, page: Page) -> None:
    product = storefront.stocked(4, name=MARKUP)
    storefront.open()
    expect(storefront.card(product).locator("h3")).to_have_text(MARKUP)
    order_id = storefront.order(product)
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator("#order-items")).to_contain_text(MARKUP)
    expect(page.locator("#mail-text")).to_contain_text(MARKUP)
    page.locator("#order-replay").click()
    expect(page.locator("#replay-controls")).to_be_visible()
    expect_only_text(page)


def test_a_customers_id_is_shown_as_the_text_that_it_is(
    storefront: Storefront, operator: Operator, page: Page, console: Console
) -> None:
    console.expect("401 (Unauthorized)")
    lamp = storefront.stocked(4)
    storefront.open()
    storefront.add(lamp)
    page.locator("#customer").fill(MARKUP)
    order_id = storefront.place()
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator("#order-customer")).to_have_text(MARKUP)
    expect_only_text(page)
    operator.sign_in()
    page.locator("#order-id").fill(order_id)
    page.get_by_role("button", name="Show its trail").click()
    expect(page.locator("#order-status")).to_contain_text(MARKUP)
    expect_only_text(page)


def test_a_dead_letters_text_is_shown_as_the_text_that_it_is(operator: Operator, page: Page, console: Console) -> None:
    console.expect("401 (Unauthorized)")
    operator.live.send("audit", MARKUP)
    operator.sign_in()
    operator.look_at("Audit")
    expect(operator.letters).to_have_count(1)
    page.get_by_text("Its body").click()
    expect(page.locator("#letters pre")).to_have_text(MARKUP)
    expect_only_text(page)


@pytest.mark.parametrize("address", ["<script>document.title='pwned'</script>", "ORD-1/../../ops"])
def test_an_address_is_no_way_to_bring_in_markup(
    storefront: Storefront, page: Page, console: Console, address: str
) -> None:
    for part in ("404", "400"):
        console.expect(part)
    storefront.open(quote(address, safe=""))
    expect(page.locator("#tracker-problem")).not_to_be_empty()
    expect_only_text(page)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_an_inline_script_or_style(page: Page, path: str) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for headers in ({}, bearer):
        answer = page.request.get(path, headers=headers)
        assert not INLINE.findall(answer.text())


@pytest.mark.parametrize("path", PAGES)
def test_every_page_carries_a_policy_that_allows_its_own_scripts_only(page: Page, path: str) -> None:
    answer = page.request.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    policy = dict(rule.strip().partition(" ")[::2] for rule in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_script_that_gets_into_the_page_does_not_run(storefront: Storefront, page: Page, console: Console) -> None:
    console.expect("Content Security Policy")
    storefront.open()
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'pwned'";
          const link = document.createElement("a");
          link.setAttribute("onclick", "document.title = 'pwned'");
          document.body.append(script, link);
          link.click();
        }"""
    )
    assert page.title() == "ShopFlow"
    assert [text for text in console.errors if "script" in text]
