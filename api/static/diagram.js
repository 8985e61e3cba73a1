/**
 * The flow diagram: where its parts are, which way the dots go, and the SVG. All of it follows from the catalogue.
 * Lengths are SVG units. A box is `{x, y, w, h}` with its left edge at x and its middle at y.
 */

import { say, svg } from "./dom.js";

const WIDE = {
  width: 820,
  top: 8,
  topic: 232,
  label: { x: 254, maxLetters: 22, line: 15 },
  client: { x: 16, w: 150, h: 44 },
  source: { x: 16, w: 150 },
  queue: { x: 420, w: 128 },
  service: { x: 624, w: 180 },
};
const COMPACT = {
  width: 318,
  top: 6,
  topic: 12,
  label: { x: 27, maxLetters: 19, line: 14 },
  client: { x: 206, w: 110, h: 40 },
  source: { x: 52, w: 110 },
  queue: { x: 150, w: 54 },
  service: { x: 222, w: 94 },
};
const SERVICE_H = 54;
const QUEUE_H = 34;
const DLQ_H = 24;
const RETURN_DY = 40; // from the track to a queue down to the track back to the topic
const CLIENT_DY = 104; // from the client down to the first service, in the wide layout
const GAP = 16;
const CORNER = 10;
const TOPIC_HALF_WIDTH = 9;
const SERVICE_EXIT = 24; // from a service's left edge to where its events leave
const DOT = 7;
const DOES_NOT_RUN = { stopped: "does not run", frozen: "is frozen" };
const LETTER = 7.2; // the width of a letter, at most

/**
 * `{compact, size, height, topic, client, places}`. `places` has `{service, box}` for each service by name, and for one
 * with a queue also `{returnY, labels, queue, dlq}`.
 */
export function layoutOf(catalog, compact) {
  const size = compact ? COMPACT : WIDE;
  const pitch = SERVICE_H + GAP;
  const top = compact ? size.top + 36 + catalog.sources.length * pitch : size.top;
  const places = {};
  let bottom = top;
  for (const service of catalog.consumers) {
    places[service.name] = rowOf(service, catalog, size, bottom);
    ({ bottom } = places[service.name]);
  }
  const middleY = (top + bottom - GAP) / 2 - ((catalog.sources.length - 1) * pitch) / 2;
  const sourceY = compact ? size.top + SERVICE_H / 2 : middleY;
  catalog.sources.forEach((service, i) => {
    places[service.name] = { service, box: { ...size.source, y: sourceY + i * pitch, h: SERVICE_H } };
  });
  const topic = { x: size.topic, y: Math.min(top + 14, sourceY - 14), bottom: bottom - GAP };
  const client = { ...size.client, y: compact ? sourceY : sourceY - CLIENT_DY };
  return { compact, size, height: bottom + 4, topic, client, places };
}

/** A queue, its dead-letter queue and its service. Events that it consumes are above the track, others below. */
function rowOf(service, catalog, { label, queue, service: place }, top) {
  const consumes = catalog.consumesAll(service) ? ["*"] : service.consumes;
  const y = top + Math.max(SERVICE_H / 2 + 4, 14 + consumes.length * label.line);
  const publishes = service.publishes.length > 0;
  const dlqY = y + RETURN_DY + (publishes ? 24 : 0);
  const labelsEnd = y + RETURN_DY + 6 + service.publishes.length * label.line;
  const labelAt = (kind, type, labelY) => ({ kind, type, x: label.x, y: labelY });
  return {
    service,
    returnY: publishes ? y + RETURN_DY : null,
    labels: [
      ...consumes.map((type, i) => labelAt("consumes", type, y - 9 - (consumes.length - 1 - i) * label.line)),
      ...service.publishes.map((type, i) => labelAt("publishes", type, y + RETURN_DY + 15 + i * label.line)),
    ],
    queue: { ...queue, y, h: QUEUE_H },
    dlq: { ...queue, y: dlqY, h: DLQ_H },
    box: { ...place, y, h: SERVICE_H },
    bottom: Math.max(dlqY + DLQ_H / 2, publishes ? labelsEnd : 0) + GAP,
  };
}

/**
 * The points that a token's dot passes: `{x, y, at, parts}`. The dot is there at the time `at`, from 0 to 1, and then
 * `parts` light up. `kind` is a phase of the token: `publish`, `consume` or `dead`.
 */
