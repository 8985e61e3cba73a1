/** The operator's page: what the server says of itself, every two seconds. */

import { loadCatalog } from "./common/catalog.js";
import { age, button, byId, clock, duration, el, say } from "./common/dom.js";
import { ApiError, call, get, regularly } from "./common/http.js";
import { drawLatency, drawThroughput } from "./ops/charts.js";
import { DeadLetters } from "./ops/letters.js";
import { OrderTrail } from "./ops/order.js";

const EVERY_MS = 2000;

start();

async function start() {
  forgetFragment();
  addEventListener("hashchange", forgetFragment);
  byId("sign-out").addEventListener("click", signOut);
  let catalog = null;
  try {
    catalog = await loadCatalog();
  } catch (error) {
    show("lost", `${error.message}: reload the page`);
    return;
  }
  const order = new OrderTrail(catalog);
  const letters = new DeadLetters(
    catalog,
    (orderId) => order.show(orderId),
    () => refresh.now(),
  );
  const refresh = regularly(() => look(catalog, order, letters), EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden && show("paused", "paused"));
}

/** The link with the token may be opened while signed in. */
function forgetFragment() {
  history.replaceState(null, "", location.pathname);
}

async function look(catalog, order, letters) {
  try {
    const state = await get("/ops/state");
    show("live", `live, as of ${clock(state.at).slice(0, 8)}`);
    say(byId("ops-problem"), "");
    showFigures(state);
    showQueues(state.queues, catalog, letters);
    showMinutes(state.orders.perMinute);
    showOpen(state.openOrders, order);
    letters.counts(state.queues);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) location.reload(); // the session is over: sign in again
    show("lost", "not live");
    say(byId("ops-problem"), error.message);
  }
}

function show(state, text) {
  byId("ops-connection").dataset.state = state;
  say(byId("ops-connection"), text);
}

async function signOut() {
  try {
    await call("DELETE", "/ops/session", "{}");
    location.replace("/ops");
  } catch (error) {
    say(byId("ops-problem"), error.message);
  }
}

const orNone = (value, text) => (value === null || value === undefined ? "–" : text(value));

function showFigures({ orders, openOrders, queues }) {
  const dead = Object.values(queues).reduce((sum, queue) => sum + queue.deadLetters, 0);
  const { p50Ms, p95Ms, p99Ms } = orders.timeToComplete;
  const figures = [
    ["Accepted, 10 min", orders.accepted, "accepted"],
    ["Finished, 10 min", orders.finished, "finished"],
    ["Median", orNone(p50Ms, duration), "p50"],
    ["95th percentile", orNone(p95Ms, duration), "p95"],
    ["99th percentile", orNone(p99Ms, duration), "p99"],
    ["Open over a minute", openOrders.total, "open"],
    ["Dead letters", dead, "dead"],
  ];
  byId("figures").replaceChildren(
    ...figures.map(([name, value, key]) =>
      el(
        "div",
        { "data-figure": key, "data-bad": ["open", "dead"].includes(key) && value > 0 },
        el("dt", {}, name),
        el("dd", {}, String(value)),
      ),
    ),
  );
}

/** The rows stay the same elements, so that a button keeps the focus. */
function showQueues(queues, catalog, letters) {
  const body = byId("queue-rows");
  for (const [service, depth] of Object.entries(queues)) {
    const row =
      body.querySelector(`[data-service="${CSS.escape(service)}"]`) ??
      body.appendChild(queueRow(service, catalog, letters));
    const [waiting, inFlight, oldest, dead] = row.querySelectorAll("td");
    say(waiting, String(depth.waiting));
    say(inFlight, String(depth.inFlight));
    say(oldest, orNone(depth.oldestSeconds, age));
    say(dead, deadText(depth));
    row.toggleAttribute("data-bad", depth.deadLetters > 0);
    row.querySelector("button").hidden = depth.deadLetters === 0;
  }
}

function deadText({ deadLetters, oldestDeadLetterSeconds }) {
  const oldest = orNone(oldestDeadLetterSeconds, age);
  return deadLetters > 0 && oldest !== "–" ? `${deadLetters} (oldest ${oldest})` : String(deadLetters);
}

function queueRow(service, catalog, letters) {
  const { title, colour } = catalog.service(service) ?? { title: service, colour: "ink" };
  const look = button("Look", () => letters.look(service), { "aria-label": `Look at the dead letters of ${title}` });
  const number = (name) => el("td", { class: "number", "data-testid": name });
  return el(
    "tr",
    { "data-service": service, "data-colour": colour },
    el("th", { scope: "row" }, title),
    number("waiting"),
    number("in-flight"),
    number("oldest"),
    number("dead-letters"),
    el("td", { class: "number" }, look),
  );
}

function showMinutes(minutes) {
  drawThroughput(byId("throughput-chart"), minutes);
  drawLatency(byId("latency-chart"), minutes);
  byId("minute-rows").replaceChildren(...minutes.map(minuteRow));
}

function minuteRow({ at, accepted, finished, p50Ms, p95Ms }) {
  const values = [String(accepted), String(finished), orNone(p50Ms, duration), orNone(p95Ms, duration)];
  const cells = values.map((value) => el("td", { class: "number" }, value));
  return el("tr", {}, el("th", { scope: "row" }, clock(at).slice(0, 5)), ...cells);
}

function showOpen({ total, oldest }, order) {
  const listed = oldest.length < total ? `, the oldest ${oldest.length} of them listed` : "";
  say(
    byId("open-total"),
    total === 0 ? "None: every order is finished, or younger than a minute." : `${total} in all${listed}.`,
  );
  byId("open-ids").replaceChildren(...oldest.map(({ orderId }) => el("option", { value: orderId })));
  byId("open-table").hidden = total === 0;
  const body = byId("open-rows");
  const focused = document.activeElement?.closest("#open-rows [data-order]")?.dataset.order;
  body.replaceChildren(...oldest.map((each) => openRow(each, order)));
  if (focused) body.querySelector(`[data-order="${CSS.escape(focused)}"] button`)?.focus();
}

function openRow({ orderId, status, ageSeconds }, order) {
  return el(
    "tr",
    { "data-order": orderId },
    el(
      "th",
      { scope: "row" },
      button(orderId, () => order.show(orderId), { class: "link", "aria-label": `Trail of ${orderId}` }),
    ),
    el("td", {}, el("span", { class: "status", "data-status": status }, status)),
    el("td", { class: "number" }, age(ageSeconds)),
  );
}
