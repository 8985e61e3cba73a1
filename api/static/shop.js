/** The shop: products with live stock, the cart, the checkout and the recent orders. */

import { button, byId, clock, dollars, el, say, show, statusBadge } from "./dom.js";
import { get, poll, post } from "./api.js";
import { Stored } from "./page.js";

const REFRESH_MS = 5000;
const LOW_STOCK = 5;
const MAX_RECENT = 12;

/** The gateway's test tokens (`workers/gateway.py`), and the outcome that each of them forces. */
const OUTCOMES = [
  ["", "Random: accepted or declined"],
  ["pm_card_visa", "Always accepted"],
  ["pm_card_declined_insufficient_funds", "Declined: insufficient funds"],
  ["pm_card_declined_expired", "Declined: card expired"],
  ["pm_card_declined_bank", "Declined by the issuing bank"],
  ["pm_card_declined_fraud", "Declined: suspected fraud"],
];

const storedCart = new Stored("shopflow.cart");
const storedRecent = new Stored("shopflow.recent");
const storedAttempt = new Stored("shopflow.attempt", "sessionStorage");

export const outcomeOptions = () => OUTCOMES.map(([value, text]) => el("option", { value }, text));

/**
 * Places an order and returns the API's answer. The same order with the same key is placed only once. An empty text
 * means that the customer gave none.
 */
