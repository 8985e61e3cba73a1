/** The stage: shows either what happens now or a replay, in the layout that fits. */

import { byId, prefersStill } from "../common/dom.js";
import { Drawing } from "./draw.js";
import { layoutOf, Routes } from "./layout.js";
import { LiveFlow } from "./live.js";
import { sayingsAt, sceneAt } from "./scene.js";

const COMPACT_BELOW_PX = 600;
const GLOW_MS = 900;
const IDLE_MS = 250; // between looks while dots only wait

export class Stage {
  #catalog;
  #live;
  #player = null;
  #drawing = null;
  #routes = null;
  #depths = {};
  #next = 0;
  #compact = null;

  constructor(catalog) {
    this.#catalog = catalog;
    this.#live = new LiveFlow(catalog);
    new ResizeObserver(() => this.#layOut()).observe(byId("flow-figure"));
    this.#layOut();
  }

  /** An event was recorded just now. */
  event(event) {
    this.#live.record(event, performance.now());
    this.#schedule();
  }

  status(message) {
    this.#live.status(message, performance.now());
    this.#schedule();
  }

  queues(depths) {
    this.#depths = depths;
    this.#live.queues(depths, performance.now());
    this.#drawing.number(depths);
    this.#schedule();
  }

  /** Show `player` (`{tokens, slowness, advance(nowMs) → t, playing}`) instead of what happens now; null: now again. */
  play(player) {
    this.#player = player;
    byId("flow-svg").toggleAttribute("data-replay", player !== null);
    this.#schedule();
  }

  /** Draw again, soon. */
  redraw() {
    this.#schedule();
  }

  #layOut() {
    const compact = byId("flow-figure").clientWidth < COMPACT_BELOW_PX;
    if (compact === this.#compact) return;
    this.#compact = compact;
    const layout = layoutOf(this.#catalog, compact);
    this.#routes = remembering(new Routes(layout));
    this.#drawing = new Drawing(byId("flow-svg"), layout, this.#catalog);
    this.#drawing.number(this.#depths);
    this.#schedule();
  }

  #schedule() {
    cancelAnimationFrame(this.#next);
    this.#next = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.#live.tick(now);
    const moving = this.#player ? this.#frameOf(this.#player, now) : this.#frameOfNow(now);
    if (moving) this.#schedule();
    else if (this.#live.tokens.length) setTimeout(() => this.#schedule(), IDLE_MS);
  }

  #frameOfNow(now) {
    const { tokens, sayings } = this.#live;
    const scene = sceneAt(tokens, now, this.#routes, GLOW_MS, prefersStill());
    this.#drawing.show(scene);
    this.#drawing.tell(sayings);
    return scene.lit.size > 0 || tokens.some((token) => token.phases.at(-1).to > now);
  }

  #frameOf(player, now) {
    const t = player.advance(now);
    this.#drawing.show(sceneAt(player.tokens, t, this.#routes, GLOW_MS / player.slowness, prefersStill()));
    this.#drawing.tell(sayingsAt(player.tokens, t));
    return player.playing;
  }
}

/** The same routes, each computed once. */
function remembering(routes) {
  const known = new Map();
  const kept = (kind) => (token) => {
    const key = `${kind} ${token.eventType} ${token.consumer} ${token.external}`;
    if (!known.has(key)) known.set(key, routes[kind](token));
    return known.get(key);
  };
  return { publish: kept("publish"), consume: kept("consume"), dead: kept("dead") };
}
