/** A finished order as tokens on the time axis of its audit trail. Pure. */

import { tokensOf } from "./scene.js";

const TRAVEL_MS = 60; // from the publisher to a queue, if nothing says that it was quicker
const TAKE_MS = 40;
const TAIL_MS = 150;
const RECORDER = "audit";
const NOTIFIER = "notification";

/**
 * `{marks, tokens, endMs}` in ms since the first event of `entries` (as `GET /orders/:id/events` gives them).
 * Published, recorded, acted on and told are measured times; where a token is between two of them is drawn in between.
 */
export function timelineOf(entries, order, catalog) {
  const start = Math.min(...entries.map((entry) => Date.parse(entry.recordedAt)));
  const since = (text) => Math.max(0, Date.parse(text) - start);
  const marks = entries.map((entry) => ({
    at: since(entry.recordedAt),
    eventType: entry.eventType,
    eventId: entry.eventId,
  }));
  const tokens = entries.flatMap((entry) => tokensOfEntry(entry, entries, order, catalog, since));
  const ends = tokens.flatMap((token) => [token.worksUntil, token.phases.at(-1).to]);
  return { marks, tokens, endMs: Math.max(0, ...marks.map((mark) => mark.at), ...ends) + TAIL_MS };
}

function tokensOfEntry(entry, entries, order, catalog, since) {
  const from = since(entry.recordedAt);
  return tokensOf(entry, catalog, from, from).map((token) => {
    const known = actedAt(token, entry, entries, order, catalog);
    const acted = known === null ? from + TRAVEL_MS + TAKE_MS : Math.max(from, since(known));
    const arrives = from + Math.min(TRAVEL_MS, (acted - from) * 0.6);
    const taken = arrives + Math.min(TAKE_MS, (acted - from) * 0.4);
    const phases = [
      { kind: "publish", from, to: arrives },
      { kind: "consume", from: arrives, to: taken },
    ];
    return { ...token, phases, worksUntil: acted };
  });
}

/** The recorded moment at which the token's consumer had acted on the event, or null. */
function actedAt(token, entry, entries, order, catalog) {
  if (token.consumer === RECORDER) return entry.storedAt ?? null;
  const isEffect = (each) => each.causationId === entry.eventId && catalog.producer(each.eventType) === token.consumer;
  const effect = entries.find(isEffect);
  if (effect) return effect.recordedAt;
  return token.consumer === NOTIFIER ? (order.notifiedAt ?? null) : null;
}
