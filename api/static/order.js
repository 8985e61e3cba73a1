/** One order: its live feed, its status path, its audit trail, and the tracker that shows them. */

import { byId, clock, dollars, duration, el, itemsText, onOrderForm, say, show, showConnection } from "./dom.js";
import { getOrder, listen, orderPath, poll } from "./api.js";

const POLL_MS = 1500;
const FAILURES_BEFORE_POLLING = 2;

/** The steps of the status path. `after`: the status that an order has before. A failure is a branch of the path. */
const STEPS = {
  PENDING: { title: "Placed", colour: "cyan" },
  INVENTORY_FAILED: { title: "Out of stock", colour: "red", after: "PENDING" },
  INVENTORY_RESERVED: { title: "Stock reserved", colour: "green", after: "PENDING" },
  PAYMENT_FAILED: { title: "Declined", colour: "red", after: "INVENTORY_RESERVED" },
  PAYMENT_PROCESSED: { title: "Paid", colour: "yellow", after: "INVENTORY_RESERVED" },
  COMPLETED: { title: "Customer notified", colour: "magenta", after: "PAYMENT_PROCESSED" },
};
const STATE_TEXT = { ahead: "not yet", reached: "reached", failed: "failed here", skipped: "will not be reached" };

/** How an order can end. */
const ENDS = {
  COMPLETED: { lastEvent: "payment.processed", text: "The customer has the confirmation." },
  INVENTORY_FAILED: { lastEvent: "inventory.failed", text: "Out of stock: nothing was charged." },
  PAYMENT_FAILED: { lastEvent: "inventory.released", text: "Declined: nothing was charged, the stock is released." },
};

const CONNECTION_TEXT = {
  connecting: "connecting",
  live: "live",
  reconnecting: "connection lost, reconnecting",
  polling: "no live connection, checking every 1.5 s",
  finished: "finished",
  unknown: "no such order",
};

/** Whether no step of the saga is left. */
export const isTerminal = (status) => status in ENDS;

/** Whether an order with the status `current` has reached `step`. */
const hasReached = (current, step) => current === step || (current && hasReached(STEPS[current].after, step));

/**
 * Follows one order: by its stream, or by polling while there is no stream. Calls `view.showOrder(record)`,
 * `view.addEvent(entry)`, `view.showProblem(text)` and `view.showState(state)` until the order is finished or the
 * function that this returns is called. An entry can come twice. The states are the keys of `CONNECTION_TEXT`.
 */
function follow(orderId, view) {
  let stream;
  let looking;
  let isClosed = false;

  function close() {
    isClosed = true;
    stream?.close();
    looking?.stop();
  }

  function end(state) {
    close();
    view.showState(state);
  }

  async function look() {
    try {
      const [order, entries] = await getOrder(orderId);
      if (isClosed) return;
      view.showProblem("");
      entries.forEach((entry) => view.addEvent(entry));
      view.showOrder(order);
      const hasLastEvent = entries.some(({ eventType }) => eventType === ENDS[order.status]?.lastEvent);
      if (order.notifiedAt && hasLastEvent) end("finished");
    } catch (error) {
      if (isClosed) return;
      view.showProblem(error.message);
      if (error.status === 404) end("unknown");
    }
  }

  function receive({ type, order, message, ...entry }) {
    if (type === "status") view.showOrder(order);
    if (type === "audit") view.addEvent(entry);
    if (type === "error") view.showProblem(message);
    if (type !== "done") return;
    stream.close();
    looking ??= poll(look, POLL_MS); // the customer may be notified after the last event
  }

  function setState(state, failures) {
    if (state === "live") {
      looking?.stop();
      looking = null;
      view.showProblem("");
      view.showState("live");
    } else if (state === "refused" || failures >= FAILURES_BEFORE_POLLING) {
      looking ??= poll(look, POLL_MS);
      view.showState("polling");
    } else {
      view.showState("reconnecting");
    }
  }

  look().then(() => {
    if (!isClosed) stream = listen(`${orderPath(orderId)}/stream`, receive, setState);
  });
  return close;
}

