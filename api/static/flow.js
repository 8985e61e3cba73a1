/** The live flow: its stream, the diagram, the log, and the button that places a test order. */

import { actionsAt, GLOW_MS, LiveTokens, sceneAt } from "./tokens.js";
import { button, byId, clock, el, itemsText, plural, say, showConnection } from "./dom.js";
import { Drawing, layoutOf } from "./diagram.js";
import { eventRow } from "./order.js";
import { get, listen } from "./api.js";
import { newKey, outcomeOptions, placeOrder } from "./shop.js";

const MAX_AGE_MS = 20_000; // an older event is listed in the log, but does not move in the diagram
const MAX_KNOWN_EVENTS = 2000;
const MAX_KNOWN_ORDERS = 200;
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
  #log;
  #known = new Set();
  #depths = {};

  /**
   * Calls `hooks.track(orderId)` when the user wants to see an order, `hooks.placed(answer)` when a test order was
   * placed, `hooks.event(event)` when an event was recorded, `hooks.status(message)` when an order's status changed.
   */
  constructor(catalog, hooks) {
    this.#catalog = catalog;
    this.#hooks = hooks;
    this.#log = new Log(catalog, hooks.track);
    this.stage = new Stage(catalog);
    showServices(catalog);
    startTestOrders(hooks);
    listen(
      "/flow/stream",
      (message) => this.#receive(message),
      (state) => showConnection("flow-connection", ...CONNECTION[state]),
    );
  }

  #receive(message) {
    if (message.type === "event") this.#event(message);
    if (message.type === "status") {
      this.stage.setStatus(message);
      this.#hooks.status(message);
    }
    if (message.type === "queues") this.#queues(message.queues);
  }

  #event(event) {
    if (this.#known.has(event.eventId)) return; // the stream repeats events after a reconnection
    this.#known.add(event.eventId);
    forgetOldest(this.#known, MAX_KNOWN_EVENTS);
    this.#log.event(event);
    if (Date.now() - Date.parse(event.recordedAt) < MAX_AGE_MS) this.stage.event(event);
    this.#hooks.event(event);
  }

  #queues(depths) {
    for (const [service, { deadLetters }] of Object.entries(depths)) {
      const more = deadLetters - (this.#depths[service]?.deadLetters ?? deadLetters);
      if (more <= 0) continue;
      this.#log.deadLetters(service, more);
      this.stage.deadLetters(service, more);
    }
    this.#depths = depths;
    this.stage.setDepths(depths);
    showDepths(depths);
  }
}

function forgetOldest(collection, max) {
  if (collection.size > max) collection.delete(collection.keys().next().value);
}

