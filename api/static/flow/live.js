/**
 * The tokens of what happens now. A token is made when an event is recorded, and leaves its queue only on evidence:
 * - the consumer published an event that names this one as its cause,
 * - the consumer is the audit service, whose record is how we know of the event at all,
 * - the order's status says so,
 * - the queue was looked at since and is empty,
 * - the dead-letter queue has grown: then it goes there.
 */

import { sayingsAt, tokensOf } from "./scene.js";

const PUBLISH_MS = 1100;
const CONSUME_MS = 500;
const QUIET_MS = 800; // after the way there: depths are looked at about once a second, and told when they change
const GLOW_MS = 900;
const MOST_AT_A_CONSUMER = 11; // drawn at a time: the queue's number tells of the rest
const RECORDER = "audit";
const ENDED_BY = { COMPLETED: "notification" };

export class LiveFlow {
  tokens = [];
  sayings = new Map();
  #catalog;
  #depths = null;

  constructor(catalog) {
    this.#catalog = catalog;
  }

  /** An event was recorded. */
  record(event, now) {
    const start = this.#causeTaken(event, now);
    const tokens = tokensOf(event, this.#catalog, start, start + PUBLISH_MS);
    this.tokens.push(...tokens.filter(({ consumer }) => this.#countAt(consumer) < MOST_AT_A_CONSUMER));
    this.#take((token) => token.eventId === event.eventId && token.consumer === RECORDER, now);
  }

  status({ orderId, status }, now) {
    this.#take((token) => token.orderId === orderId && token.consumer === ENDED_BY[status], now);
  }

  /** The depths of all queues: `{service: {waiting, inFlight, deadLetters}}`. */
  queues(depths, now) {
    for (const [consumer, { deadLetters }] of Object.entries(depths)) {
      const before = this.#depths?.[consumer]?.deadLetters ?? deadLetters;
      if (deadLetters > before) this.#bury(consumer, deadLetters - before, now);
    }
    this.#depths = depths;
  }

  /** Let go of what has arrived and is no longer lit. Call before each drawing. */
  tick(now) {
    const quiet = (token) => this.#isEmpty(token.consumer) && now > token.phases[0].to + QUIET_MS;
    this.#take(quiet, now);
    const done = ({ phases }) => phases.length > 1 && phases.at(-1).to + GLOW_MS < now;
    sayingsAt(this.tokens, now, this.sayings);
    if (this.tokens.some(done)) this.tokens = this.tokens.filter((token) => !done(token));
  }

  /** When the cause of `event` has reached the service that published it, on screen. */
  #causeTaken(event, now) {
    const producer = this.#catalog.producer(event.eventType);
    const isCause = (token) => token.eventId === event.causationId && token.consumer === producer;
    this.#take(isCause, now);
    const cause = this.tokens.find(isCause);
    return Math.max(now, cause?.phases.at(-1).to ?? now);
  }

  /** Tokens that wait or are on their way to a queue go on from there to the consumer. */
  #take(which, now) {
    for (const token of this.tokens) {
      if (token.phases.length > 1 || !which(token)) continue;
      const from = Math.max(now, token.phases[0].to);
      token.phases.push({ kind: "consume", from, to: from + CONSUME_MS });
    }
  }

  #bury(consumer, count, now) {
    const waiting = this.tokens
      .filter((token) => token.consumer === consumer && token.phases.length === 1)
      .slice(0, count);
    const unseen = Array.from({ length: Math.min(count - waiting.length, 3) }, () => this.#unseen(consumer, now));
    for (const token of [...waiting, ...unseen]) {
      const from = Math.max(now, token.phases[0].to);
      token.phases.push({ kind: "dead", from, to: from + PUBLISH_MS });
    }
    this.tokens.push(...unseen);
  }

  /** A message that was in the queue before we looked: all that is known of it is where it is. */
  #unseen(consumer, now) {
    const phases = [{ kind: "publish", from: now - 1, to: now - 1 }];
    return {
      eventId: "",
      eventType: "",
      orderId: "",
      producer: null,
      consumer,
      external: false,
      lead: false,
      phases,
      worksUntil: 0,
    };
  }

  #countAt(consumer) {
    return this.tokens.filter((token) => token.consumer === consumer).length;
  }

  #isEmpty(consumer) {
    const depth = this.#depths?.[consumer];
    return depth !== undefined && depth.waiting + depth.inFlight === 0;
  }
}
