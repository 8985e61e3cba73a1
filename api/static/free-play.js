/** Free play: what can be done to each service and to the messages, and the invariants as lights. */

import { button, byId, el, KeyedList, say } from "./dom.js";

const STATES = { running: "runs", stopped: "is stopped", frozen: "is frozen" };
const ACTIONS = ["Kill", "Freeze", "Restart"];
const LIGHTS = { true: "holds", false: "is broken", null: "not known" };

/** The invariants in words that need no knowledge of the system. */
const IN_PLAIN_WORDS = {
  1: "Every order comes to an end.",
  2: "No item is sold twice or lost.",
  3: "Nobody is charged twice.",
  4: "Every order’s history is complete.",
  5: "Only unreadable messages fail.",
  6: "Every customer gets the result.",
  7: "Nothing is published twice without a fault.",
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

/** What the services do, in a sentence. Their names come from the catalogue. */
export function sentenceAbout(services, catalog) {
  const idle = Object.keys(services).filter((name) => services[name].state !== "running");
  if (idle.length === 0) return "All services run.";
  const names = idle.map((name) => `${catalog.service(name)?.title ?? name} ${STATES[services[name].state]}.`);
  const waiting = idle.length > 1 ? "Their messages wait in their queues." : "Its messages wait in its queue.";
  return `${names.join(" ")} ${waiting}`;
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
