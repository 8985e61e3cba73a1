/** The page "Try to break it": experiments and free play beside the live flow. Its server runs on the same machine. */

import { button, byId, el, say, show, showConnection } from "./dom.js";
import { get, listen, loadCatalog, post } from "./api.js";
import { loaded, signInAgain, startBanner, startOperatorsPage } from "./page.js";
import { Claims } from "./claims.js";
import { Flow } from "./flow.js";

const CONNECTION = {
  live: ["live", "live"],
  lost: ["reconnecting", "The server does not answer. This page goes on when it is back."],
  refused: ["lost", "The server refuses: reload the page."],
};
const STATES = { running: "runs", stopped: "is stopped", frozen: "is frozen" };
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

const since = Date.now();
startOperatorsPage("try-problem");
const load = () => Promise.all([loadCatalog(), get("/try/state")]);
const [catalog, first] = await loaded(load, "try-problem");
const open = (orderId) => window.open(`/?order=${encodeURIComponent(orderId)}#tracker`, "_blank", "noopener");
const flow = new Flow(catalog, { track: open, controls });
const showFaults = startBanner();
const claims = new Claims(first.claims, (id) => act(`claims/${id}`));
for (const fault of document.querySelectorAll("[data-fault]")) {
  fault.addEventListener("click", () => act(`faults/${fault.dataset.fault}`));
}
showLights(first);
showState(first);
listen(`/try/stream?since=${since}`, receive, (state) => {
  showConnection("try-connection", ...CONNECTION[state]);
  if (state === "live") get("/try/state").then(showState, () => {}); // what was missed before the connection
});

function receive(message) {
  if (message.type === "state") return showState(message);
  if (message.type === "lights") return showLights(message);
  claims.receive(message);
  if (message.type === "step") say(byId("now"), message.text);
}

function showState({ services, faults, claim }) {
  claims.setRunning(claim);
  showFaults(faults);
  flow.setStates(services);
  if (claim === null) say(byId("now"), sentenceAbout(services));
}

/** What the services do. */
function sentenceAbout(services) {
  const idle = Object.keys(services).filter((name) => services[name].state !== "running");
  if (idle.length === 0) return "All services run.";
  const sentences = idle.map((name) => `${catalog.titleOf(name)} ${STATES[services[name].state]}.`);
  const waiting = idle.length > 1 ? "Their messages wait in their queues." : "Its messages wait in its queue.";
  return `${sentences.join(" ")} ${waiting}`;
}

function showLights({ invariants }) {
  const light = ({ id, title, holds }) => {
    const text = el("span", {}, IN_PLAIN_WORDS[id] ?? title);
    return el("li", { title, "data-holds": `${holds}` }, text, el("b", {}, LIGHTS[holds]));
  };
  show(byId("lights"), ...invariants.map(light));
}

/** What a service does, and what can be done to it. */
function controls({ name, title }, state) {
  const control = (action, disabled) => {
    const path = `services/${encodeURIComponent(name)}/${action.toLowerCase()}`;
    return button(action, () => act(path), { "aria-label": `${action} ${title}`, disabled });
  };
  return el(
    "div",
    { class: "toolbar" },
    el("span", { class: "state" }, STATES[state] ?? state),
    control("Kill", state === "stopped"),
    control("Freeze", state !== "running"),
    control("Restart", false),
  );
}

/** Asks the server to do something. Returns whether it does. */
async function act(path) {
  say(byId("try-problem"), "");
  try {
    await post(`/try/${path}`);
    return true;
  } catch (error) {
    signInAgain(error);
    say(byId("try-problem"), `That was not done: ${error.message}.`);
    return false;
  }
}
