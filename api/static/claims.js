/** The seven claims as cards: what could go wrong, the experiment that tries it, and what was seen. */

import { button, byId, clock, el, say } from "./dom.js";

const TICK_MS = 500;
const NO_VERDICT = "It ended without a result. Run it again.";

export class Claims {
  #cards;
  #running = null;

  /** Calls `run(id)` when the user wants to see an experiment. It returns whether that was begun. */
  constructor(claims, run) {
    this.#cards = new Map(claims.map((claim) => [claim.id, new Card(claim, run)]));
    byId("claims").replaceChildren(...[...this.#cards.values()].map(({ node }) => node));
  }

  /** Takes in a message of the stream about one claim: a step, a piece of evidence, or the verdict. */
  receive({ type, ...message }) {
    this.#cards.get(message.claim)?.[type](message);
  }

  /** `id`: the claim whose experiment runs now, or null. */
  setRunning(id) {
    if (this.#running !== id) this.#cards.get(this.#running)?.end();
    if (this.#running !== id) this.#cards.get(id)?.begin();
    this.#running = id;
    for (const card of this.#cards.values()) card.allow(id === null);
  }
}

class Card {
  #steps;
  #evidence = el("dl", { class: "evidence" });
  #verdict = el("p", { class: "verdict", role: "status" });
  #progress;
  #run;
  #seconds;
  #timer = null;
  #seen = new Map();

  constructor({ id, title, problem, experiment, seconds }, run) {
    const name = `claim-${id}`;
    this.#seconds = seconds;
    this.#steps = el("ol", { class: "steps", "aria-live": "polite", "aria-labelledby": name });
    this.#progress = el("progress", { max: seconds, value: 0, hidden: true, "aria-labelledby": name });
    this.#run = button("Run", () => this.#start(id, run), { class: "main", "aria-label": `Run experiment ${id}` });
    this.node = el(
      "li",
      { "data-claim": id },
      el("h3", { id: name }, title),
      el("p", {}, el("b", {}, "What could go wrong: "), problem),
      el("p", {}, el("b", {}, "The experiment: "), experiment),
      el("div", { class: "toolbar" }, this.#run, el("small", {}, `about ${seconds} s`), this.#progress),
      this.#steps,
      this.#evidence,
      this.#verdict,
    );
  }

  async #start(id, run) {
    this.#clear();
    if (await run(id)) this.#steps.scrollIntoView({ block: "nearest" });
  }

  #clear() {
    this.#seen.clear();
    this.#steps.replaceChildren();
    this.#evidence.replaceChildren();
    say(this.#verdict, "");
    delete this.node.dataset.holds;
  }

  begin() {
    const started = Date.now();
    const tick = () => (this.#progress.value = Math.min(this.#seconds, (Date.now() - started) / 1000));
    tick();
    this.#progress.hidden = false;
    this.#timer = setInterval(tick, TICK_MS);
  }

  end() {
    clearInterval(this.#timer);
    this.#progress.hidden = true;
    if (!("holds" in this.node.dataset)) this.#show("unknown", NO_VERDICT);
  }

  allow(isAllowed) {
    this.#run.disabled = !isAllowed;
  }

  /** The first step can come before the message that the experiment runs. */
  step({ text, at }) {
    if ("holds" in this.node.dataset) this.#clear(); // somebody runs it again in the terminal
    const make = () => el("li", {}, el("time", {}, clock(at).slice(0, 8)), el("span", {}, text));
    this.#steps.append(this.#once(`${at} ${text}`, make));
  }

  evidence({ name, value }) {
    const row = this.#once(name, () => el("div", {}, el("dt", {}, name), el("dd", {})));
    say(row.lastChild, String(value));
    this.#evidence.append(row);
  }

  /** The row of `key`. After a reconnection the stream repeats what it has sent. */
  #once(key, make) {
    if (!this.#seen.has(key)) this.#seen.set(key, make());
    return this.#seen.get(key);
  }

  verdict({ holds, text }) {
    this.#show(holds, el("b", {}, holds ? "It holds. " : "It does not hold. "), text);
  }

  #show(holds, ...texts) {
    this.node.dataset.holds = holds;
    this.#verdict.replaceChildren(...texts);
  }
}
