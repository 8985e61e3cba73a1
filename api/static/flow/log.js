/** Every event that was seen, newest first: what the diagram shows, as text. */

import { button, byId, clock, duration, el } from "../common/dom.js";

const MOST_ROWS = 40;
const MOST_ORDERS = 200;

export class FlowLog {
  #catalog;
  #onOrder;
  #last = new Map();

  /** `onOrder(orderId)`: the user wants to see that order. */
  constructor(catalog, onOrder) {
    this.#catalog = catalog;
    this.#onOrder = onOrder;
  }

  event({ orderId, eventId, eventType, recordedAt }) {
    const before = this.#last.get(orderId);
    const since = before === undefined ? "" : `+${duration(Math.max(0, Date.parse(recordedAt) - before))}`;
    this.#last.set(orderId, Date.parse(recordedAt));
    if (this.#last.size > MOST_ORDERS) this.#last.delete(this.#last.keys().next().value);
    const takers = this.#catalog
      .takersOf(eventType)
      .map((service) => service.title)
      .join(", ");
    const title = this.#catalog.service(this.#catalog.producer(eventType))?.title ?? "unknown";
    this.#add(
      el(
        "li",
        {
          "data-event": eventType,
          "data-event-id": eventId,
          "data-order": orderId,
          "data-colour": this.#catalog.colourOf(eventType),
        },
        el("time", { datetime: recordedAt }, clock(recordedAt)),
        el("b", {}, eventType),
        el("span", { class: "since" }, since),
        el(
          "small",
          {},
          button(orderId, () => this.#onOrder(orderId), { class: "link", "aria-label": `Track ${orderId}` }),
          `: ${title} → topic → ${takers}`,
        ),
      ),
    );
  }

  deadLetters(service, count) {
    const title = this.#catalog.service(service)?.title ?? service;
    const text = count === 1 ? "A message" : `${count} messages`;
    this.#add(
      el(
        "li",
        { "data-dead-letters": service, "data-colour": "bad" },
        el("time", {}, clock(new Date().toISOString())),
        el("b", {}, "dead letter"),
        el("small", {}, `${text} of ${title} failed three times and went to its dead-letter queue`),
      ),
    );
  }

  #add(row) {
    const list = byId("flow-log");
    list.querySelector(".empty")?.remove();
    list.prepend(row);
    while (list.childElementCount > MOST_ROWS) list.lastElementChild.remove();
  }
}
