/** One order: its live feed, its status path, its audit trail, and the tracker that shows them. */

import { byId, clock, dollars, duration, el, itemsText, onOrderForm, say, showConnection } from "./dom.js";
import { getOrder, listen, orderPath, poll } from "./api.js";

const POLL_MS = 1500;
const FAILURES_BEFORE_POLLING = 2;

const STEPS = [
  { status: "PENDING", title: "Placed", colour: "cyan", kind: "main" },
  { status: "INVENTORY_FAILED", title: "Out of stock", colour: "red", kind: "branch" },
  { status: "INVENTORY_RESERVED", title: "Stock reserved", colour: "green", kind: "main" },
  { status: "PAYMENT_FAILED", title: "Declined", colour: "red", kind: "branch" },
  { status: "PAYMENT_PROCESSED", title: "Paid", colour: "yellow", kind: "main" },
  { status: "COMPLETED", title: "Customer notified", colour: "magenta", kind: "main" },
];

/** The statuses that an order has been through when it has a status. */
const HISTORY = {
  PENDING: ["PENDING"],
  INVENTORY_FAILED: ["PENDING", "INVENTORY_FAILED"],
  INVENTORY_RESERVED: ["PENDING", "INVENTORY_RESERVED"],
  PAYMENT_FAILED: ["PENDING", "INVENTORY_RESERVED", "PAYMENT_FAILED"],
  PAYMENT_PROCESSED: ["PENDING", "INVENTORY_RESERVED", "PAYMENT_PROCESSED"],
  COMPLETED: ["PENDING", "INVENTORY_RESERVED", "PAYMENT_PROCESSED", "COMPLETED"],
};

/** The last event of an order that ends in a status. */
const LAST_EVENT = {
  COMPLETED: "payment.processed",
  INVENTORY_FAILED: "inventory.failed",
  PAYMENT_FAILED: "inventory.released",
};

const RESULT = {
  COMPLETED: "The customer has the confirmation.",
  INVENTORY_FAILED: "Out of stock: nothing was charged.",
  PAYMENT_FAILED: "Payment declined: nothing was charged, and the stock is released.",
};

const STATE_TEXT = { ahead: "not yet", reached: "reached", failed: "failed here", skipped: "will not be reached" };

const CONNECTION_TEXT = {
  connecting: "connecting",
  live: "live",
  reconnecting: "connection lost, reconnecting",
  polling: "no live connection, checking every 1.5 s",
  finished: "finished",
  unknown: "no such order",
};

/** Whether no step of the saga is left. */
export const isTerminal = (status) => status in LAST_EVENT;

/** The record and events of one order: from its stream, or by polling while there is no stream. */
class OrderFeed {
  #orderId;
  #view;
  #stream = null;
  #poll = null;
  #closed = false;

  /**
   * Calls `view.order(record)`, `view.event(entry)`, `view.problem(text)` and `view.connection(state)` until the order
   * is finished or `close()` is called. An entry can come twice. The states are the keys of `CONNECTION_TEXT`.
   */
  constructor(orderId, view) {
    this.#orderId = orderId;
    this.#view = view;
    this.#start();
  }

  close() {
    this.#closed = true;
    this.#stream?.close();
    this.#poll?.stop();
  }

  async #start() {
    await this.#refresh();
    if (this.#closed) return;
    this.#stream = listen(
      `${orderPath(this.#orderId)}/stream`,
      (message) => this.#receive(message),
      (state, failures) => this.#setConnection(state, failures),
    );
  }

  async #refresh() {
    try {
      const [order, entries] = await getOrder(this.#orderId);
      if (this.#closed) return;
      this.#view.problem("");
      entries.forEach((entry) => this.#view.event(entry));
      this.#view.order(order);
      const hasLastEvent = entries.some((entry) => entry.eventType === LAST_EVENT[order.status]);
      if (order.notifiedAt && hasLastEvent) this.#end("finished");
    } catch (error) {
      if (this.#closed) return;
      this.#view.problem(error.message);
      if (error.status === 404) this.#end("unknown");
    }
  }

  #receive(message) {
    if (message.type === "status") this.#view.order(message.order);
    if (message.type === "audit") this.#view.event(message);
    if (message.type === "error") this.#view.problem(message.message);
    if (message.type === "done") {
      this.#stream.close();
      this.#startPolling(); // the customer may be notified after the last event
    }
  }

  #setConnection(state, failures) {
    if (state === "live") {
      this.#poll?.stop();
      this.#poll = null;
      this.#view.problem("");
      this.#view.connection("live");
    } else if (state === "refused" || failures >= FAILURES_BEFORE_POLLING) {
      this.#startPolling();
      this.#view.connection("polling");
    } else {
      this.#view.connection("reconnecting");
    }
  }

  #startPolling() {
    this.#poll ??= poll(() => this.#refresh(), POLL_MS);
  }

  #end(connection) {
    this.close();
    this.#view.connection(connection);
  }
}

/** The status path: four steps, and a branch at each place where an order can fail. */
class Path {
  #steps;