/** A row for an event. `before`: when the order's previous event was recorded, if there was one. */
export function eventRow(catalog, { eventId, eventType, recordedAt }, before, detail) {
  const since = before ? `+${duration(Math.max(0, Date.parse(recordedAt) - Date.parse(before)))}` : "";
  return el(
    "li",
    { key: eventId, "data-event": eventType, "data-colour": catalog.colourOf(eventType) },
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
  #stop;
  #order;
  #entries;

  /** Calls `onOrder(record)` with each version of the order. */
  constructor(catalog, onOrder) {
    this.#catalog = catalog;
    this.#onOrder = onOrder;
    onOrderForm("tracker-form", "tracker-id", (orderId) => this.follow(orderId));
  }

  /** Shows this order from now on, also after a reload. */
  follow(orderId) {
    this.#stop?.();
    this.#order = null;
    this.#entries = [];
    history.replaceState(null, "", `?order=${encodeURIComponent(orderId)}`);
    byId("tracker-id").value = orderId;
    byId("order-card").hidden = true;
    say(byId("tracker-problem"), "");
    say(byId("tracker-status"), `Looking for ${orderId}`);
    show(byId("trail"), el("li", { class: "empty" }, "No events yet."));
    this.showState("connecting");
    this.#stop = follow(orderId, this);
  }

  showState(state) {
    showConnection("tracker-connection", state, CONNECTION_TEXT[state]);
  }

  showProblem(text) {
    say(byId("tracker-problem"), text);
    if (text && !this.#order) say(byId("tracker-status"), "");
  }

  /** Adds an entry in causal order, which is the order of the event ids. Ignores one that it has. */
  addEvent(entry) {
    if (this.#entries.some(({ eventId }) => eventId === entry.eventId)) return;
    this.#entries = [...this.#entries, entry].sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
    const row = (each, i) =>
      eventRow(this.#catalog, each, this.#entries[i - 1]?.recordedAt, el("code", { class: "id" }, each.eventId));
    show(byId("trail"), ...this.#entries.map(row));
    if (this.#order) this.#showPath();
  }

  showOrder(order) {
    this.#order = order;
    this.#onOrder(order);
    byId("order-card").hidden = false;
    byId("order-card").dataset.order = order.orderId;
    say(byId("tracker-status"), `${order.orderId} is ${order.status}. ${ENDS[order.status]?.text ?? ""}`);
    showFacts(order);
    byId("mail").hidden = !order.notification;
    say(byId("mail-subject"), order.notification?.subject ?? "");
    say(byId("mail-text"), order.notification?.text ?? "");
    this.#showPath();
  }

  #showPath() {
    const { status, createdAt, notifiedAt, releasedAt } = this.#order;
    const sincePlaced = (text) => Math.max(0, Date.parse(text) - Date.parse(createdAt));
    const times = { PENDING: 0 };
    for (const { eventType, recordedAt } of this.#entries) {
      const reached = this.#catalog.events[eventType]?.status;
      if (reached) times[reached] ??= sincePlaced(recordedAt);
    }
    if (status === "COMPLETED" && notifiedAt) times.COMPLETED = sincePlaced(notifiedAt);
    const last = Object.keys(STEPS).findLastIndex((step) => hasReached(status, step));
    const step = ([name, { title, colour }], i) => {
      const state = stateOf(name, status);
      return el(
        "li",
        {
          "data-status": name,
          "data-colour": colour,
          "data-state": state,
          "data-current": name === status,
          "data-onward": i < last,
          "aria-current": name === status && "step",
        },
        el("b", {}, title),
        el("code", {}, name),
        el("small", {}, name in times ? `+${duration(times[name])}` : ""),
        el("small", { class: "note" }, name === "PAYMENT_FAILED" && releasedAt ? "stock released" : ""),
        el("span", { class: "hidden" }, STATE_TEXT[state]),
      );
    };
    show(byId("path"), ...Object.entries(STEPS).map(step));
  }
}

function stateOf(step, current) {
  if (hasReached(current, step)) return step.endsWith("_FAILED") ? "failed" : "reached";
  return hasReached(step, current) ? "ahead" : "skipped";
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
  show(
    byId("facts"),
    ...shown.map(([name, value, id]) => el("div", {}, el("dt", {}, name), el("dd", { id }, value))),
  );
}
