/** The shop: products with live stock, the cart, the checkout and the recent orders. */

import { button, byId, clock, dollars, el, KeyedList, say } from "./dom.js";
import { get, poll, post } from "./api.js";
import { Stored } from "./stored.js";

const REFRESH_MS = 5000;
const LOW_STOCK = 5;
const MAX_RECENT = 12;

/** The gateway's test tokens (`workers/gateway.py`), and the outcome that each of them forces. */
const OUTCOMES = [
  ["", "Random: 80 of 100 are accepted"],
  ["pm_card_visa", "Always accepted"],
  ["pm_card_declined_insufficient_funds", "Declined: insufficient funds"],
  ["pm_card_declined_expired", "Declined: card expired"],
  ["pm_card_declined_bank", "Declined by the issuing bank"],
  ["pm_card_declined_fraud", "Declined: suspected fraud"],
];

const storedCart = new Stored("localStorage", "shopflow.cart");
const storedRecent = new Stored("localStorage", "shopflow.recent");
const storedAttempt = new Stored("sessionStorage", "shopflow.attempt");

/**
 * Shows the products and refreshes them every 5 s. Calls `onAdd(productId)` when the customer adds one to the cart, and
 * `onProducts(products)` with fresh prices and stock. Returns a function that refreshes at once.
 */
export function startProducts(onAdd, onProducts) {
  const list = new KeyedList(byId("products"), (productId) => productRow(productId, onAdd));
  const refresh = async () => {
    try {
      const products = await get("/products");
      list.show(products.map((product) => [product.productId, product]));
      say(byId("shop-problem"), "");
      onProducts(products);
    } catch (error) {
      say(byId("shop-problem"), `The stock is not up to date: ${error.message}.`);
    }
  };
  return poll(refresh, REFRESH_MS).now;
}

function productRow(productId, onAdd) {
  const name = el("h3", {});
  const price = el("p", { class: "price" });
  const stock = el("p", { class: "stock", "data-testid": "stock" });
  const add = button("", () => onAdd(productId));
  const node = el("li", { "data-product": productId }, name, price, stock, add);
  const update = (product) => {
    const [level, text] = stockLevel(product.stock);
    node.dataset.level = level;
    say(name, product.productName);
    say(price, dollars(product.price));
    say(stock, text);
    say(add, level === "out" ? "Add anyway" : "Add to cart");
    add.setAttribute("aria-label", `${add.textContent}: ${product.productName}`);
  };
  return { node, update };
}

function stockLevel(stock) {
  if (stock < 1) return ["out", "Out of stock"];
  return stock <= LOW_STOCK ? ["low", `Low stock: ${stock} left`] : ["in", `${stock} in stock`];
}

/** What the customer wants to order, even if there is less in stock. */
export class Cart {
  #quantities = new Map(storedCart.read());
  #products = new Map();
  #list = new KeyedList(byId("cart"), (productId) => this.#line(productId));

