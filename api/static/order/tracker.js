/** The order tracker: what of an order is shown, and where. */

import { byId, clock, dollars, el, say } from "../common/dom.js";
import { isTerminal, Path } from "./path.js";
import { Following } from "./following.js";
import { Trail } from "./trail.js";

const ENDS = {
  COMPLETED: "Completed: the customer has the confirmation.",
  INVENTORY_FAILED: "Out of stock: nothing was charged.",
  PAYMENT_FAILED: "Payment declined: nothing was charged, the stock goes back.",
};

const CONNECTIONS = {
  live: "live",
  reconnecting: "connection lost, reconnecting",
  polling: "no live connection, asking every 1.5 s",
  finished: "finished",
  unknown: "no such order",
};

export class Tracker {
  #catalog;
  #path = new Path(byId("path"));
  #trail;
  #following = null;
  #order = null;
  #onOrder;

  /** `onOrder(record)` is called with each version of the order that is seen. */
  constructor(catalog, onOrder) {
    this.#catalog = catalog;
    this.#onOrder = onOrder;
    this.#trail = new Trail(byId("trail"), catalog);
    byId("tracker-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.follow(byId("tracker-id").value.trim().toUpperCase());
    });
  }

  /** Follow the order from now on, over a reload too. */
  follow(orderId) {
    this.#following?.close();
    this.#order = null;
    this.#trail.clear();
    history.replaceState(null, "", `?order=${encodeURIComponent(orderId)}`);
    byId("tracker-id").value = orderId;
    byId("order-card").hidden = true;
    say(byId("tracker-problem"), "");
    say(byId("tracker-status"), `Looking for ${orderId}`);
    this.#connection("connecting");
    this.#following = new Following(orderId, {
      order: (order) => this.#show(order),
      event: (entry) => this.#add(entry),
      connection: (state) => this.#connection(state),
      problem: (text) => this.#problem(text),
    });
  }

  #connection(state) {
    byId("tracker-connection").dataset.state = state;
    say(byId("tracker-connection"), CONNECTIONS[state] ?? state);
  }

  #problem(text) {
    say(byId("tracker-problem"), text);
    if (text && !this.#order) say(byId("tracker-status"), "");
  }

  #add(entry) {
    this.#trail.add(entry);
    this.#showPath();
  }

  #show(order) {
    this.#order = order;
    this.#onOrder(order);
    byId("order-card").hidden = false;
    byId("order-card").dataset.order = order.orderId;
    say(byId("tracker-status"), `${order.orderId} is ${order.status}. ${ENDS[order.status] ?? ""}`);
    showFacts(order);
    showMail(order);
    this.#showPath();
  }

  #showPath() {
    if (!this.#order) return;
    const { status, createdAt, notifiedAt, releasedAt } = this.#order;
    const sincePlaced = (text) => Math.max(0, Date.parse(text) - Date.parse(createdAt));
    const times = { PENDING: 0 };
    for (const { eventType, recordedAt } of this.#trail.entries) {
      const means = this.#catalog.events[eventType]?.status;
      if (means && !(means in times)) times[means] = sincePlaced(recordedAt);
    }
    if (status === "COMPLETED" && notifiedAt) times.COMPLETED = sincePlaced(notifiedAt);
    const released =
      Boolean(releasedAt) || this.#trail.entries.some((entry) => entry.eventType === "inventory.released");
    this.#path.show(status, times, released);
  }
}

function showFacts(order) {
  const facts = [
    ["Order", order.orderId, "order-id"],
    ["Status", order.status, "order-status"],
    ["Amount", dollars(order.totalAmount), "order-amount"],
    [
      "Charged",
      order.chargedAmount === undefined ? nothingCharged(order) : dollars(order.chargedAmount),
      "order-charged",
    ],
    ["Transaction", order.transactionId ?? "none", "order-transaction"],
    ["Reason", order.failureReason, "order-reason"],
    ["Customer", order.customerId, "order-customer"],
    ["Placed", clock(order.createdAt), "order-placed"],
    ["Items", order.items.map((item) => `${item.quantity} × ${item.productName}`).join(", "), "order-items"],
  ];
  const shown = facts.filter(([, value]) => value !== undefined);
  byId("facts").replaceChildren(
    ...shown.map(([name, value, id]) => el("div", {}, el("dt", {}, name), el("dd", { id }, value))),
  );
}

const nothingCharged = (order) => (isTerminal(order.status) ? "nothing" : "not yet");

function showMail({ notification }) {
  byId("mail").hidden = !notification;
  if (!notification) return;
  say(byId("mail-subject"), notification.subject);
  say(byId("mail-text"), notification.text);
}