export function routeOf({ places, topic, client }, kind, { eventType, producer, consumer, external }) {
  const { queue, dlq, box } = places[consumer];
  if (kind === "consume") {
    return timed([middle(queue), { x: box.x + 14, y: box.y, parts: [`service:${consumer}`] }], 0, 1);
  }
  if (kind === "dead") return timed([middle(queue), middle(dlq, `dlq:${consumer}`)], 0, 1);
  const { box: from, returnY } = places[producer];
  const parts = [`service:${producer}`, `publishes:${producer}:${eventType}`];
  const exit = { x: from.x + SERVICE_EXIT, y: from.y, parts };
  const atTopic = { x: topic.x, y: returnY ?? from.y, parts: ["topic"] };
  const start = returnY ? [exit, { ...exit, y: returnY, parts: [] }] : [middle(from, ...parts)];
  if (external) start.unshift(middle(client, "client"));
  const labels = [`consumes:${consumer}:${eventType}`, `consumes:${consumer}:*`];
  const end = [atTopic, { x: topic.x, y: queue.y, parts: labels }, middle(queue, `queue:${consumer}`)];
  // All copies of an event pass the topic at half time, and part there.
  return [...timed([...start, atTopic], 0, 0.5), ...timed(end, 0.5, 1).slice(1)];
}

const middle = ({ x, y, w }, ...parts) => ({ x: x + w / 2, y, parts });

/** The points of a move at a steady speed between two times. */
function timed(points, from, to) {
  const steps = points.map(({ x, y }, i) => (i ? Math.hypot(x - points[i - 1].x, y - points[i - 1].y) : 0));
  const length = steps.reduce((sum, step) => sum + step, 0) || 1;
  let passed = 0;
  return points.map((point, i) => {
    passed += steps[i];
    return { ...point, at: from + ((to - from) * passed) / length };
  });
}

/** Where a dot is at `time`, from 0 to 1. */
export function pointAt(route, time) {
  const next = Math.max(1, route.findIndex(({ at }) => at >= time));
  const [a, b] = [route[next - 1], route[next]];
  const part = (time - a.at) / (b.at - a.at || 1);
  return { x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part };
}

/** The diagram of one layout. It is drawn once; after that its parts light up, its texts change and its dots move. */
export class Drawing {
  #catalog;
  #width;
  #parts = new Map();
  #dots = svg("g", { class: "dots" });

