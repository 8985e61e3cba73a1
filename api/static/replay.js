/** The replay of a finished order: at real speed, slower, or moved by hand. */

import { byId, duration, el, onOrderForm, say } from "./dom.js";
import { getOrder } from "./api.js";
import { isTerminal } from "./order.js";
import { timelineOf } from "./tokens.js";

/** A timeline and a position on it. `slowness`: 1 is real speed, 10 is ten times slower. */
class Player {
  playing = true;
  position = 0;
  slowness = Number(byId("replay-speed").value);
  #onMove;
  #lastMs = null;

  constructor({ tokens, marks, endMs }, onMove) {
    this.tokens = tokens;
    this.marks = marks;
    this.endMs = endMs;
    this.#onMove = onMove;
  }

  /** The position at the screen's time `nowMs`. */
  advance(nowMs) {
    if (this.playing && this.#lastMs !== null) this.position += (nowMs - this.#lastMs) / this.slowness;
    if (this.position >= this.endMs) {
      this.position = this.endMs;
      this.playing = false;
    }
    this.#lastMs = this.playing ? nowMs : null;
    this.#onMove();
    return this.position;
  }

  /** Plays or pauses. At the end it starts again. */
  toggle() {
    if (!this.playing && this.position >= this.endMs) this.position = 0;
    this.playing = !this.playing;
  }

  moveTo(position) {
    this.playing = false;
    this.position = position;
  }
}

export class Replay {
  #catalog;
  #stage;
  #player = null;

  constructor(catalog, stage) {
    this.#catalog = catalog;
    this.#stage = stage;
    onOrderForm("replay-form", "replay-id", (orderId) => this.load(orderId));
    this.#on("replay-play", "click", (player) => player.toggle());
    this.#on("replay-speed", "change", (player, value) => (player.slowness = Number(value)));
    this.#on("replay-position", "input", (player, value) => player.moveTo(Number(value)));
    byId("replay-live").addEventListener("click", () => this.#leave());
  }

  #on(id, event, action) {
    byId(id).addEventListener(event, ({ target }) => {
      action(this.#player, target.value);
      this.#stage.redraw();
    });
  }

  /** Loads a finished order and starts to play it. */
  async load(orderId) {
    byId("replay-id").value = orderId;
    say(byId("replay-status"), "");
    try {
      const [order, entries] = await getOrder(orderId);
      if (!isTerminal(order.status) || !entries.length) throw new Error(`${orderId} is not finished yet.`);
      this.#begin(order, entries);
    } catch (error) {
      say(byId("replay-status"), error.message);
    }
  }

  #begin(order, entries) {
    this.#player = new Player(timelineOf(order, entries, this.#catalog), () => this.#show());
    byId("replay-controls").hidden = false;
    byId("replay-position").max = Math.ceil(this.#player.endMs);
    byId("replay-marks").replaceChildren(...this.#player.marks.map((mark) => this.#mark(mark)));
    const text = `Replaying ${order.orderId} (${order.status}). New events appear only in the event log.`;
    say(byId("replay-status"), text);
    this.#stage.play(this.#player);
    byId("replay-play").focus({ preventScroll: true });
    byId("flow-figure").scrollIntoView(); // the controls stick to the lower edge of the window
  }

  #mark({ at, eventType }) {
    const attributes = { "data-event": eventType, "data-colour": this.#catalog.colourOf(eventType) };
    const node = el("li", attributes, el("span", {}, eventType), el("small", {}, ` at ${duration(at)}`));
    node.style.setProperty("--at", at / this.#player.endMs);
    return node;
  }

  #leave() {
    this.#player = null;
    byId("replay-controls").hidden = true;
    say(byId("replay-status"), "");
    this.#stage.play(null);
    byId("replay-id").focus();
  }

  #show() {
    const { position, playing, endMs, marks } = this.#player;
    const passed = marks.filter(({ at }) => at <= position);
    const where = `${Math.round(position)} of ${Math.round(endMs)} ms: ${passed.at(-1).eventType}`;
    byId("replay-position").value = position;
    byId("replay-position").setAttribute("aria-valuetext", where);
    say(byId("replay-where"), where);
    say(byId("replay-play"), playing ? "Pause" : "Play");
    [...byId("replay-marks").children].forEach((node, i) => node.classList.toggle("passed", i < passed.length));
  }
}
