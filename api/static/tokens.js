/**
 * What moves in the flow diagram. A token is one copy of an event on its way to one consumer:
 *   `{eventId, eventType, orderId, producer, consumer, external, named, phases, worksUntil}`
 * `external`: a customer's request caused the event. `named`: this one of an event's tokens shows the event's name.
 * A phase is `{kind, from, to}` with times in ms. Its kind is `publish` (publisher, topic, queue), `consume` (queue to
 * consumer) or `dead` (queue to dead-letter queue). After `publish` a token waits in the queue until its next phase.
 */

import { pointAt, routeOf } from "./diagram.js";

const SPREAD = 9; // SVG units between tokens that wait in the same queue
const PUBLISH_MS = 1100;
const CONSUME_MS = 500;
export const GLOW_MS = 900;
const QUIET_MS = 800; // the depth of a queue can be about a second old
const MAX_AT_A_CONSUMER = 11; // more are not drawn; the queue shows their number

const TRAVEL_MS = 60; // in a replay: to a queue, unless it must have been faster
const TAKE_MS = 40;
const TAIL_MS = 150;

const AUDIT = "audit";
const NOTIFICATION = "notification";

const PUBLISHED = {
  "order.created": "order placed",
  "inventory.reserved": "stock reserved",
  "inventory.failed": "out of stock",
  "payment.processed": "card charged",
  "payment.failed": "card declined",
  "inventory.released": "stock released",
};
const CONSUMED = { [NOTIFICATION]: "customer notified", [AUDIT]: "recorded" };

/**
 * What the diagram shows at time `t`: `{dots, lit}`. A dot is `{x, y, producer, text, dead}`. `lit` names the parts that
 * a token passed in the last `glowMs`. `still`: dots do not travel, they stand where they are going.
 */
export function sceneAt(tokens, t, layout, glowMs, still) {
  const dots = [];
  const lit = new Set();
  const waiting = {};
  for (const token of tokens) {
    const { consumer, producer, eventType, named, worksUntil } = token;
    const begun = token.phases.filter(({ from }) => from <= t);
    const routes = begun.map(({ kind }) => routeOf(layout, kind, token));
    begun.forEach(({ from, to }, i) => {
      for (const { at, parts } of routes[i]) {
        const passed = from + (to - from) * at;
        if (t >= passed && t <= passed + glowMs) parts.forEach((part) => lit.add(part));
      }
    });
    if (!begun.length) continue;
    const { kind, from, to } = begun.at(-1);
    const arrived = t >= to;
    if (arrived && kind === "consume" && t < worksUntil) lit.add(`service:${consumer}`);
    if (arrived && kind !== "publish") continue;
    const progress = arrived ? 1 : (t - from) / (to - from);
    const place = pointAt(routes.at(-1), still ? 1 : progress);
    if (arrived) {
      const turn = (waiting[consumer] = (waiting[consumer] ?? -1) + 1);
      place.x += SPREAD * (turn % 2 ? (turn + 1) / 2 : -turn / 2);
    }
    const name = named && kind === "publish" && progress < 0.5 ? eventType : "";
    dots.push({ ...place, producer, text: kind === "dead" ? "failed three times" : name, dead: kind === "dead" });
  }
  return { dots, lit };
}

/** What each service did last before time `t`: a `Map` of service to text. Adds to `actions`. */
export function actionsAt(tokens, t, actions = new Map()) {
  const done = [];
  for (const { phases, producer, consumer, eventType } of tokens) {
    for (const { kind, from, to } of phases) {
      if (kind === "publish") done.push([from, producer, PUBLISHED[eventType] ?? eventType]);
      if (kind === "consume" && CONSUMED[consumer]) done.push([to, consumer, CONSUMED[consumer]]);
    }
  }
  const past = done.filter(([time]) => time <= t).sort((a, b) => a[0] - b[0]);
  for (const [, service, text] of past) actions.set(service, text);
  return actions;
}

/** A token for each consumer of an event, published from `from` to `to`. */
function tokensOf({ eventId, eventType, orderId, causationId }, catalog, from, to) {
  const common = { eventId, eventType, orderId, producer: catalog.producerOf(eventType)?.name, external: !causationId };
  return catalog.consumersOf(eventType).map(({ name }, i) => ({
    ...common,
    consumer: name,
    named: i === 0,
    phases: [{ kind: "publish", from, to }],
    worksUntil: 0,
  }));
}

const isWaiting = ({ phases }) => phases.at(-1).kind === "publish";

/**
 * The tokens of what happens now. A token is made when an event is recorded, and leaves its queue only on evidence:
 * - the consumer published an event that this one caused,
 * - the consumer is the audit service, whose record shows us the event,
 * - the order's status is COMPLETED: the customer was notified,
 * - the queue is empty,
 * - the dead-letter queue has grown: the token goes there.
 */