function startTestOrders({ placed, track }) {
  byId("simulate-outcome").replaceChildren(...outcomeOptions(), el("option", { value: SOLD_OUT }, "Out of stock"));
  byId("simulate").addEventListener("click", async () => {
    byId("simulate").disabled = true;
    try {
      const order = await placeTestOrder(byId("simulate-outcome").value);
      placed(order);
      const link = button(`Track ${order.orderId}`, () => track(order.orderId), { class: "link" });
      byId("simulate-status").replaceChildren(`Ordered ${itemsText(order.items)}. `, link);
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
  return placeOrder(TEST_CUSTOMER, items, outcome === SOLD_OUT ? "" : outcome, "", newKey());
}

function showServices(catalog) {
  const consumed = (service) => {
    if (catalog.consumesAll(service)) return "consumes every event";
    return service.consumes.length ? `consumes ${service.consumes.join(", ")}` : "takes orders over HTTP";
  };
  const rows = catalog.services.map((service) => {
    const published = service.publishes.join(", ") || "nothing";
    const text = el("p", {}, el("b", {}, service.title), ` ${consumed(service)}; publishes ${published}`);
    const attributes = { "data-service": service.name, "data-colour": service.colour };
    return el("li", attributes, text, el("small", { class: "depth" }));
  });
  byId("services").replaceChildren(...rows);
}

function showDepths(depths) {
  for (const [service, { waiting, inFlight, deadLetters }] of Object.entries(depths)) {
    const node = byId("services").querySelector(`[data-service="${CSS.escape(service)}"] .depth`);
    if (node) say(node, `queue: ${waiting} waiting, ${inFlight} in flight; ${plural(deadLetters, "dead letter")}`);
  }
}

/** Every event, newest first: the diagram as text. */
class Log {
  #catalog;
  #onOrder;
  #times = new Map();

  constructor(catalog, onOrder) {
    this.#catalog = catalog;
    this.#onOrder = onOrder;
  }

  event(event) {
    const { orderId, eventType, recordedAt } = event;
    const track = button(orderId, () => this.#onOrder(orderId), { class: "link", "aria-label": `Track ${orderId}` });
    const producer = this.#catalog.producerOf(eventType)?.title ?? "unknown";
    const consumers = this.#catalog.consumersOf(eventType).map(({ title }) => title);
    const detail = el("small", {}, track, `: ${producer} → topic → ${consumers.join(", ")}`);
    const row = eventRow(this.#catalog, event, this.#times.get(orderId), detail);
    row.dataset.order = orderId;
    this.#add(row);
    this.#times.set(orderId, recordedAt);
    forgetOldest(this.#times, MAX_KNOWN_ORDERS);
  }

  deadLetters(service, count) {
    const title = this.#catalog.service(service)?.title ?? service;
    const text = `${plural(count, "message")} of ${title} failed three times and moved to the dead-letter queue`;
    const time = el("time", {}, clock(new Date().toISOString()));
    const attributes = { "data-dead-letters": service, "data-colour": "bad" };
    this.#add(el("li", attributes, time, el("b", {}, "dead letter"), el("small", {}, text)));
  }

  #add(row) {
    const list = byId("flow-log");
    list.querySelector(".empty")?.remove();
    list.prepend(row);
    while (list.childElementCount > MAX_ROWS) list.lastElementChild.remove();
  }
}

/** Draws what happens now, or a replay, in the layout that fits the width. */
class Stage {
  #catalog;
  #live;
  #layout = null;
  #drawing = null;
  #player = null;
  #frame = 0;
  #timer = 0;
  #states = {};

  constructor(catalog) {
    this.#catalog = catalog;
    this.#live = new LiveTokens(catalog);
    new ResizeObserver(() => this.#layOut()).observe(byId("flow-figure"));
    this.#layOut();
  }

  event(event) {
    this.#live.record(event, performance.now());
    this.redraw();
  }

  setStatus(message) {
    this.#live.setStatus(message, performance.now());
    this.redraw();
  }

  /** So many more messages of a service are dead letters. */
  deadLetters(service, count) {
    this.#live.bury(service, count, performance.now());
    this.redraw();
  }

  setDepths(depths) {
    this.#live.depths = depths;
    this.#drawing.showDepths(depths);
    this.redraw();
  }

  /** Shows which services do not run: `{service: {state}}`. */
  setStates(states) {
    this.#states = states;
    this.#drawing.showStates(states);
    this.redraw();
  }

  /** Shows `player` (`{tokens, slowness, playing, advance(nowMs) → position}`), or what happens now if it is null. */
  play(player) {
    this.#player = player;
    byId("flow-svg").toggleAttribute("data-replay", player !== null);
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
    this.#drawing.showDepths(this.#live.depths);
    this.#drawing.showStates(this.#states);
    this.redraw();
  }

  #draw(now) {
    this.#live.tick(now);
    const isMoving = this.#player ? this.#drawReplay(this.#player, now) : this.#drawLive(now);
    if (isMoving) this.redraw();
    else if (this.#live.tokens.length) this.#timer = setTimeout(() => this.redraw(), IDLE_MS);
  }

  #drawLive(now) {
    const { tokens, actions } = this.#live;
    const isLit = this.#show(tokens, now, GLOW_MS, actions);
    return isLit || tokens.some(({ phases }) => phases.at(-1).to > now);
  }

  #drawReplay(player, now) {
    const position = player.advance(now);
    this.#show(player.tokens, position, GLOW_MS / player.slowness, actionsAt(player.tokens, position));
    return player.playing;
  }

  /** Returns whether anything is lit. */
  #show(tokens, time, glowMs, actions) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const scene = sceneAt(tokens, time, this.#layout, glowMs, still);
    this.#drawing.show(scene);
    this.#drawing.showActions(actions);
    return scene.lit.size > 0;
  }
}
