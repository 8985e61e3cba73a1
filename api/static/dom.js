/** Makes elements and formats values. What comes from outside becomes text or an attribute, never markup. */

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An HTML element. `children` are nodes or texts. An attribute that is `false` is left out. */
export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** Sets a text only if it differs, so that a screen reader does not read a live region again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A button that does not submit a form. */
export function button(text, onClick, attributes = {}) {
  const made = el("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", onClick);
  return made;
}

/** A link that opens the order in the storefront's tracker, in another tab. */
export const orderLink = (orderId) =>
  el("a", { href: `/?order=${encodeURIComponent(orderId)}#tracker`, target: "_blank", class: "id" }, orderId);

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

/** A list whose rows stay the same elements as long as their item is listed, so that a row keeps the focus. */
export class KeyedList {
  #rows = new Map();
  #list;
  #make;

  /** `make(key)` returns `{node, update(item)}` for a new row. */
  constructor(list, make) {
    this.#list = list;
    this.#make = make;
  }

  /** Shows one row for each pair of a key and an item, in this order. Removes everything else from the list. */
  show(pairs) {
    const keys = new Set(pairs.map(([key]) => key));
    for (const key of this.#rows.keys()) if (!keys.has(key)) this.#rows.delete(key);
    const kept = new Set([...this.#rows.values()].map(({ node }) => node));
    for (const node of [...this.#list.children]) if (!kept.has(node)) node.remove();
    pairs.forEach(([key, item], i) => {
      if (!this.#rows.has(key)) this.#rows.set(key, this.#make(key));
      const { node, update } = this.#rows.get(key);
      if (this.#list.children[i] !== node) this.#list.insertBefore(node, this.#list.children[i] ?? null);
      update(item);
    });
  }
}

const MONEY = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

export const dollars = (amount) => MONEY.format(amount);

/** The local time of an ISO text, with milliseconds. */
export const clock = (text) => CLOCK.format(new Date(text));

/** Milliseconds for people: `62 ms`, `4.20 s`, `3 min 5 s`, `2 h 4 min`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`;
  return age(ms / 1000);
}

/** Whole seconds for people: `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 4 h`. */
export function age(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** An order's items for people: `2 × USB-C Hub, 1 × Lamp`. */
export const itemsText = (items) => items.map((item) => `${item.quantity} × ${item.productName}`).join(", ");

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
