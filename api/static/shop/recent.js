/** The orders placed or tracked in this browser, kept over a reload. */

import { button, byId, clock, dollars, el } from "../common/dom.js";
import { local, remember, remembered } from "../common/storage.js";

const KEY = "shopflow.recent";
const MOST = 12;

export class RecentOrders {
  #orders = stored();
  #onChoose;

  /** `onChoose(orderId)`: the user wants to see that one. */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#show();
  }

  get ids() {
    return this.#orders.map((order) => order.orderId);
  }

  /** Remember an order's record, or its latest version: `{orderId, status, totalAmount, createdAt}`. */
  keep({ orderId, status, totalAmount, createdAt }) {
    const known = this.#orders.find((order) => order.orderId === orderId);
    if (known?.status === status && known.createdAt) return;
    const order = { orderId, status, totalAmount, createdAt: createdAt ?? new Date().toISOString() };
    if (known) Object.assign(known, order);
    else this.#orders = [order, ...this.#orders].slice(0, MOST);
    remember(local, KEY, this.#orders);
    this.#show();
  }

  /** An order that may be among them has this status now. */
  update(orderId, status) {
    const known = this.#orders.find((order) => order.orderId === orderId);
    if (known) this.keep({ ...known, status });
  }

  #show() {
    const focused = document.activeElement?.dataset.order;
    const rows = this.#orders.map((order) => this.#row(order));
    byId("recent-orders").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "None yet.")]));
    byId("known-orders").replaceChildren(...this.ids.map((value) => el("option", { value })));
    if (focused)
      byId("recent-orders")
        .querySelector(`[data-order="${CSS.escape(focused)}"]`)
        ?.focus();
  }

  #row({ orderId, status, totalAmount, createdAt }) {
    const choose = button("", () => this.#onChoose(orderId), { "data-order": orderId });
    choose.append(
      el("code", {}, orderId),
      el("span", { class: "status", "data-status": status }, status),
      el("span", { class: "cost" }, dollars(totalAmount)),
      el("time", { datetime: createdAt }, clock(createdAt).slice(0, 5)),
    );
    return el("li", {}, choose);
  }
}

function stored() {
  const orders = remembered(local, KEY);
  if (!Array.isArray(orders)) return [];
  return orders
    .filter((order) => /^ORD-\w{8}$/.test(order?.orderId) && Number.isFinite(order.totalAmount))
    .slice(0, MOST);
}
