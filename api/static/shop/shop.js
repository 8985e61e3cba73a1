/** The products with their live stock. */

import { button, byId, dollars, el, say, svg } from "../common/dom.js";
import { get, regularly } from "../common/http.js";

const REFRESH_MS = 5000;
const LOW_STOCK = 5;
const MOST_PIPS = 40;
const PIPS_A_ROW = 20;
const PIP = 10;

/**
 * Show the products and keep them fresh. `onAdd(product)` is called when one is put into the cart, `onProducts(products)`
 * after each look at the stock. Returns `refresh()`, for when the stock has just changed.
 */
export function startShop(onAdd, onProducts) {
  const cards = new Map();
  const look = async () => {
    try {
      const products = await get("/products");
      show(products, cards, onAdd);
      say(byId("shop-problem"), "");
      onProducts(products);
    } catch (error) {
      say(byId("shop-problem"), `No fresh stock: ${error.message}.`);
    }
  };
  return { refresh: regularly(look, REFRESH_MS).now };
}

function show(products, cards, onAdd) {
  const list = byId("products");
  const ids = new Set(products.map((product) => product.productId));
  for (const [id, card] of cards) if (!ids.has(id)) cards.delete(id) && card.node.remove();
  list.querySelector("[data-placeholder]")?.remove();
  for (const product of products) {
    if (!cards.has(product.productId)) {
      const card = new Card(product, onAdd);
      cards.set(product.productId, card);
      list.append(card.node);
    }
    cards.get(product.productId).update(product);
  }
}

/** How much there is, in one word for styles and tests: `out`, `low` or `in`. */
const levelOf = (stock) => (stock < 1 ? "out" : stock <= LOW_STOCK ? "low" : "in");

const STOCK_TEXT = {
  out: () => "Out of stock",
  low: (stock) => `Low stock: ${stock} left`,
  in: (stock) => `${stock} in stock`,
};

class Card {
  constructor(product, onAdd) {
    this.product = product;
    this.price = el("p", { class: "price" });
    this.stock = el("p", { class: "stock", "data-testid": "stock" });
    this.pips = svg("svg", { class: "pips", "aria-hidden": "true" });
    this.add = button("", () => onAdd(this.product), { class: "quiet" });
    this.name = el("h3", {});
    this.node = el("li", { "data-product": product.productId }, this.name, this.price, this.pips, this.stock, this.add);
  }

  update(product) {
    const level = levelOf(product.stock);
    const changed = this.product.stock !== product.stock;
    this.product = product;
    say(this.name, product.productName);
    say(this.price, dollars(product.price));
    say(this.stock, STOCK_TEXT[level](product.stock));
    say(this.add, level === "out" ? "Add anyway" : "Add to cart");
    this.add.setAttribute("aria-label", `${this.add.textContent}: ${product.productName}`);
    this.node.dataset.level = level;
    if (changed || !this.pips.childElementCount) drawPips(this.pips, product.stock);
  }
}

/** A dot a unit: dots that were there already stay, so that a style can let new ones fade in. */
function drawPips(pips, stock) {
  const count = Math.min(stock, MOST_PIPS);
  const rows = Math.ceil(MOST_PIPS / PIPS_A_ROW);
  pips.setAttribute("viewBox", `0 0 ${PIPS_A_ROW * PIP} ${rows * PIP}`);
  while (pips.childElementCount > count) pips.lastChild.remove();
  for (let i = pips.childElementCount; i < count; i += 1) {
    const [cx, cy] = [(i % PIPS_A_ROW) * PIP + PIP / 2, Math.floor(i / PIPS_A_ROW) * PIP + PIP / 2];
    pips.append(svg("circle", { cx, cy, r: 3.4 }));
  }
}
