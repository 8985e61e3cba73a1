/** One order, followed live: by its stream, or by asking again and again while there is none. */

import { ApiError, get, regularly } from "../common/http.js";
import { isTerminal } from "./path.js";
import { listen } from "../common/sse.js";

const POLL_MS = 1500;
const LOST_BEFORE_POLLING = 2;

/** The last event of an order, by the status it ends in. */
const LAST_EVENT = {
  COMPLETED: "payment.processed",
  INVENTORY_FAILED: "inventory.failed",
  PAYMENT_FAILED: "inventory.released",
};

/** Whether nothing more is to come of `order`. */
export const isFinished = (order, entries) =>
  isTerminal(order.status) &&
  Boolean(order.notifiedAt) &&
  entries.some((entry) => entry.eventType === LAST_EVENT[order.status]);

/**
 * Follows an order until it is finished or `close()`d. `view` is told: `order(record)`, `event(entry)`,
 * `connection("live" | "reconnecting" | "polling" | "finished" | "unknown")` and `problem(text)`; an entry can be told twice.
 */
export class Following {
  #path;
  #view;
  #stream = null;
  #poll = null;
  #closed = false;

  constructor(orderId, view) {
    this.#path = `/orders/${encodeURIComponent(orderId)}`;
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
      `${this.#path}/stream`,
      (message) => this.#heard(message),
      (state, failures) => this.#connection(state, failures),
    );
  }

  /** Ask for all that is known now. An order that does not exist ends it. */
  async #refresh() {
    try {
      const [order, entries] = await Promise.all([get(this.#path), get(`${this.#path}/events`)]);
      if (this.#closed) return;
      this.#view.problem("");
      entries.forEach((entry) => this.#view.event(entry));
      this.#view.order(order);
      if (isFinished(order, entries)) this.#end("finished");
    } catch (error) {
      if (this.#closed) return;
      this.#view.problem(error.message);
      if (error instanceof ApiError && error.status === 404) this.#end("unknown");
    }
  }

  #heard(message) {
    if (message.type === "status") this.#view.order(message.order);
    if (message.type === "audit") this.#view.event(message);
    if (message.type === "error") this.#view.problem(message.message);
    if (message.type === "done") {
      this.#stream.close();
      this.#pollNow(); // for what comes after the last event: that the customer was told
    }
  }

  #connection(state, failures) {
    if (state === "live") {
      this.#poll?.stop();
      this.#poll = null;
      this.#view.problem("");
      this.#view.connection("live");
    } else if (failures >= LOST_BEFORE_POLLING) {
      this.#pollNow();
      this.#view.connection("polling");
    } else {
      this.#view.connection("reconnecting");
    }
  }

  #pollNow() {
    this.#poll ??= regularly(() => this.#refresh(), POLL_MS);
  }

  #end(state) {
    this.close();
    this.#view.connection(state);
  }
}
