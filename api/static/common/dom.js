/** Making elements, and showing values. What comes from outside only ever becomes text or an attribute. */

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An HTML element. `children` are nodes or texts. */
export const el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);

/** An SVG element. */
export const svg = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** Set a text only if it is another one, so that a live region is not read out again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A button that is no submit button. */
export function button(text, onClick, attributes = {}) {
  const made = el("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", onClick);
  return made;
}

const MONEY = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

export const dollars = (amount) => MONEY.format(amount);

/** The local time of an ISO text, to the millisecond. */
export const clock = (text) => (Number.isNaN(Date.parse(text)) ? String(text) : CLOCK.format(new Date(text)));

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

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
