/** The live flow: its stream, its diagram, its log, and the button that places a real order. */

import { newKey, orderRequest, outcomeOptions, placeOrder } from "../shop/checkout.js";
import { button, byId, el, plural, say } from "../common/dom.js";
import { FlowLog } from "./log.js";
import { Stage } from "./stage.js";
import { get } from "../common/http.js";
import { listen } from "../common/sse.js";

const STALE_MS = 20_000; // older events are listed, but nothing moves for them: they do not happen now
const MOST_KNOWN = 2000;
const DEMO_CUSTOMER = "CUST-DEMO";
const SOLD_OUT = "out-of-stock";

export class Flow {
  #catalog;
  #log;
  #stage;
  #hooks;
  #known = new Set();
  #depths = null;
  #stream = null;

  /**
   * `hooks`: `track(orderId)` the user wants to see an order, `placed(answer)` the button placed one,
   * `event(event)` one was recorded, `status(message)` an order has another status.
   */
  constructor(catalog, hooks) {
    this.#catalog = catalog;
    this.#hooks = hooks;
    this.#log = new FlowLog(catalog, hooks.track);
    this.#stage = new Stage(catalog);
    showWhoTakesWhat(catalog);
    this.#offerSimulation();
    document.addEventListener("visibilitychange", () => this.#listen());
    this.#listen();
  }

  get stage() {
    return this.#stage;
  }

  /** A hidden page does not listen: a browser has six connections to a server, for all its tabs. */
  #listen() {
    this.#stream?.close();
    this.#stream = null;
    if (document.hidden) return;
    this.#stream = listen(
      "/flow/stream",
      (message) => this.#heard(message),
      (state) => this.#connection(state),
    );
  }

  #connection(state) {
    byId("flow-connection").dataset.state = state === "live" ? "live" : "reconnecting";
    say(byId("flow-connection"), state === "live" ? "live" : "connection lost, reconnecting");
  }

  #heard(message) {
    if (message.type === "event") this.#event(message);
    if (message.type === "status") this.#status(message);
    if (message.type === "queues") this.#queues(message.queues);
  }

  #status(message) {
    this.#stage.status(message);
    this.#hooks.status(message);
  }

  #event(event) {
    if (this.#known.has(event.eventId)) return; // told again after a reconnection
    this.#known.add(event.eventId);
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.values().next().value);
    this.#log.event(event);
    if (Date.now() - Date.parse(event.recordedAt) < STALE_MS) this.#stage.event(event);
    this.#hooks.event(event);
  }

  #queues(depths) {
    for (const [service, { deadLetters }] of Object.entries(depths)) {
      const more = deadLetters - (this.#depths?.[service]?.deadLetters ?? deadLetters);
      if (more > 0) this.#log.deadLetters(service, more);
    }
    this.#depths = depths;
    this.#stage.queues(depths);
    showDepths(depths);
  }

  #offerSimulation() {
    byId("simulate-outcome").replaceChildren(
      ...outcomeOptions(),
      el("option", { value: SOLD_OUT }, "More than is in stock"),
    );
    byId("simulate").addEventListener("click", async () => {
      byId("simulate").disabled = true;
      try {
        const order = await simulate(byId("simulate-outcome").value);
        this.#hooks.placed(order);
        this.#announce(order);
      } catch (error) {
        say(byId("simulate-status"), error.message);
      } finally {
        byId("simulate").disabled = false;
      }
    });
  }

  #announce({ orderId, items }) {
    const what = items.map((item) => `${item.quantity} × ${item.productName}`).join(", ");
    const track = button(`Track ${orderId}`, () => this.#hooks.track(orderId), { class: "link" });
    byId("simulate-status").replaceChildren(`Placed for real: ${what}. `, track);
  }
}

/** Place a real order for one unit of something in stock, or for more than there is. */
async function simulate(outcome) {
  const products = await get("/products");
  const available = products.filter((product) => product.stock > 0);
  const choice = available.length ? available : products;
  const product = choice[Math.floor(Math.random() * choice.length)];
  if (!product) throw new Error("The shop has no products.");
  const quantity = outcome === SOLD_OUT ? Math.min(product.stock + 1, 1000) : 1;
  const items = [{ productId: product.productId, quantity }];
  return placeOrder(orderRequest(DEMO_CUSTOMER, items, outcome === SOLD_OUT ? "" : outcome), newKey());
}

function showWhoTakesWhat(catalog) {
  const sentence = ({ title, takes, publishes }, all) => {
    const taken = all ? "takes every event" : takes.length ? `takes ${takes.join(", ")}` : "takes orders over HTTP";
    return [
      el("b", {}, title),
      ` ${taken}`,
      publishes.length ? `; publishes ${publishes.join(", ")}` : "; publishes nothing",
    ];
  };
  byId("who").replaceChildren(
    ...catalog.services.map((service) =>
      el(
        "li",
        { "data-service": service.name, "data-colour": service.colour },
        el("p", {}, ...sentence(service, catalog.takesEverything(service))),
        el("small", { class: "depth" }),
      ),
    ),
  );
}

function showDepths(depths) {
  for (const [service, { waiting, inFlight, deadLetters }] of Object.entries(depths)) {
    const node = byId("who").querySelector(`[data-service="${CSS.escape(service)}"] .depth`);
    if (node) say(node, `queue: ${waiting} waiting, ${inFlight} in flight; ${plural(deadLetters, "dead letter")}`);
  }
}
