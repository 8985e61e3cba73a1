/** Requests to the API, its streams, and the catalogue. */

const TIMEOUT_MS = 15_000;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 8000;
const REFUSED_RETRY_MS = 30_000;

export const get = (path) => send("GET", path);

export const post = (path, body, headers) => send("POST", path, body, headers);

/**
 * The JSON of the answer, or null for 204. Throws an error with a `status`: that of the answer, or null if there was no
 * answer: then the request may have worked.
 */
export async function send(method, path, body, headers = {}) {
  const json = body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } };
  let response = null;
  try {
    response = await fetch(path, { method, ...json, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw failure(error.name === "TimeoutError" ? "the server takes too long" : "the server cannot be reached", null);
  }
  if (response.status === 204) return null;
  const value = await response.json().catch(() => null);
  if (!response.ok) throw failure(value?.error ?? `the server answered ${response.status}`, response.status);
  return value;
}

const failure = (message, status) => Object.assign(new Error(message), { status });

export const orderPath = (orderId) => `/orders/${encodeURIComponent(orderId)}`;

/** An order's record and the entries of its audit trail. */
export const getOrder = (orderId) => Promise.all([get(orderPath(orderId)), get(`${orderPath(orderId)}/events`)]);

/**
 * Calls `look` at once, and again `everyMs` after each call has ended. Does not call it while the page is hidden.
 * Returns `{now, stop}`. `now` during a call: call again as soon as that ends.
 */
export function poll(look, everyMs) {
  let timer;
  let stopped = false;
  let looking = false;
  let again = false;
  const now = async () => {
    clearTimeout(timer);
    again = looking;
    if (stopped || looking || document.hidden) return;
    looking = true;
    await look();
    looking = false;
    if (!stopped) timer = setTimeout(now, again ? 0 : everyMs);
  };
  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", now);
  };
  document.addEventListener("visibilitychange", now);
  now();
  return { now, stop };
}

/**
 * Receives Server-Sent Events from `url` until `close()` is called on the result, and reconnects with a growing delay.
 * Disconnects while the page is hidden, because a browser has only six connections to a server for all its tabs.
 * `onMessage` gets the JSON of each message. `onState` gets `"live"`, `"lost"` with the number of failures in a row, or
 * `"refused"` when the server answers but gives no stream: there are too many, or it runs on Lambda.
 */
export function listen(url, onMessage, onState) {
  let source;
  let timer;
  let failures = 0;
  const disconnect = () => {
    clearTimeout(timer);
    source?.close();
  };
  const connect = () => {
    disconnect();
    if (document.hidden) return;
    source = new EventSource(url);
    source.onopen = () => {
      failures = 0;
      onState("live", 0);
    };
    source.onmessage = ({ data }) => onMessage(JSON.parse(data));
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      source.close();
      failures += 1;
      const jitter = 0.75 + Math.random() / 2;
      const delay = refused ? REFUSED_RETRY_MS : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
      timer = setTimeout(connect, delay * jitter);
      onState(refused ? "refused" : "lost", failures);
    };
  };
  const close = () => {
    removeEventListener("online", connect);
    document.removeEventListener("visibilitychange", connect);
    disconnect();
  };
  addEventListener("online", connect);
  document.addEventListener("visibilitychange", connect);
  connect();
  return { close };
}

export const loadCatalog = async () => new Catalog(await get("/catalog"));

/** Which events each service publishes and consumes. */
class Catalog {
  constructor({ events, services }) {
    this.events = events;
    this.services = Object.entries(services).map(([name, service]) => {
      return { name, ...service, publishes: Object.keys(events).filter((type) => events[type].producer === name) };
    });
    /** The services that have a queue, and those that have none. */
    this.consumers = this.services.filter((service) => service.consumes.length > 0);
    this.sources = this.services.filter((service) => service.consumes.length === 0);
  }

  service(name) {
    return this.services.find((service) => service.name === name);
  }

  /** The title of a service, or `name` if the catalogue does not have it. */
  titleOf(name) {
    return this.service(name)?.title ?? name;
  }

  /** The service that publishes events of `type`; undefined if the catalogue does not have the type. */
  producerOf(type) {
    return this.service(this.events[type]?.producer);
  }

  consumersOf(type) {
    return this.services.filter((service) => service.consumes.includes(type));
  }

  consumesAll(service) {
    return service.consumes.length === Object.keys(this.events).length;
  }

  /** An event has the colour of the service that publishes it. */
  colourOf(type) {
    return this.producerOf(type)?.colour ?? "ink";
  }
}
