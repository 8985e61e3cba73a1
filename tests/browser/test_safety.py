"""What comes from outside is shown as text, and no script runs but the page's own."""

from __future__ import annotations

from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.browser.pages import Console, Operator, Storefront, check_that_nothing_sticks_out

MARKUP = "<img src=x onerror=\"document.title='pwned'\"><b>bold</b>"
INJECT = """() => {
  const script = document.createElement("script");
  script.textContent = "document.title = 'pwned'";
  const link = document.createElement("a");
  link.setAttribute("onclick", "document.title = 'pwned'");
  document.body.append(script, link);
  link.click();
}"""


def expect_only_text(page: Page) -> None:
    """Nothing of `MARKUP` has become an element, and its long word fits into the page."""
    expect(page.locator("img")).to_have_count(0)
    assert "pwned" not in page.title()
    check_that_nothing_sticks_out(page)


def test_names_of_products_and_customers_are_shown_as_text(storefront: Storefront, page: Page) -> None:
    product = storefront.stocked(4, name=MARKUP)
    storefront.open()
    expect(storefront.card(product).locator("h3")).to_have_text(MARKUP)
    storefront.add(product)
    page.locator("#customer").fill(MARKUP)
    order_id = storefront.place()
    storefront.expect_finished(order_id, "COMPLETED")
    expect(page.locator("#order-customer")).to_have_text(MARKUP)
    expect(page.locator("#order-items")).to_contain_text(MARKUP)
    expect(page.locator("#mail-text")).to_contain_text(MARKUP)
    expect_only_text(page)


def test_a_dead_letter_is_shown_as_text(operator: Operator, page: Page) -> None:
    operator.send_dead("audit", MARKUP)
    operator.sign_in()
    operator.inspect("Audit")
    page.get_by_text("Message body").click()
    expect(page.locator("#letters pre")).to_have_text(MARKUP)
    expect_only_text(page)


def test_no_address_brings_in_markup(storefront: Storefront, page: Page, console: Console) -> None:
    console.expect("404", "400")
    for address in ("<script>document.title='pwned'</script>", "ORD-1/../../ops", "ORD-ZZZZZZZZ"):
        storefront.open(quote(address, safe=""))
        storefront.expect_connection("unknown")
        expect(page.locator("#tracker-problem")).not_to_be_empty()
        expect(page.locator("#order-card")).to_be_hidden()
        expect_only_text(page)


def test_a_script_that_gets_into_a_page_does_not_run(
    storefront: Storefront, operator: Operator, page: Page, console: Console
) -> None:
    console.expect("Content Security Policy")
    for open_page in (storefront.open, operator.sign_in):
        open_page()
        console.errors.clear()
        page.evaluate(INJECT)
        assert "pwned" not in page.title()
        assert [text for text in console.errors if "Content Security Policy" in text]
