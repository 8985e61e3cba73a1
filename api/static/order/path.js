/** The status path of one order: four stations, and a branch at each place where it can fail. */

import { duration, el, say } from "../common/dom.js";

const STEPS = [
  { status: "PENDING", title: "Placed", colour: "cyan" },
  { status: "INVENTORY_FAILED", title: "Out of stock", colour: "red", branch: true },
  { status: "INVENTORY_RESERVED", title: "Stock reserved", colour: "green" },
  { status: "PAYMENT_FAILED", title: "Declined", colour: "red", branch: true },
  { status: "PAYMENT_PROCESSED", title: "Paid", colour: "yellow" },
  { status: "COMPLETED", title: "Customer told", colour: "magenta" },
];

const MAIN = STEPS.filter((step) => !step.branch).map((step) => step.status);

/** The statuses that an order has been through, by where it is now. */
const THROUGH = {
  ...Object.fromEntries(MAIN.map((status, i) => [status, MAIN.slice(0, i + 1)])),
  INVENTORY_FAILED: ["PENDING", "INVENTORY_FAILED"],
  PAYMENT_FAILED: ["PENDING", "INVENTORY_RESERVED", "PAYMENT_FAILED"],
};

/** The branch that leaves each station. */
const BRANCHES = { PENDING: "INVENTORY_FAILED", INVENTORY_RESERVED: "PAYMENT_FAILED" };

export const isTerminal = (status) => ["COMPLETED", "INVENTORY_FAILED", "PAYMENT_FAILED"].includes(status);

/** `ahead`, `reached`, `failed`, or `skipped` (never to be reached any more). */
export function stateOf(step, status) {
  if (THROUGH[status]?.includes(step)) return step.endsWith("_FAILED") ? "failed" : "reached";
  const passed = MAIN.indexOf(status) > MAIN.indexOf(step === "INVENTORY_FAILED" ? "PENDING" : "INVENTORY_RESERVED");
  const closed = isTerminal(status) || (step.endsWith("_FAILED") && passed);
  return closed ? "skipped" : "ahead";
}

/** Whether the order went on past this step's place, to the next station. */
function goesOn(step, status) {
  const from = MAIN.indexOf(
    step === "INVENTORY_FAILED" ? "PENDING" : step === "PAYMENT_FAILED" ? "INVENTORY_RESERVED" : step,
  );
  return Boolean(THROUGH[status]?.includes(MAIN[from + 1])) || (step in BRANCHES && status === BRANCHES[step]);
}

const STATE_TEXT = { ahead: "not yet", reached: "reached", failed: "failed here", skipped: "not on this order's way" };

export class Path {
  #steps = new Map();

  constructor(list) {
    for (const step of STEPS) {
      const parts = {
        note: el("small", { class: "note" }),
        time: el("small", {}),
        state: el("span", { class: "hidden" }),
      };
      const node = el(
        "li",
        { "data-status": step.status, "data-colour": step.colour, "data-kind": step.branch ? "branch" : "main" },
        el("b", {}, step.title),
        el("code", {}, step.status),
        parts.time,
        parts.note,
        parts.state,
      );
      this.#steps.set(step.status, { node, ...parts });
    }
    list.replaceChildren(...[...this.#steps.values()].map((step) => step.node));
  }

  /** `times`: milliseconds since the order was placed, by status. `released`: its stock is free again. */
  show(status, times, released) {
    for (const [name, { node, time, note, state }] of this.#steps) {
      node.dataset.state = stateOf(name, status);
      node.toggleAttribute("data-current", name === status);
      node.toggleAttribute("data-onward", goesOn(name, status));
      if (name === status) node.setAttribute("aria-current", "step");
      else node.removeAttribute("aria-current");
      say(time, name in times ? `+${duration(times[name])}` : "");
      say(note, name === "PAYMENT_FAILED" && released ? "stock returned" : "");
      say(state, STATE_TEXT[node.dataset.state]);
    }
  }
}
