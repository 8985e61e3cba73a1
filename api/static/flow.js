/** The live flow: its stream, the diagram, the list of services, the log, and the button that places a test order. */

import { actionsAt, GLOW_MS, LiveTokens, sceneAt } from "./tokens.js";
import { button, byId, clock, el, itemsText, plural, say, show, showConnection } from "./dom.js";
import { Drawing, layoutOf } from "./diagram.js";
import { get, listen } from "./api.js";
import { outcomeOptions, placeOrder, showPlaced } from "./shop.js";
import { eventRow } from "./order.js";

const MAX_AGE_MS = 20_000; // an older event is listed in the log, but does not move in the diagram
const MAX_KNOWN_EVENTS = 2000;
const MAX_ROWS = 40;
const MAX_UNITS = 1000;
const COMPACT_BELOW_PX = 600;
const IDLE_MS = 250; // between drawings while all dots wait
const TEST_CUSTOMER = "CUST-DEMO";
const SOLD_OUT = "out-of-stock";
const CONNECTION = {
  live: ["live", "live"],
  lost: ["reconnecting", "connection lost, reconnecting"],
  refused: ["polling", "no live flow here: follow an order in the tracker"],
};

export class Flow {
  #catalog;
  #hooks;
  #known = new Set();

  /**
   * Calls `hooks.track(orderId)` when the user wants to see an order. May have further hooks: `placed(answer)` when a
   * test order was placed, `event(event)` when an event was recorded, `status(message)` when an order's status
   * changed, and `controls(service, state)`, which returns what the list shows under a service.
   */
  constructor(catalog, hooks) {
    this.#catalog = catalog;
    this.#hooks = hooks;
    this.stage = new Stage(catalog);
    this.#showServices();
    startTestOrders(hooks);
    listen(
      "/flow/stream",
      (message) => this.#receive(message),
      (state) => showConnection("flow-connection", ...CONNECTION[state]),
    );
  }

  /** Shows which services do not run: `{service: {state}}`. A service that is not named runs. */
  setStates(states) {
    this.stage.states = states;
    this.stage.redraw();
    this.#showServices();
  }

  #receive(message) {
    if (message.type === "event") this.#event(message);
    if (message.type === "queues") this.#queues(message.queues);
    if (message.type === "status") {
      this.stage.live.setStatus(message);
      this.#hooks.status?.(message);
    }
    this.stage.redraw();
  }

  #event(event) {
    if (this.#known.has(event.eventId)) return; // the stream repeats events after a reconnection
    this.#known.add(event.eventId);
    if (this.#known.size > MAX_KNOWN_EVENTS) this.#known.delete(this.#known.values().next().value);
    this.#logEvent(event);
    if (Date.now() - Date.parse(event.recordedAt) < MAX_AGE_MS) this.stage.live.record(event);
    this.#hooks.event?.(event);
  }

  #queues(depths) {
    const { live } = this.stage;
    for (const [service, { deadLetters }] of Object.entries(depths)) {
      const more = deadLetters - (live.depths[service]?.deadLetters ?? deadLetters);
      if (more <= 0) continue;
      this.#logDeadLetters(service, more);
      live.bury(service, more);
    }
    live.depths = depths;
    this.#showServices();
  }

  #showServices() {
    show(byId("services"), ...this.#catalog.services.map((service) => this.#service(service)));
  }

  #service(service) {
    const { name, title, colour, consumes, publishes } = service;
    const state = this.stage.states[name]?.state ?? "running";
    const depth = this.stage.live.depths[name];
    const published = `publishes ${publishes.join(", ") || "nothing"}`;
    let consumed = consumes.length ? `consumes ${consumes.join(", ")}` : "takes orders over HTTP";
    if (this.#catalog.consumesAll(service)) consumed = "consumes every event";
    return el(
      "li",
      { "data-service": name, "data-colour": colour, "data-state": state },
      el("p", {}, el("b", {}, title), ` ${consumed}; ${published}`),
      el("small", { class: "depth" }, depth ? queueText(depth) : ""),
      this.#hooks.controls?.(service, state) ?? "",
    );
  }

  #logEvent(event) {
    const { orderId, eventType } = event;
    const before = byId("flow-log").querySelector(`[data-order="${CSS.escape(orderId)}"] time`)?.dateTime;
    const onclick = () => this.#hooks.track(orderId);
    const track = button(orderId, onclick, { class: "link", "aria-label": `Track ${orderId}` });
    const producer = this.#catalog.producerOf(eventType)?.title ?? "unknown";
    const consumers = this.#catalog.consumersOf(eventType).map(({ title }) => title);
    const detail = el("small", {}, track, `: ${producer} → topic → ${consumers.join(", ")}`);
    const row = eventRow(this.#catalog, event, before, detail);
    row.dataset.order = orderId;
    log(row);
  }

  #logDeadLetters(service, count) {
    const what = `${plural(count, "message")} of ${this.#catalog.titleOf(service)}`;
    const text = el("small", {}, `${what} failed three times and moved to the dead-letter queue`);
    const time = el("time", {}, clock(Date.now()));
    log(el("li", { "data-colour": "bad" }, time, el("b", {}, "dead letter"), text));
  }
}

