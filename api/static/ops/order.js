/** One order's record and audit trail, by id. */

import { byId, dollars, say } from "../common/dom.js";
import { get } from "../common/http.js";
import { Trail } from "../order/trail.js";

export class OrderTrail {
  #trail;

  constructor(catalog) {
    this.#trail = new Trail(byId("order-trail"), catalog);
    byId("order-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.show(byId("order-id").value.trim().toUpperCase());
    });
  }

  async show(orderId) {
    byId("order-id").value = orderId;
    byId("order-title").focus();
    this.#trail.clear();
    say(byId("order-problem"), "");
    say(byId("order-status"), "");
    byId("order-links").hidden = true;
    try {
      const path = `/orders/${encodeURIComponent(orderId)}`;
      const [order, entries] = await Promise.all([get(path), get(`${path}/events`)]);
      entries.forEach((entry) => this.#trail.add(entry));
      say(byId("order-status"), sentence(order));
      byId("order-track").href = `/?order=${encodeURIComponent(orderId)}#tracker`;
      byId("order-links").hidden = false;
    } catch (error) {
      say(byId("order-problem"), error.message);
    }
  }
}

function sentence({ orderId, status, totalAmount, customerId, failureReason, transactionId, notifiedAt }) {
  const parts = [`${orderId} of ${customerId}, ${dollars(totalAmount)}: ${status}`];
  if (failureReason) parts.push(failureReason);
  if (transactionId) parts.push(`transaction ${transactionId}`);
  parts.push(notifiedAt ? "the customer was told" : "the customer was not told yet");
  return `${parts.join("; ")}.`;
}
