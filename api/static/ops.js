/** The operator's page. It asks the server for its state every two seconds. */

import { age, button, byId, clock, duration, el, KeyedList, orderLink, say, showConnection } from "./dom.js";
import { drawLatency, drawThroughput } from "./charts.js";
import { get, loadCatalog, poll, send } from "./api.js";
import { DeadLetters } from "./dead-letters.js";

const REFRESH_MS = 2000;

start();

async function start() {
  forgetToken();
  addEventListener("hashchange", forgetToken);
  byId("sign-out").addEventListener("click", signOut);
  const catalog = await loadCatalog().catch((error) => {
    showConnection("ops-connection", "lost", `${error.message}: reload the page`);
  });
  if (catalog) watch(catalog);
}

/** The link with the token can be opened while the operator is signed in. */
function forgetToken() {
  history.replaceState(null, "", location.pathname);
}

async function signOut() {
  try {
    await send("DELETE", "/ops/session", {});
    location.replace("/ops");
  } catch (error) {
    say(byId("ops-problem"), error.message);
  }
}

function watch(catalog) {
  const deadLetters = new DeadLetters(catalog, () => refresh.now());
  const queues = new KeyedList(byId("queue-rows"), (service) => queueRow(service, catalog, deadLetters));
  const openOrders = new KeyedList(byId("open-rows"), openRow);
  const refresh = poll(async () => {
    try {
      const state = await get("/ops/state");
      showConnection("ops-connection", "live", `live, as of ${clock(state.at).slice(0, 8)}`);
      say(byId("ops-problem"), "");
      showFigures(state);
      queues.show(Object.entries(state.queues));
      deadLetters.showCounts(state.queues);
      showMinutes(state.orders.perMinute);
      showOpenOrders(state.openOrders, openOrders);
    } catch (error) {
      if (error.status === 401) location.reload(); // the session has ended: sign in again
      showConnection("ops-connection", "lost", "not live");
      say(byId("ops-problem"), error.message);
    }
  }, REFRESH_MS);
}

/** The text of a value, or a dash if there is no value. */
const textOr = (value, text) => (value === null ? "–" : text(value));

function showFigures({ orders, openOrders, queues }) {
  const { p50Ms, p95Ms, p99Ms } = orders.timeToComplete;
  const figures = [
    ["Accepted, 10 min", orders.accepted, "accepted"],
    ["Finished, 10 min", orders.finished, "finished"],
    ["Median", textOr(p50Ms, duration), "p50"],
    ["95th percentile", textOr(p95Ms, duration), "p95"],
    ["99th percentile", textOr(p99Ms, duration), "p99"],
    ["Open over a minute", openOrders.total, "open"],
    ["Dead letters", Object.values(queues).reduce((sum, { deadLetters }) => sum + deadLetters, 0), "dead"],
  ];
  const figure = ([name, value, key]) => {
    const isBad = ["open", "dead"].includes(key) && value > 0;
    return el("div", { "data-figure": key, "data-bad": isBad }, el("dt", {}, name), el("dd", {}, String(value)));
  };
  byId("figures").replaceChildren(...figures.map(figure));
}

function queueRow(service, catalog, deadLetters) {
  const { title, colour } = catalog.service(service) ?? { title: service, colour: "ink" };
  const cell = (name) => el("td", { class: "number", "data-testid": name });
  const [waiting, inFlight, oldest, dead] = ["waiting", "in-flight", "oldest", "dead-letters"].map(cell);
  const label = `Inspect the dead letters of ${title}`;
  const inspect = button("Inspect", () => deadLetters.inspect(service), { "aria-label": label });
  const node = el(
    "tr",
    { "data-service": service, "data-colour": colour },
    el("th", { scope: "row" }, title),
    ...[waiting, inFlight, oldest, dead],
    el("td", { class: "number" }, inspect),
  );
  const update = (depth) => {
    say(waiting, String(depth.waiting));
    say(inFlight, String(depth.inFlight));
    say(oldest, textOr(depth.oldestSeconds, age));
    say(dead, String(depth.deadLetters));
    node.toggleAttribute("data-bad", depth.deadLetters > 0);
    inspect.hidden = depth.deadLetters === 0;
  };
  return { node, update };
}

function showMinutes(minutes) {
  drawThroughput(byId("throughput-chart"), minutes);
  drawLatency(byId("latency-chart"), minutes);
  const row = ({ at, accepted, finished, p50Ms, p95Ms }) => {
    const values = [String(accepted), String(finished), textOr(p50Ms, duration), textOr(p95Ms, duration)];
    const cells = values.map((value) => el("td", { class: "number" }, value));
    return el("tr", {}, el("th", { scope: "row" }, clock(at).slice(0, 5)), ...cells);
  };
  byId("minute-rows").replaceChildren(...minutes.map(row));
}

function showOpenOrders({ total, oldest }, list) {
  const listed = oldest.length < total ? ` The oldest ${oldest.length} are listed.` : "";
  const none = "Every order is finished, or younger than a minute.";
  say(byId("open-total"), total === 0 ? none : `${total} in all.${listed}`);
  byId("open-table").hidden = total === 0;
  list.show(oldest.map((order) => [order.orderId, order]));
}

function openRow(orderId) {
  const status = el("span", { class: "status" });
  const time = el("td", { class: "number" });
  const head = el("th", { scope: "row" }, orderLink(orderId));
  const node = el("tr", { "data-order": orderId }, head, el("td", {}, status), time);
  const update = (order) => {
    status.dataset.status = order.status;
    say(status, order.status);
    say(time, age(order.ageSeconds));
  };
  return { node, update };
}
