/**
 * What the flow diagram shows at a moment, computed from its tokens. Pure: the same for live events and for a replay.
 *
 * A token is one copy of an event on its way to one consumer:
 *   {eventId, eventType, producer, consumer, external, lead, phases, worksUntil}
 * `lead`: the one of its event's tokens that carries the event's name. A phase is {kind, from, to} with times in ms, its
 * kind one of `publish` (publisher → topic → queue), `consume` (queue → consumer), `dead` (queue → dead-letter queue).
 * After `publish` a token waits in the queue until its next phase starts.
 */

import { fractions, pointAt } from "./layout.js";

const SPREAD = 9; // between tokens that wait in the same queue

/** What a service has to say when it has published, or else taken, an event. */
const PUBLISHED = {
  "order.created": "order placed",
  "inventory.reserved": "stock reserved",
  "inventory.failed": "out of stock",
  "payment.processed": "card charged",
  "payment.failed": "card declined",
  "inventory.released": "stock returned",
};
const TAKEN = { notification: "customer told", audit: "recorded" };
const CAPTIONS = { "payment.failed>inventory": "returns the stock" };

/**
 * `{dots, lit}` at time `t`: dots `{x, y, producer, consumer, text, dead}`, and the names of the parts that are lit, each
 * for `glowMs` after a token came by. `still`: nothing travels, dots stand where they are going.
 */
export function sceneAt(tokens, t, routes, glowMs, still = false) {
  const dots = [];
  const lit = new Set();
  const waiting = new Map();
  for (const token of tokens) {
    const phase = token.phases.findLast((each) => each.from <= t);
    if (!phase) continue;
    for (const each of token.phases) light(lit, each, routes[each.kind](token), t, glowMs);
    if (token.worksUntil > t && phase.kind === "consume" && t >= phase.to) lit.add(`node:${token.consumer}`);
    const dot = dotOf(token, phase, t, routes, waiting, still);
    if (dot) dots.push(dot);
  }
  return { dots, lit };
}

function light(lit, phase, points, t, glowMs) {
  if (!points || t < phase.from || t > phase.to + glowMs) return;
  const along = fractions(points);
  points.forEach(({ parts = [] }, i) => {
    const passed = phase.from + (phase.to - phase.from) * along[i];
    if (t >= passed && t <= passed + glowMs) parts.forEach((part) => lit.add(part));
  });
}

function dotOf(token, phase, t, routes, waiting, still) {
  const points = routes[phase.kind](token);
  const progress = Math.min(1, (t - phase.from) / (phase.to - phase.from || 1));
  if (!points || (progress >= 1 && phase.kind !== "publish")) return null;
  const place = pointAt(points, still ? 1 : progress);
  if (progress >= 1) place.x += SPREAD * takeTurn(waiting, token.consumer);
  const { producer, consumer } = token;
  return { ...place, producer, consumer, text: textOf(token, phase, progress), dead: phase.kind === "dead" };
}

/** 0, 1, -1, 2, -2, … for the tokens in one queue. */
function takeTurn(waiting, consumer) {
  const turn = waiting.get(consumer) ?? 0;
  waiting.set(consumer, turn + 1);
  return turn % 2 ? (turn + 1) / 2 : -turn / 2;
}

function textOf(token, phase, progress) {
  const caption = CAPTIONS[`${token.eventType}>${token.consumer}`];
  if (phase.kind === "dead") return "failed three times";
  if (phase.kind === "publish" && progress < 0.5) return token.lead ? token.eventType : "";
  return caption && (phase.kind === "consume" || progress > 0.6) ? caption : "";
}

/** What each service has said last, by time `t`: `Map` of service to text. */
export function sayingsAt(tokens, t, into = new Map()) {
  const said = [];
  for (const token of tokens) {
    const [publish] = token.phases;
    if (token.producer && publish.from <= t)
      said.push([publish.from, token.producer, PUBLISHED[token.eventType] ?? token.eventType]);
    const consumed = token.phases.find((phase) => phase.kind === "consume");
    const text = TAKEN[token.consumer];
    if (text && consumed && consumed.to <= t) said.push([consumed.to, token.consumer, text]);
  }
  said.sort((a, b) => a[0] - b[0]).forEach(([, service, text]) => into.set(service, text));
  return into;
}

/** A token for each consumer of an event, on its way from `from` to `to`. */
export function tokensOf(event, catalog, from, to) {
  return catalog.takersOf(event.eventType).map(({ name }, i) => ({
    eventId: event.eventId,
    eventType: event.eventType,
    orderId: event.orderId,
    producer: catalog.producer(event.eventType),
    consumer: name,
    external: !event.causationId,
    lead: i === 0,
    phases: [{ kind: "publish", from, to }],
    worksUntil: 0,
  }));
}