  constructor(list) {
    this.#steps = STEPS.map(({ status, title, colour, kind }) => {
      const [time, note, state] = [el("small", {}), el("small", { class: "note" }), el("span", { class: "hidden" })];
      const attributes = { "data-status": status, "data-colour": colour, "data-kind": kind };
      const node = el("li", attributes, el("b", {}, title), el("code", {}, status), time, note, state);
      return { status, node, time, note, state };
    });
    list.replaceChildren(...this.#steps.map(({ node }) => node));
  }

  /** `times`: milliseconds since the order was placed, by status. `released`: its stock was released. */
  show(current, times, released) {
    const last = this.#steps.findLastIndex(({ status }) => HISTORY[current].includes(status));
    this.#steps.forEach(({ status, node, time, note, state }, i) => {
      node.dataset.state = stateOf(status, current);
      node.toggleAttribute("data-current", status === current);
      node.toggleAttribute("data-onward", i < last);
      if (status === current) node.setAttribute("aria-current", "step");
      else node.removeAttribute("aria-current");
      say(time, status in times ? `+${duration(times[status])}` : "");
      say(note, status === "PAYMENT_FAILED" && released ? "stock released" : "");
      say(state, STATE_TEXT[node.dataset.state]);
    });
  }
}

function stateOf(step, current) {
  if (HISTORY[current].includes(step)) return step.endsWith("_FAILED") ? "failed" : "reached";
  return HISTORY[step].includes(current) ? "ahead" : "skipped";
}

/** An order's audit trail, with the time between its events. */
class Trail {
  #list;
  #catalog;
  entries = [];

  constructor(list, catalog) {
    this.#list = list;
    this.#catalog = catalog;
  }

  clear() {
    this.entries = [];
    this.#list.replaceChildren(el("li", { class: "empty" }, "No events yet."));
  }

  /** Adds an entry in causal order, which is the order of the event ids. Ignores one that it has. */
  add(entry) {
    if (this.entries.some(({ eventId }) => eventId === entry.eventId)) return;
    this.entries = [...this.entries, entry].sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
    this.#list.replaceChildren(
      ...this.entries.map((each, i) =>
        eventRow(this.#catalog, each, this.entries[i - 1]?.recordedAt, el("code", { class: "id" }, each.eventId)),
      ),
    );
  }
}

/** A row for an event. `before`: when the order's previous event was recorded, if there was one. */
export function eventRow(catalog, { eventId, eventType, recordedAt }, before, detail) {
  const since = before ? `+${duration(Math.max(0, Date.parse(recordedAt) - Date.parse(before)))}` : "";
  return el(
    "li",
    { "data-event": eventType, "data-event-id": eventId, "data-colour": catalog.colourOf(eventType) },
    el("time", { datetime: recordedAt }, clock(recordedAt)),
    el("b", {}, eventType),
    el("span", { class: "since" }, since),
    detail,
  );
}

/** Shows one order at a time, live. */
export class Tracker {
  #catalog;
  #onOrder;
  #path = new Path(byId("path"));
  #trail;
  #feed = null;
  #order = null;

  /** Calls `onOrder(record)` with each version of the order. */
  constructor(catalog, onOrder) {
    this.#catalog = catalog;
    this.#onOrder = onOrder;
    this.#trail = new Trail(byId("trail"), catalog);
    onOrderForm("tracker-form", "tracker-id", (orderId) => this.follow(orderId));
  }

  /** Shows this order from now on, also after a reload. */
  follow(orderId) {
    this.#feed?.close();
    this.#order = null;
    this.#trail.clear();
    history.replaceState(null, "", `?order=${encodeURIComponent(orderId)}`);
    byId("tracker-id").value = orderId;
    byId("order-card").hidden = true;
    say(byId("tracker-problem"), "");
    say(byId("tracker-status"), `Looking for ${orderId}`);
    const showState = (state) => showConnection("tracker-connection", state, CONNECTION_TEXT[state]);
    showState("connecting");
    this.#feed = new OrderFeed(orderId, {
      order: (order) => this.#show(order),
      event: (entry) => this.#add(entry),
      connection: showState,
      problem: (text) => this.#showProblem(text),
    });
  }

  #showProblem(text) {
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
    say(byId("tracker-status"), `${order.orderId} is ${order.status}. ${RESULT[order.status] ?? ""}`);
    showFacts(order);
    byId("mail").hidden = !order.notification;
    say(byId("mail-subject"), order.notification?.subject ?? "");
    say(byId("mail-text"), order.notification?.text ?? "");
    this.#showPath();
  }

  #showPath() {
    if (!this.#order) return;
    const { status, createdAt, notifiedAt, releasedAt } = this.#order;
    const sincePlaced = (text) => Math.max(0, Date.parse(text) - Date.parse(createdAt));
    const times = { PENDING: 0 };
    for (const { eventType, recordedAt } of this.#trail.entries) {
      const reached = this.#catalog.events[eventType]?.status;
      if (reached && !(reached in times)) times[reached] = sincePlaced(recordedAt);
    }
    if (status === "COMPLETED" && notifiedAt) times.COMPLETED = sincePlaced(notifiedAt);
    this.#path.show(status, times, Boolean(releasedAt));
  }
}

function showFacts(order) {
  const notCharged = isTerminal(order.status) ? "nothing" : "not yet";
  const facts = [
    ["Order", order.orderId, "order-id"],
    ["Status", order.status, "order-status"],
    ["Amount", dollars(order.totalAmount), "order-amount"],
    ["Charged", order.chargedAmount === undefined ? notCharged : dollars(order.chargedAmount), "order-charged"],
    ["Transaction", order.transactionId ?? "none", "order-transaction"],
    ["Reason", order.failureReason, "order-reason"],
    ["Customer", order.customerId, "order-customer"],
    ["Placed", clock(order.createdAt), "order-placed"],
    ["Items", itemsText(order.items), "order-items"],
  ];
  const shown = facts.filter(([, value]) => value !== undefined);
  byId("facts").replaceChildren(
    ...shown.map(([name, value, id]) => el("div", {}, el("dt", {}, name), el("dd", { id }, value))),
  );
}
