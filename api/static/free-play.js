/** Free play: what can be done to each service and to the messages, and the invariants as lights. */

import { button, byId, el, KeyedList, say } from "./dom.js";

const STATES = { running: "runs", stopped: "is stopped", frozen: "is frozen" };
const ACTIONS = ["Kill", "Freeze", "Restart"];
const LIGHTS = { true: "holds", false: "is broken", null: "not known yet" };

/** The invariants in words that need no knowledge of the system. */
const IN_PLAIN_WORDS = {
  1: "Every order comes to an end.",
  2: "No item is sold twice, and none gets lost.",
  3: "Nobody is charged twice.",
  4: "The history of every order is complete.",
  5: "Only messages that nobody can read are set aside.",
  6: "Every customer hears how the order ended.",
  7: "Nothing is announced twice without a reason.",
};

/** Adds buttons to the listed services. Calls `act(path)` with the last part of the path of what the user wants. */
export function startFreePlay(catalog, act) {
  for (const { name, title } of catalog.services) {
    const buttons = ACTIONS.map((action) =>
      button(action, () => act(`services/${encodeURIComponent(name)}/${action.toLowerCase()}`), {
        "aria-label": `${action} ${title}`,
      }),
    );
    rowOf(name).append(el("div", { class: "toolbar" }, el("span", { class: "state" }), ...buttons));
  }
  for (const fault of document.querySelectorAll("[data-fault]")) {
    fault.addEventListener("click", () => act(`faults/${fault.dataset.fault}`));
  }
}

/** Shows what each service does: `{name: {state}}`. */
export function showServiceStates(services) {
  for (const [name, { state }] of Object.entries(services)) {
    const row = rowOf(name);
    if (!row) continue; // it is not in the catalogue of the running Order service
    row.dataset.state = state;
    say(row.querySelector(".state"), STATES[state] ?? state);
    const [kill, freeze] = row.querySelectorAll("button");
    kill.disabled = state === "stopped";
    freeze.disabled = state !== "running";
  }
}

const rowOf = (name) => byId("services").querySelector(`[data-service="${CSS.escape(name)}"]`);

/** The list of lights. */
export const lights = () =>
  new KeyedList(byId("lights"), () => {
    const text = el("span", {});
    const state = el("b", {});
    const node = el("li", {}, text, state);
    const update = ({ id, title, holds }) => {
      node.dataset.holds = holds;
      node.title = title;
      say(text, IN_PLAIN_WORDS[id] ?? title);
      say(state, LIGHTS[holds]);
    };
    return { node, update };
  });