export class LiveTokens {
  tokens = [];
  actions = new Map();
  /** `{service: {waiting, inFlight, deadLetters}}` of all queues, as far as known. */
  depths = {};
  #catalog;

  constructor(catalog) {
    this.#catalog = catalog;
  }

  /** An event was recorded. */
  record(event) {
    const now = performance.now();
    const producer = this.#catalog.producerOf(event.eventType)?.name;
    const isCause = (token) => token.eventId === event.causationId && token.consumer === producer;
    this.#leaveQueue(isCause, "consume");
    const start = Math.max(now, this.tokens.find(isCause)?.phases.at(-1).to ?? now);
    for (const token of tokensOf(event, this.#catalog, start, start + PUBLISH_MS)) {
      const count = this.tokens.filter(({ consumer }) => consumer === token.consumer).length;
      if (count < MAX_AT_A_CONSUMER) this.tokens.push(token);
    }
    this.#leaveQueue((token) => token.eventId === event.eventId && token.consumer === AUDIT, "consume");
  }

  /** An order has another status. */
  setStatus({ orderId, status }) {
    if (status !== "COMPLETED") return;
    this.#leaveQueue((token) => token.orderId === orderId && token.consumer === NOTIFICATION, "consume");
  }

  /** `count` messages of a consumer became dead letters. One token stands for all that were unknown here. */
  bury(consumer, count) {
    const moved = this.#leaveQueue((token) => token.consumer === consumer, "dead", count);
    const now = performance.now();
    const phases = [{ kind: "dead", from: now, to: now + PUBLISH_MS }];
    if (moved < count) this.tokens.push({ consumer, phases, worksUntil: 0 });
  }

  /** Removes the tokens that have arrived and whose light is out. Call it before each drawing. */
  tick(now) {
    const isEmpty = (depth) => depth !== undefined && depth.waiting + depth.inFlight === 0;
    const isQuiet = ({ consumer, phases }) => isEmpty(this.depths[consumer]) && now > phases[0].to + QUIET_MS;
    this.#leaveQueue(isQuiet, "consume");
    actionsAt(this.tokens, now, this.actions);
    this.tokens = this.tokens.filter((token) => isWaiting(token) || token.phases.at(-1).to + GLOW_MS >= now);
  }

  /**
   * The first `max` tokens that wait, or are on their way to the queue, go on from the queue: to the consumer
   * (`consume`) or the dead-letter queue (`dead`). Returns how many.
   */
  #leaveQueue(which, kind, max = Infinity) {
    const leaving = this.tokens.filter((token) => isWaiting(token) && which(token)).slice(0, max);
    for (const { phases } of leaving) {
      const from = Math.max(performance.now(), phases[0].to);
      phases.push({ kind, from, to: from + (kind === "dead" ? PUBLISH_MS : CONSUME_MS) });
    }
    return leaving.length;
  }
}

/**
 * A finished order as tokens on the time axis of its audit trail, in ms since its first event: `{marks, tokens, endMs}`.
 * When an event was published, recorded and acted on is measured. The places of a dot in between are made up.
 */
export function timelineOf(order, entries, catalog) {
  const start = Math.min(...entries.map(({ recordedAt }) => Date.parse(recordedAt)));
  const since = (text) => Math.max(0, Date.parse(text) - start);
  const marks = entries.map(({ recordedAt, eventType }) => ({ at: since(recordedAt), eventType }));
  const tokens = entries.flatMap((entry) => {
    const from = since(entry.recordedAt);
    return tokensOf(entry, catalog, from, from).map((token) => {
      const measured = actedAt(token.consumer, entry, entries, order, catalog);
      const acted = measured ? Math.max(from, since(measured)) : from + TRAVEL_MS + TAKE_MS;
      const arrives = from + Math.min(TRAVEL_MS, (acted - from) * 0.6);
      const taken = arrives + Math.min(TAKE_MS, (acted - from) * 0.4);
      const phases = [
        { kind: "publish", from, to: arrives },
        { kind: "consume", from: arrives, to: taken },
      ];
      return { ...token, phases, worksUntil: acted };
    });
  });
  const ends = tokens.flatMap(({ worksUntil, phases }) => [worksUntil, phases.at(-1).to]);
  return { marks, tokens, endMs: Math.max(...marks.map(({ at }) => at), ...ends) + TAIL_MS };
}

/** When the consumer had acted on the event of `entry`, if that was recorded. */
function actedAt(consumer, entry, entries, order, catalog) {
  if (consumer === AUDIT) return entry.storedAt;
  const isEffect = (each) =>
    each.causationId === entry.eventId && catalog.producerOf(each.eventType)?.name === consumer;
  return entries.find(isEffect)?.recordedAt ?? (consumer === NOTIFICATION ? order.notifiedAt : undefined);
}
