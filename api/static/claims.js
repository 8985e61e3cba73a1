/** The claims as cards: what could go wrong, the experiment that tries it, and what was seen. */

import { button, byId, clock, el, show } from "./dom.js";

const TICK_MS = 500;
const NO_VERDICT = { holds: null, text: "It ended without a result. Run it again." };

export class Claims {
  #claims;
  #run;
  #running = null;
  #startedMs;
  #seen = new Map();

  /** Calls `run(id)` when the user wants to see an experiment. It returns whether that was begun. */
  constructor(claims, run) {
    this.#claims = claims;
    this.#run = run;
    for (const { id } of claims) this.#forget(id);
    setInterval(() => this.#running !== null && this.#show(), TICK_MS);
  }

  /** Takes in a message of the stream about one claim: a step, a piece of evidence, or the verdict. */
  receive({ type, claim, ...message }) {
    // The first step can come before the message that the experiment runs. After a reconnection the stream repeats.
    if (type === "step" && this.#seen.get(claim)?.verdict) this.#forget(claim);
    const seen = this.#seen.get(claim);
    if (!seen) return;
    if (type === "step") seen.steps.set(`${message.at} ${message.text}`, message);
    if (type === "evidence") seen.evidence.set(message.name, message.value);
    if (type === "verdict") seen.verdict = message;
    this.#show();
  }

  /** `id`: the claim whose experiment runs now, or null. */
  setRunning(id) {
    if (this.#running !== id) {
      const ended = this.#seen.get(this.#running);
      if (ended) ended.verdict ||= NO_VERDICT;
      this.#startedMs = Date.now();
    }
    this.#running = id;
    this.#show();
  }

  #forget(id) {
    this.#seen.set(id, { steps: new Map(), evidence: new Map(), verdict: false });
  }

  async #start(id) {
    this.#forget(id);
    this.#show();
    if (await this.#run(id)) byId(`steps-${id}`).scrollIntoView({ block: "nearest" });
  }

  #show() {
    show(byId("claims"), ...this.#claims.map((claim) => this.#card(claim)));
  }

  #card({ id, title, problem, experiment, seconds }) {
    const { steps, evidence, verdict } = this.#seen.get(id);
    const name = `claim-${id}`;
    const isRunning = this.#running === id;
    const passed = isRunning ? Math.min(seconds, (Date.now() - this.#startedMs) / 1000) : 0;
    const step = ({ at, text }) => el("li", {}, el("time", {}, clock(at).slice(0, 8)), el("span", {}, text));
    const figure = ([what, value]) => el("div", {}, el("dt", {}, what), el("dd", {}, String(value)));
    const run = { class: "main", "aria-label": `Run experiment ${id}`, disabled: this.#running !== null };
    return el(
      "li",
      { "data-claim": id, "data-holds": verdict && `${verdict.holds}` },
      el("h3", { id: name }, title),
      el("p", {}, el("b", {}, "What could go wrong: "), problem),
      el("p", {}, el("b", {}, "The experiment: "), experiment),
      el(
        "div",
        { class: "toolbar" },
        button("Run", () => this.#start(id), run),
        el("small", {}, `about ${seconds} s`),
        el("progress", { max: seconds, value: passed, hidden: !isRunning, "aria-labelledby": name }),
      ),
      el(
        "ol",
        { id: `steps-${id}`, class: "steps", "aria-live": "polite", "aria-labelledby": name },
        ...[...steps.values()].map(step),
      ),
      el("dl", { class: "evidence" }, ...[...evidence].map(figure)),
      el("p", { class: "verdict", role: "status" }, ...verdictText(verdict)),
    );
  }
}

function verdictText(verdict) {
  if (!verdict) return [];
  if (verdict.holds === null) return [verdict.text];
  return [el("b", {}, verdict.holds ? "It holds. " : "It does not hold. "), verdict.text];
}
