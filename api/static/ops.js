/** The operator's page. It asks the server for its state every two seconds. */

import { button, byId, clock, duration, el, orderLink, say, show, showConnection, statusBadge } from "./dom.js";
import { get, loadCatalog, poll } from "./api.js";
import { loaded, signInAgain, startOperatorsPage, watchFaults } from "./page.js";
import { DeadLetters } from "./dead-letters.js";

const REFRESH_MS = 2000;

startOperatorsPage("ops-problem");
watchFaults();
const catalog = await loaded(loadCatalog, "ops-problem");
const deadLetters = new DeadLetters(catalog, () => refresh.now());
const refresh = poll(async () => {
  try {
    const { at, queues, openOrders } = await get("/ops/state");
    showConnection("ops-connection", "live", `live, as of ${clock(at).slice(0, 8)}`);
    say(byId("ops-problem"), "");
    show(byId("queue-rows"), ...Object.entries(queues).map(queueRow));
    deadLetters.showCounts(queues);
    showOpenOrders(openOrders);
  } catch (error) {
    signInAgain(error);
    showConnection("ops-connection", "lost", "not live");
    say(byId("ops-problem"), error.message);
  }
}, REFRESH_MS);

function queueRow([service, depth]) {
  const title = catalog.titleOf(service);
  const number = (testId, count) => el("td", { class: "number", "data-testid": testId }, String(count));
  const colour = catalog.service(service)?.colour ?? "ink";
  const label = { "aria-label": `Inspect the dead letters of ${title}`, hidden: depth.deadLetters === 0 };
  return el(
    "tr",
    { "data-service": service, "data-colour": colour, "data-bad": depth.deadLetters > 0 },
    el("th", { scope: "row" }, title),
    number("waiting", depth.waiting),
    number("in-flight", depth.inFlight),
    number("dead-letters", depth.deadLetters),
    el("td", { class: "number" }, button("Inspect", () => deadLetters.inspect(service), label)),
  );
}

function showOpenOrders({ total, oldest }) {
  const listed = oldest.length < total ? ` The oldest ${oldest.length} are listed.` : "";
  const none = "Every order is finished, or younger than a minute.";
  say(byId("open-total"), total === 0 ? none : `${total} in all.${listed}`);
  byId("open-table").hidden = total === 0;
  show(byId("open-rows"), ...oldest.map(openRow));
}

function openRow({ orderId, status, waitsFor, ageSeconds }) {
  return el(
    "tr",
    { key: orderId, "data-order": orderId },
    el("th", { scope: "row" }, orderLink(orderId)),
    el("td", {}, statusBadge(status)),
    el("td", {}, waitsFor.map((name) => catalog.service(name)?.title ?? "Relay").join(", ")),
    el("td", { class: "number" }, duration(1000 * ageSeconds)),
  );
}
