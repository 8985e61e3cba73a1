/** The scrubber: a finished order, played again at real or slowed speed, or moved by hand. */

import { byId, duration, el, say } from "../common/dom.js";
import { timelineOf } from "./timeline.js";
import { get } from "../common/http.js";
import { isTerminal } from "../order/path.js";

/** A timeline with a position. `slowness`: 1 is real speed, 10 is ten times slower. */
class Player {
  playing = false;
  position = 0;
  slowness = 10;
  #onMove;
  #lastMs = null;

  constructor({ tokens, endMs }, onMove) {
    this.tokens = tokens;
    this.endMs = endMs;
    this.#onMove = onMove;
  }

  /** The position at the screen's time `nowMs`. */
  advance(nowMs) {
    if (this.playing && this.#lastMs !== null) this.moveTo(this.position + (nowMs - this.#lastMs) / this.slowness);
    if (this.position >= this.endMs) this.playing = false;
    this.#lastMs = this.playing ? nowMs : null;
    this.#onMove();
    return this.position;
  }

  moveTo(position) {
    this.position = Math.min(this.endMs, Math.max(0, position));
  }

  /** Play or pause. From the end it starts again. */
  toggle() {
    if (!this.playing && this.position >= this.endMs) this.position = 0;
    this.playing = !this.playing;
  }
}

export class ReplayControls {
  #catalog;
  #stage;
  #player = null;
  #timeline = null;

  constructor(catalog, stage) {
    this.#catalog = catalog;
    this.#stage = stage;
    byId("replay-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.load(byId("replay-id").value.trim().toUpperCase());
    });
    byId("replay-play").addEventListener("click", () => this.#change((player) => player.toggle()));
    byId("replay-live").addEventListener("click", () => this.#leave());
    byId("replay-speed").addEventListener("change", () => this.#change(() => this.#setSpeed()));
    byId("replay-position").addEventListener("input", ({ target }) =>
      this.#change((player) => {
        player.playing = false;
        player.moveTo(Number(target.value));
      }),
    );
  }

  /** Load a finished order and start to play it. */
  async load(orderId) {
    byId("replay-id").value = orderId;
    say(byId("replay-status"), "");
    try {
      const path = `/orders/${encodeURIComponent(orderId)}`;
      const [order, entries] = await Promise.all([get(path), get(`${path}/events`)]);
      if (!isTerminal(order.status) || !entries.length)
        throw new Error(`${orderId} is not finished yet: watch it live.`);
      this.#begin(order, entries);
    } catch (error) {
      say(byId("replay-status"), error.message);
    }
  }

  #begin(order, entries) {
    this.#timeline = timelineOf(entries, order, this.#catalog);
    this.#player = new Player(this.#timeline, () => this.#show());
    this.#setSpeed();
    this.#player.toggle();
    byId("replay-controls").hidden = false;
    byId("replay-position").max = Math.ceil(this.#timeline.endMs);
    this.#showMarks();
    say(byId("replay-status"), `Replaying ${order.orderId} (${order.status}). What happens now is in the log only.`);
    this.#stage.play(this.#player);
    byId("replay-play").focus({ preventScroll: true });
    byId("flow-figure").scrollIntoView(); // the controls stick to the edge below
  }

  #leave() {
    this.#player = null;
    byId("replay-controls").hidden = true;
    say(byId("replay-status"), "");
    this.#stage.play(null);
    byId("replay-id").focus();
  }

  #change(action) {
    if (!this.#player) return;
    action(this.#player);
    this.#stage.redraw();
  }

  #setSpeed() {
    this.#player.slowness = Number(byId("replay-speed").value);
  }

  #show() {
    if (!this.#player) return;
    const { position, playing, endMs } = this.#player;
    const slider = byId("replay-position");
    const passed = this.#timeline.marks.filter((mark) => mark.at <= position);
    const where = `${Math.round(position)} of ${Math.round(endMs)} ms: ${passed.at(-1)?.eventType ?? "nothing yet"}`;
    slider.value = position;
    slider.setAttribute("aria-valuetext", where);
    byId("replay-where").textContent = where;
    say(byId("replay-play"), playing ? "Pause" : "Play");
    [...byId("replay-marks").children].forEach((mark, i) => mark.classList.toggle("passed", i < passed.length));
  }

  #showMarks() {
    const rows = this.#timeline.marks.map((mark) => {
      const node = el("li", { "data-event": mark.eventType, "data-colour": this.#catalog.colourOf(mark.eventType) });
      node.append(el("span", {}, mark.eventType), el("small", {}, ` at ${duration(mark.at)}`));
      node.style.setProperty("--at", String(mark.at / this.#timeline.endMs));
      return node;
    });
    byId("replay-marks").replaceChildren(...rows);
  }
}
