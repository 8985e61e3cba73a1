/** The replay of a finished order: at real speed, slower, or moved by hand. */

import { byId, duration, el, onOrderForm, say } from "./dom.js";
import { getOrder } from "./api.js";
import { isTerminal } from "./order.js";
import { timelineOf } from "./tokens.js";

export class Replay {
  playing = false;
  /** What `timelineOf` returns. */
  timeline = null;
  #position = 0;
  #lastMs = null;
  #catalog;
  #stage;

  constructor(catalog, stage) {
    this.#catalog = catalog;
    this.#stage = stage;
    onOrderForm("replay-form", "replay-id", (orderId) => this.load(orderId));
    byId("replay-play").addEventListener("click", () => this.#toggle());
    byId("replay-position").addEventListener("input", ({ target }) => this.#moveTo(Number(target.value)));
    byId("replay-live").addEventListener("click", () => this.#leave());
  }

  /** 1 is real speed, 10 is ten times slower. */
  get slowness() {
    return Number(byId("replay-speed").value);
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
    this.timeline = timelineOf(order, entries, this.#catalog);
    [this.playing, this.#position, this.#lastMs] = [true, 0, null];
    byId("replay-controls").hidden = false;
    byId("replay-position").max = Math.ceil(this.timeline.endMs);
    byId("replay-marks").replaceChildren(...this.timeline.marks.map((mark) => this.#mark(mark)));
    const text = `Replaying ${order.orderId} (${order.status}). New events appear only in the event log.`;
    say(byId("replay-status"), text);
    this.#stage.play(this);
    byId("replay-play").focus({ preventScroll: true });
    byId("flow-figure").scrollIntoView(); // the controls stick to the lower edge of the window
  }

  #mark({ at, eventType }) {
    const attributes = { "data-event": eventType, "data-colour": this.#catalog.colourOf(eventType) };
    const node = el("li", attributes, el("span", { class: "hidden" }, `${eventType} at ${duration(at)}`));
    node.style.setProperty("--at", at / this.timeline.endMs);
    return node;
  }

  /** Plays or pauses. At the end it starts again. */
  #toggle() {
    if (!this.playing && this.#position >= this.timeline.endMs) this.#position = 0;
    this.playing = !this.playing;
    this.#stage.redraw();
  }

  #moveTo(position) {
    this.playing = false;
    this.#position = position;
    this.#stage.redraw();
  }

  #leave() {
    byId("replay-controls").hidden = true;
    say(byId("replay-status"), "");
    this.#stage.play(null);
    byId("replay-id").focus();
  }

  /** The position at the screen's time `nowMs`, in ms since the order's first event. */
  advance(nowMs) {
    if (this.playing && this.#lastMs !== null) this.#position += (nowMs - this.#lastMs) / this.slowness;
    if (this.#position >= this.timeline.endMs) {
      this.#position = this.timeline.endMs;
      this.playing = false;
    }
    this.#lastMs = this.playing ? nowMs : null;
    this.#show();
    return this.#position;
  }

  #show() {
    const { marks, endMs } = this.timeline;
    const passed = marks.filter(({ at }) => at <= this.#position);
    const where = `${Math.round(this.#position)} of ${Math.round(endMs)} ms: ${passed.at(-1).eventType}`;
    byId("replay-position").value = this.#position;
    byId("replay-position").setAttribute("aria-valuetext", where);
    say(byId("replay-where"), where);
    say(byId("replay-play"), this.playing ? "Pause" : "Play");
    [...byId("replay-marks").children].forEach((node, i) => node.classList.toggle("passed", i < passed.length));
  }
}