const queueText = ({ waiting, inFlight, deadLetters }) =>
  `queue: ${waiting} waiting, ${inFlight} in flight; ${plural(deadLetters, "dead letter")}`;

/** Adds a row to the log: the diagram as text, newest first. */
function log(row) {
  const list = byId("flow-log");
  list.querySelector(".empty")?.remove();
  list.prepend(row);
  while (list.childElementCount > MAX_ROWS) list.lastElementChild.remove();
}

function startTestOrders({ placed, track }) {
  byId("simulate-outcome").replaceChildren(...outcomeOptions(), el("option", { value: SOLD_OUT }, "Out of stock"));
  byId("simulate").addEventListener("click", async () => {
    byId("simulate").disabled = true;
    try {
      const order = await placeTestOrder(byId("simulate-outcome").value);
      placed?.(order);
      showPlaced("simulate-status", `Ordered ${itemsText(order.items)}. `, order, track);
    } catch (error) {
      say(byId("simulate-status"), error.message);
    }
    byId("simulate").disabled = false;
  });
}

/** Places a real order for one unit of a product that is in stock, or for more units than there are. */
async function placeTestOrder(outcome) {
  const products = await get("/products");
  const inStock = products.filter(({ stock }) => stock > 0);
  const choice = inStock.length ? inStock : products;
  const product = choice[Math.floor(Math.random() * choice.length)];
  if (!product) throw new Error("The shop has no products.");
  const quantity = outcome === SOLD_OUT ? Math.min(product.stock + 1, MAX_UNITS) : 1;
  const items = [{ productId: product.productId, quantity }];
  return placeOrder({ customerId: TEST_CUSTOMER, items, paymentMethod: outcome === SOLD_OUT ? "" : outcome });
}

/** Draws what happens now, or a replay, in the layout that fits the width. */
class Stage {
  states = {};
  #catalog;
  #layout;
  #drawing;
  #replay = null;
  #frame;
  #timer;

  constructor(catalog) {
    this.#catalog = catalog;
    this.live = new LiveTokens(catalog);
    new ResizeObserver(() => this.#layOut()).observe(byId("flow-figure"));
    this.#layOut();
  }

  /** Shows a `Replay`, or what happens now if it is null. */
  play(replay) {
    this.#replay = replay;
    this.redraw();
  }

  redraw() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  #layOut() {
    const compact = byId("flow-figure").clientWidth < COMPACT_BELOW_PX;
    if (compact === this.#layout?.compact) return;
    this.#layout = layoutOf(this.#catalog, compact);
    this.#drawing = new Drawing(byId("flow-svg"), this.#layout, this.#catalog);
    this.redraw();
  }

  #draw(now) {
    const [live, replay] = [this.live, this.#replay];
    live.tick(now);
    const { tokens } = replay?.timeline ?? live;
    const time = replay?.advance(now) ?? now;
    const actions = replay ? actionsAt(tokens, time) : live.actions;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const scene = sceneAt(tokens, time, this.#layout, GLOW_MS / (replay?.slowness ?? 1), still);
    this.#drawing.show(scene, live.depths, this.states, actions);
    const isMoving = scene.lit.size > 0 || tokens.some(({ phases }) => phases.at(-1).to > now);
    if (replay ? replay.playing : isMoving) this.redraw();
    else if (live.tokens.length) this.#timer = setTimeout(() => this.redraw(), IDLE_MS);
  }
}
