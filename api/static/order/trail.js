/** An order's audit trail: each event with the time since the one before. */

import { clock, duration, el } from "../common/dom.js";

export class Trail {
  #list;
  #catalog;
  #entries = [];

  constructor(list, catalog) {
    this.#list = list;
    this.#catalog = catalog;
    this.clear();
  }

  /** By event id, which is their causal order. */
  get entries() {
    return this.#entries;
  }

  clear() {
    this.#entries = [];
    this.#show();
  }

  /** Take in an entry `{eventId, eventType, recordedAt}`; one that is there already changes nothing. */
  add(entry) {
    if (this.#entries.some((known) => known.eventId === entry.eventId)) return;
    this.#entries.push(entry);
    this.#entries.sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
    this.#show();
  }

  #show() {
    const rows = this.#entries.map((entry, i) => this.#row(entry, this.#entries[i - 1]));
    this.#list.replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "No events yet.")]));
  }

  #row(entry, before) {
    const since = before && Date.parse(entry.recordedAt) - Date.parse(before.recordedAt);
    return el(
      "li",
      {
        "data-event": entry.eventType,
        "data-event-id": entry.eventId,
        "data-colour": this.#catalog.colourOf(entry.eventType),
      },
      el("time", { datetime: entry.recordedAt }, clock(entry.recordedAt)),
      el("b", {}, entry.eventType),
      el("span", { class: "since" }, before ? `+${duration(since)}` : ""),
      el("code", { class: "id" }, entry.eventId),
    );
  }
}