  /** The items as `POST /orders` takes them. */
  get items() {
    return [...this.#quantities].map(([productId, quantity]) => ({ productId, quantity }));
  }

  setProducts(products) {
    this.#products = new Map(products.map((product) => [product.productId, product]));
    this.#show();
  }

  add(productId) {
    this.#set(productId, (this.#quantities.get(productId) ?? 0) + 1);
  }

  clear() {
    this.#quantities.clear();
    this.#changed();
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
    this.#list.show([...this.#quantities]);
    const isEmpty = this.#quantities.size === 0;
    const cents = this.items.reduce((sum, { productId, quantity }) => sum + this.#cents(productId) * quantity, 0);
    byId("cart-empty").hidden = !isEmpty;
    byId("place").disabled = isEmpty;
    say(byId("total"), isEmpty ? "The cart is empty" : `Total ${dollars(cents / 100)}`);
  }

  #cents(productId) {
    return Math.round((this.#products.get(productId)?.price ?? 0) * 100);
  }

  #line(productId) {
    const name = el("span", { class: "name" });
    const input = el("input", { type: "number", min: 1, step: 1, inputmode: "numeric" });
    const cost = el("span", { class: "cost" });
    const remove = button("×", () => this.#remove(productId), { class: "remove" });
    const beyond = el("small", { class: "beyond", "data-testid": "beyond-stock" });
    input.addEventListener("change", () => this.#set(productId, Number(input.value)));
    const update = (quantity) => {
      const product = this.#products.get(productId);
      const title = product?.productName ?? productId;
      const isBeyond = product && quantity > product.stock;
      say(name, title);
      input.value = quantity;
      input.setAttribute("aria-label", `Quantity of ${title}`);
      say(cost, dollars((this.#cents(productId) * quantity) / 100));
      remove.setAttribute("aria-label", `Remove ${title}`);
      say(beyond, isBeyond ? `Only ${product.stock} in stock: this order will fail` : "");
    };
    return { node: el("li", { "data-product": productId }, name, input, cost, remove, beyond), update };
  }
}

export const outcomeOptions = () => OUTCOMES.map(([value, text]) => el("option", { value }, text));

export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Places an order and returns the API's answer. The same order with the same key is placed only once. */
export function placeOrder(customerId, items, paymentMethod, email, key) {
  const request = { customerId, items, ...(paymentMethod && { paymentMethod }), ...(email && { email }) };
  return post("/orders", request, { "Idempotency-Key": key });
}

/** Starts the order form. Calls `onPlaced(answer)` with the API's answer to each order. */
export function startCheckout(cart, onPlaced) {
  byId("payment").replaceChildren(...outcomeOptions());
  byId("order-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    byId("place").disabled = true;
    say(byId("problem"), "");
    const order = [byId("customer").value, cart.items, byId("payment").value, byId("email").value.trim()];
    try {
      const answer = await placeOrder(...order, keyFor(order));
      storedAttempt.write(null);
      cart.clear();
      onPlaced(answer);
    } catch (error) {
      const advice = ". Your cart is kept. Place the order again: you will get it only once.";
      say(byId("problem"), error.message + (error.status === null ? advice : ""));
      byId("place").disabled = false;
    }
  });
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
  #list;

  /** Calls `onChoose(orderId)` when the user chooses one. */
  constructor(onChoose) {
    this.#list = new KeyedList(byId("recent-orders"), (orderId) => recentRow(orderId, onChoose));
    this.#show();
  }

  /** Takes in an order's record, or a newer version of it. */
  keep({ orderId, status, totalAmount, createdAt }) {
    const known = this.#orders.find((order) => order.orderId === orderId);
    if (known) known.status = status;
    else {
      this.#orders.unshift({ orderId, status, totalAmount, createdAt: createdAt ?? new Date().toISOString() });
      this.#orders.length = Math.min(this.#orders.length, MAX_RECENT);
    }
    storedRecent.write(this.#orders);
    this.#show();
  }

  /** Takes in the status of any order; one that is not listed changes nothing. */
  setStatus(orderId, status) {
    if (this.#orders.some((order) => order.orderId === orderId)) this.keep({ orderId, status });
  }

  #show() {
    if (this.#orders.length === 0) return;
    this.#list.show(this.#orders.map((order) => [order.orderId, order]));
    byId("known-orders").replaceChildren(...this.#orders.map(({ orderId }) => el("option", { value: orderId })));
  }
}

function recentRow(orderId, onChoose) {
  const status = el("span", { class: "status" });
  const cost = el("span", { class: "cost" });
  const time = el("time", {});
  const choose = button("", () => onChoose(orderId), { "data-order": orderId });
  choose.append(el("code", {}, orderId), status, cost, time);
  const update = (order) => {
    status.dataset.status = order.status;
    say(status, order.status);
    say(cost, dollars(order.totalAmount));
    say(time, clock(order.createdAt).slice(0, 5));
  };
  return { node: el("li", {}, choose), update };
}