  /** Draws into `root`, an `svg` element, and replaces an earlier drawing. */
  constructor(root, layout, catalog) {
    this.#catalog = catalog;
    this.#width = layout.size.width;
    root.setAttribute("viewBox", `0 0 ${layout.size.width} ${layout.height}`);
    root.toggleAttribute("data-compact", layout.compact);
    root.querySelectorAll("g").forEach((group) => group.remove());
    root.append(svg("g", {}, ...tracks(layout)), svg("g", {}, ...stations(layout)), this.#dots);
    root.querySelectorAll("[data-part]").forEach((node) => this.#parts.set(node.dataset.part, node));
  }

  /**
   * Lights up the parts of `lit` and no others, and puts a dot at each place of `dots`. `depths`: the messages in each
   * queue, `{service: {waiting, inFlight, deadLetters}}`. `states`: `{service: {state}}`; a service that is not named
   * runs. `actions`: what each service did last, a `Map` of service to text.
   */
  show({ dots, lit }, depths, states, actions) {
    for (const [part, node] of this.#parts) node.classList.toggle("lit", lit.has(part));
    for (const [name, { waiting, inFlight, deadLetters }] of Object.entries(depths)) {
      this.#showDepth(`queue:${name}`, waiting + inFlight);
      this.#showDepth(`dlq:${name}`, deadLetters);
    }
    for (const { name } of this.#catalog.services) {
      const { dataset, lastChild } = this.#parts.get(`service:${name}`);
      dataset.state = states[name]?.state ?? "running";
      say(lastChild, DOES_NOT_RUN[dataset.state] ?? actions.get(name) ?? "");
    }
    while (this.#dots.childElementCount > dots.length) this.#dots.lastChild.remove();
    while (this.#dots.childElementCount < dots.length) {
      this.#dots.append(svg("g", { class: "dot" }, svg("circle", { r: DOT }), svg("text", { y: -12 })));
    }
    dots.forEach((dot, i) => this.#place(this.#dots.children[i], dot));
  }

  #showDepth(part, count) {
    const box = this.#parts.get(part);
    box.dataset.depth = count;
    say(box.lastChild, String(count));
  }

  #place(node, { x, y, producer, text, dead }) {
    const label = node.lastChild;
    const half = (text.length * LETTER) / 2;
    node.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    node.dataset.colour = dead ? "bad" : this.#catalog.service(producer).colour;
    say(label, text);
    label.setAttribute("x", Math.min(Math.max(x, half), this.#width - half) - x); // inside the picture
  }
}

function stations(layout) {
  const { places, size, compact } = layout;
  const drawn = [topicStation(layout), clientStation(layout.client)];
  for (const { service, box, queue, dlq, labels } of Object.values(places)) {
    drawn.push(serviceStation(service, box));
    if (!queue) continue;
    drawn.push(queueStation("queue", service, queue, compact ? "Q" : "queue"));
    drawn.push(queueStation("dlq", service, dlq, "DLQ"));
    drawn.push(...labels.map((label) => eventLabel(service, label, size.label.maxLetters)));
  }
  return drawn;
}

function topicStation({ topic: { x, y, bottom }, size, compact }) {
  const line = svg("path", { d: `M${x} ${y}V${bottom}` });
  if (compact) return station("topic", "ink", line, text("name", size.label.x, y + 62, "SNS topic"));
  const name = text("name end", x - 20, y + 6, "SNS topic");
  const first = text("small end", x - 20, y + 23, "copies each event to");
  return station("topic", "ink", line, name, first, text("small end", x - 20, y + 38, "the subscribed queues"));
}

function clientStation(box) {
  const x = box.x + box.w / 2;
  const name = text("name middle", x, box.y - 3, "Customer");
  return station("client", "ink", rectangle(box, box.h / 2), name, text("small middle", x, box.y + 12, "POST /orders"));
}

/** Its last child says what the service did last. */
function serviceStation({ name, title, colour }, box) {
  const x = box.x + (box.w < 110 ? 9 : 14);
  const label = text("name", x, box.y - 4, cut(title, Math.floor(box.w / LETTER)));
  return station(`service:${name}`, colour, rectangle(box, 12), label, text("action", x, box.y + 14, ""));
}

/** Its last child is the number of messages. */
function queueStation(kind, { name, colour }, box, title) {
  const padding = box.w < 110 ? 7 : 12;
  const shape = rectangle(box, kind === "queue" ? box.h / 2 : 6);
  const count = text("count", box.x + box.w - padding, box.y + 4.5, "–");
  return station(`${kind}:${name}`, colour, shape, text("kind", box.x + padding, box.y + 4, title), count);
}

function eventLabel({ name, colour }, { kind, type, x, y }, maxLetters) {
  const attributes = { x, y, class: "label", "data-part": `${kind}:${name}:${type}`, "data-colour": colour };
  return svg("text", attributes, cut(type === "*" ? "every event" : type, maxLetters));
}

const station = (part, colour, ...children) =>
  svg("g", { class: part.split(":")[0], "data-part": part, "data-colour": colour }, ...children);

const text = (kind, x, y, words) => svg("text", { class: kind, x, y }, words);

const cut = (words, letters) => (words.length > letters ? `${words.slice(0, letters - 1)}…` : words);

const rectangle = ({ x, y, w, h }, rx) => svg("rect", { x, y: y - h / 2, width: w, height: h, rx });

function tracks({ places, topic, client, compact }) {
  const [left, right] = [topic.x - TOPIC_HALF_WIDTH, topic.x + TOPIC_HALF_WIDTH];
  return Object.values(places).flatMap(({ service: { colour }, returnY, queue, dlq, box }) => {
    if (!queue) {
      const [from, to] = compact ? [box.x, right] : [box.x + box.w, left];
      return [arrow(from, box.y, to, box.y, colour), ...clientTrack(client, box, compact)];
    }
    const queueX = queue.x + queue.w / 2;
    return [
      svg("path", { class: "spare", d: `M${queueX} ${queue.y + queue.h / 2}V${dlq.y - dlq.h / 2}` }),
      ...(returnY ? returnTrack(box, returnY, right, colour) : []),
      arrow(right, queue.y, queue.x, queue.y, colour),
      arrow(queue.x + queue.w, queue.y, box.x, box.y, colour),
    ];
  });
}

/** Customers call the service that has no queue. */
function clientTrack(client, { x, y, w, h }, compact) {
  if (compact) return [arrow(client.x, client.y, x + w, y, "ink")];
  const middleX = client.x + client.w / 2;
  const label = text("small", middleX + 10, client.y + 54, "201 at once");
  return [arrow(middleX, client.y + client.h / 2, middleX, y - h / 2, "ink"), label];
}

/** From a service down, round a corner, and back to the topic. */
function returnTrack({ x, y, h }, returnY, edge, colour) {
  const exit = x + SERVICE_EXIT;
  const down = `M${exit} ${y + h / 2}V${returnY - CORNER}Q${exit} ${returnY} ${exit - CORNER} ${returnY}`;
  const corner = svg("path", { class: "track", d: down, "data-colour": colour });
  return [corner, arrow(exit - CORNER, returnY, edge, returnY, colour)];
}

/** A straight line with an arrow head at its end. */
function arrow(x1, y1, x2, y2, colour) {
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const head = { class: "head", d: "M0 0L-7 -3.8V3.8Z", transform: `translate(${x2} ${y2}) rotate(${angle})` };
  const track = svg("path", { class: "track", d: `M${x1} ${y1}L${x2} ${y2}` });
  return svg("g", { "data-colour": colour }, track, svg("path", head));
}
