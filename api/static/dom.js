/** Elements and formats. What comes from outside becomes text or an attribute, never markup. */

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onchange"];

export const byId = (id) => document.getElementById(id);

/**
 * An HTML element. `children` are nodes or texts. An attribute that is `false` is left out. A function handles an
 * event (one of `HANDLERS`). `key` names the element among its siblings, for `show`.
 */
export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "key" || HANDLERS.includes(key)) node[key] = value;
    else if (value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/**
 * Makes `children` the children of `parent`. An old child with the same key, or else at the same place, stays and is
 * changed only where it differs. So it keeps the focus, and a screen reader does not read it again.
 */
export function show(parent, ...children) {
  const keyOf = (node, i) => node.key ?? `${i} ${node.nodeName}`;
  const old = new Map([...parent.childNodes].map((node, i) => [keyOf(node, i), node]));
  const wanted = [...el("div", {}, ...children).childNodes];
  const nodes = wanted.map((node, i) => changed(old.get(keyOf(node, i)) ?? node, node));
  for (const node of old.values()) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, i) => {
    if (parent.childNodes[i] !== node) parent.insertBefore(node, parent.childNodes[i] ?? null);
  });
}

/** Makes `node` like `wanted`, which has the same name. */
function changed(node, wanted) {
  if (node === wanted) return node;
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return node;
  }
  for (const name of node.getAttributeNames()) if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of wanted.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  for (const name of HANDLERS) node[name] = wanted[name];
  const isBeingTyped = node === document.activeElement;
  if (node.localName === "input" && !isBeingTyped) node.value = wanted.value;
  show(node, ...wanted.childNodes);
  return node;
}

/** Sets a text only if it differs, so that a screen reader does not read a live region again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A button that does not submit a form. */
export const button = (text, onclick, attributes) => el("button", { type: "button", onclick, ...attributes }, text);

/** A link that opens the order in the storefront's tracker, in another tab. */
export const orderLink = (orderId) =>
  el("a", { href: `/?order=${encodeURIComponent(orderId)}#tracker`, target: "_blank", class: "id" }, orderId);

export const statusBadge = (status) => el("span", { class: "status", "data-status": status }, status);

/** Shows how a connection is. `state` is for styles and tests, `text` for people. */
export function showConnection(id, state, text) {
  byId(id).dataset.state = state;
  say(byId(id), text);
}

/** Calls `onOrder(orderId)` when the form with an order's id is submitted. */
export function onOrderForm(formId, inputId, onOrder) {
  byId(formId).addEventListener("submit", (event) => {
    event.preventDefault();
    onOrder(byId(inputId).value.trim().toUpperCase());
  });
}

const MONEY = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const dollars = (amount) => MONEY.format(amount);

/** The local time of an ISO text or of ms since 1970, with milliseconds: `14:03:09.087`. */
export function clock(time) {
  const date = new Date(time);
  return `${CLOCK.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Milliseconds for people: `62 ms`, `4.20 s`, `3 min 5 s`, `2 h 4 min`, `3 d 4 h`. */
export function duration(ms) {
  const [seconds, minutes, hours, days] = [1000, 60_000, 3_600_000, 86_400_000].map((unit) => Math.floor(ms / unit));
  if (seconds < 1) return `${Math.round(ms)} ms`;
  if (minutes < 1) return `${Number((ms / 1000).toFixed(2))} s`;
  if (hours < 1) return `${minutes} min ${seconds % 60} s`;
  return days < 1 ? `${hours} h ${minutes % 60} min` : `${days} d ${hours % 24} h`;
}

/** An order's items for people: `2 × USB-C Hub, 1 × Lamp`. */
export const itemsText = (items) => items.map((item) => `${item.quantity} × ${item.productName}`).join(", ");

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