export function placeOrder({ paymentMethod, email, ...order }, key = newKey()) {
  const request = { ...order, ...(paymentMethod && { paymentMethod }), ...(email && { email }) };
  return post("/orders", request, { "Idempotency-Key": key });
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Says that an order was placed, with a button that tracks it. */
export function showPlaced(id, text, { orderId }, track) {
  show(byId(id), text, button(`Track ${orderId}`, () => track(orderId), { class: "link" }));
}

/** The products, and what the customer wants of them, even if there is less in stock. */
export class Shop {
  #products = new Map();
  #quantities = new Map(storedCart.read());
  #onPlaced;
  #looking;

  /** Calls `onPlaced(answer)` with the API's answer to each order. */
  constructor(onPlaced) {
    this.#onPlaced = onPlaced;
    byId("payment").replaceChildren(...outcomeOptions());
    byId("order-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#place();
    });
    this.#looking = poll(() => this.#look(), REFRESH_MS);
  }

  /** Gets the stock at once. */
  refresh() {
    this.#looking.now();
  }

  async #look() {
    try {
      const products = await get("/products");
      say(byId("shop-problem"), "");
      this.#products = new Map(products.map((product) => [product.productId, product]));
      this.#show();
    } catch (error) {
      say(byId("shop-problem"), `The stock is not up to date: ${error.message}.`);
    }
  }

  #set(productId, quantity) {
    this.#quantities.set(productId, Math.max(1, Math.floor(quantity) || 1));
    this.#changed();
  }

  #remove(productId) {
    this.#quantities.delete(productId);
    this.#changed();
    byId("cart-title").focus();
  }

  #changed() {
    storedCart.write([...this.#quantities]);
    this.#show();
  }

  #show() {
    const lines = [...this.#quantities];
    const cents = lines.reduce((sum, [productId, quantity]) => sum + this.#cents(productId) * quantity, 0);
    show(byId("products"), ...[...this.#products.values()].map((product) => this.#product(product)));
    show(byId("cart"), ...lines.map(([productId, quantity]) => this.#line(productId, quantity)));
    byId("cart-empty").hidden = lines.length > 0;
    byId("place").disabled = lines.length === 0;
    say(byId("total"), lines.length ? `Total ${dollars(cents / 100)}` : "The cart is empty");
  }

  #cents(productId) {
    return Math.round((this.#products.get(productId)?.price ?? 0) * 100);
  }

  #product({ productId, productName, price, stock }) {
    const [level, stockText] = stockLevel(stock);
    const text = level === "out" ? "Add anyway" : "Add to cart";
    const add = () => this.#set(productId, (this.#quantities.get(productId) ?? 0) + 1);
    return el(
      "li",
      { key: productId, "data-product": productId, "data-level": level },
      el("h3", {}, productName),
      el("p", { class: "price" }, dollars(price)),
      el("p", { class: "stock", "data-testid": "stock" }, stockText),
      button(text, add, { "aria-label": `${text}: ${productName}` }),
    );
  }

  #line(productId, quantity) {
    const { productName = productId, stock = Infinity } = this.#products.get(productId) ?? {};
    const onchange = ({ target }) => this.#set(productId, Number(target.value));
    const input = { type: "number", min: 1, step: 1, inputmode: "numeric", value: quantity, onchange };
    const remove = { class: "remove", "aria-label": `Remove ${productName}` };
    const beyond = quantity > stock ? `Only ${stock} in stock: this order will fail` : "";
    return el(
      "li",
      { key: productId, "data-product": productId },
      el("span", { class: "name" }, productName),
      el("input", { ...input, "aria-label": `Quantity of ${productName}` }),
      el("span", { class: "cost" }, dollars((this.#cents(productId) * quantity) / 100)),
      button("×", () => this.#remove(productId), remove),
      el("small", { class: "beyond" }, beyond),
    );
  }

  async #place() {
    const order = {
      customerId: byId("customer").value,
      items: [...this.#quantities].map(([productId, quantity]) => ({ productId, quantity })),
      paymentMethod: byId("payment").value,
      email: byId("email").value.trim(),
    };
    byId("place").disabled = true;
    say(byId("problem"), "");
    try {
      const answer = await placeOrder(order, keyFor(order));
      storedAttempt.write(null);
      this.#quantities.clear();
      this.#changed();
      this.#onPlaced(answer);
    } catch (error) {
      const advice = ". Your cart is kept. Place the order again: you will get it only once.";
      say(byId("problem"), error.message + (error.status === null ? advice : ""));
      byId("place").disabled = false;
    }
  }
}

function stockLevel(stock) {
  if (stock < 1) return ["out", "Out of stock"];
  return stock <= LOW_STOCK ? ["low", `Low stock: ${stock} left`] : ["in", `${stock} in stock`];
}

/** The key of the last attempt if that was the same order and got no answer yet, else a new one. */
function keyFor(order) {
  const text = JSON.stringify(order);
  const last = storedAttempt.read();
  const key = last?.text === text ? last.key : newKey();
  storedAttempt.write({ text, key });
  return key;
}

/** The orders placed or tracked in this browser, kept over a reload. */
export class RecentOrders {
  #orders = storedRecent.read() ?? [];
  #onChoose;

  /** Calls `onChoose(orderId)` when the user chooses one. */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#show();
  }

  /** Takes in an order's record, or a newer version of it. */
  keep({ orderId, status, totalAmount, createdAt = new Date().toISOString() }) {
    if (this.setStatus(orderId, status)) return;
    this.#orders = [{ orderId, status, totalAmount, createdAt }, ...this.#orders].slice(0, MAX_RECENT);
    this.#show();
  }

  /** Takes in the status of any order. Returns whether it is listed. */
  setStatus(orderId, status) {
    const known = this.#orders.find((order) => order.orderId === orderId);
    if (!known) return false;
    known.status = status;
    this.#show();
    return true;
  }

  #show() {
    if (this.#orders.length === 0) return;
    storedRecent.write(this.#orders);
    show(byId("recent-orders"), ...this.#orders.map((order) => this.#row(order)));
    show(byId("known-orders"), ...this.#orders.map(({ orderId }) => el("option", { value: orderId })));
  }

  #row({ orderId, status, totalAmount, createdAt }) {
    const choose = el(
      "button",
      { type: "button", "data-order": orderId, onclick: () => this.#onChoose(orderId) },
      el("code", {}, orderId),
      statusBadge(status),
      el("span", { class: "cost" }, dollars(totalAmount)),
      el("time", {}, clock(createdAt).slice(0, 5)),
    );
    return el("li", { key: orderId }, choose);
  }
}
