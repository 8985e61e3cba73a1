/** The operator's page. It asks the server for its state every two seconds. */

import { age, button, byId, clock, el, KeyedList, orderLink, say, showConnection } from "./dom.js";
import { get, loadCatalog, poll } from "./api.js";
import { startOperatorsPage, watchFaults } from "./operator.js";
import { DeadLetters } from "./dead-letters.js";

const REFRESH_MS = 2000;

start();

async function start() {
  startOperatorsPage("ops-problem");
  watchFaults();
  const catalog = await loadCatalog().catch((error) => {
    showConnection("ops-connection", "lost", `${error.message}: reload the page`);
  });
  if (catalog) watch(catalog);
}

function watch(catalog) {
  const deadLetters = new DeadLetters(catalog, () => refresh.now());
  const queues = new KeyedList(byId("queue-rows"), (service) => queueRow(service, catalog, deadLetters));
  const openOrders = new KeyedList(byId("open-rows"), (orderId) => openRow(orderId, catalog));
  const refresh = poll(async () => {
    try {
      const state = await get("/ops/state");
      showConnection("ops-connection", "live", `live, as of ${clock(state.at).slice(0, 8)}`);
      say(byId("ops-problem"), "");
      queues.show(Object.entries(state.queues));
      deadLetters.showCounts(state.queues);
      showOpenOrders(state.openOrders, openOrders);
    } catch (error) {
      if (error.status === 401) location.reload(); // the session has ended: sign in again
      showConnection("ops-connection", "lost", "not live");
      say(byId("ops-problem"), error.message);
    }
  }, REFRESH_MS);
}

function queueRow(service, catalog, deadLetters) {
  const { title, colour } = catalog.service(service) ?? { title: service, colour: "ink" };
  const cell = (name) => el("td", { class: "number", "data-testid": name });
  const [waiting, inFlight, dead] = ["waiting", "in-flight", "dead-letters"].map(cell);
  const label = `Inspect the dead letters of ${title}`;
  const inspect = button("Inspect", () => deadLetters.inspect(service), { "aria-label": label });
  const node = el(
    "tr",
    { "data-service": service, "data-colour": colour },
    el("th", { scope: "row" }, title),
    ...[waiting, inFlight, dead],
    el("td", { class: "number" }, inspect),
  );
  const update = (depth) => {
    say(waiting, String(depth.waiting));
    say(inFlight, String(depth.inFlight));
    say(dead, String(depth.deadLetters));
    node.toggleAttribute("data-bad", depth.deadLetters > 0);
    inspect.hidden = depth.deadLetters === 0;
  };
  return { node, update };
}

function showOpenOrders({ total, oldest }, list) {
  const listed = oldest.length < total ? ` The oldest ${oldest.length} are listed.` : "";
  const none = "Every order is finished, or younger than a minute.";
  say(byId("open-total"), total === 0 ? none : `${total} in all.${listed}`);
  byId("open-table").hidden = total === 0;
  list.show(oldest.map((order) => [order.orderId, order]));
}

function openRow(orderId, catalog) {
  const status = el("span", { class: "status" });
  const services = el("td", {});
  const time = el("td", { class: "number" });
  const head = el("th", { scope: "row" }, orderLink(orderId));
  const node = el("tr", { "data-order": orderId }, head, el("td", {}, status), services, time);
  const update = (order) => {
    status.dataset.status = order.status;
    say(status, order.status);
    say(services, order.waitsFor.map((name) => catalog.service(name)?.title ?? "Relay").join(", "));
    say(time, age(order.ageSeconds));
  };
  return { node, update };
}
