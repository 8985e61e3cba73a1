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
 * `{compact, size, height, topic, client, sources, rows, boxes}`: `sources` has the boxes of the services without a
 * queue, `rows` has a row for each service with a queue, `boxes` has the box of each service by name.
 */
export function layoutOf(catalog, compact) {
  const size = compact ? COMPACT : WIDE;
  const pitch = SERVICE_H + GAP;
  const top = compact ? size.top + 36 + catalog.sources.length * pitch : size.top;
  const rows = [];
  for (const service of catalog.consumers) rows.push(rowOf(service, catalog, size, rows.at(-1)?.bottom ?? top));
  const { bottom } = rows.at(-1);
  const middleY = (top + bottom - GAP) / 2 - ((catalog.sources.length - 1) * pitch) / 2;
  const sourceY = compact ? size.top + SERVICE_H / 2 : middleY;
  const sources = catalog.sources.map((_, i) => ({ ...size.source, y: sourceY + i * pitch, h: SERVICE_H }));
  const boxes = Object.fromEntries([
    ...catalog.sources.map(({ name }, i) => [name, sources[i]]),
    ...rows.map(({ service, box }) => [service.name, box]),
  ]);
  const topic = { x: size.topic, y: Math.min(top + 14, sourceY - 14), bottom: bottom - GAP };
  const client = { ...size.client, y: compact ? sourceY : sourceY - CLIENT_DY };
  return { compact, size, height: bottom + 4, topic, client, sources, rows, boxes };
}

/** A queue, its dead-letter queue and its service. Events that it consumes are above the track, others below. */
function rowOf(service, catalog, { label, queue, service: place }, top) {
  const consumes = catalog.consumesAll(service) ? ["*"] : service.consumes;
  const y = top + Math.max(SERVICE_H / 2 + 4, 14 + consumes.length * label.line);
  const publishes = service.publishes.length > 0;
  const dlqY = y + RETURN_DY + (publishes ? 24 : 0);
  const labelsEnd = y + RETURN_DY + 6 + service.publishes.length * label.line;
  const labelAt = (type, labelY) => ({ type, text: type === "*" ? "every event" : type, x: label.x, y: labelY });
  return {
    service,
    y,
    returnY: publishes ? y + RETURN_DY : null,
    consumes: consumes.map((type, i) => labelAt(type, y - 9 - (consumes.length - 1 - i) * label.line)),
    publishes: service.publishes.map((type, i) => labelAt(type, y + RETURN_DY + 15 + i * label.line)),
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
export function routeOf({ boxes, rows, topic, client }, kind, { eventType, producer, consumer, external }) {
  const row = rows.find(({ service }) => service.name === consumer);
  const queue = { ...middle(row.queue), parts: [`queue:${consumer}`] };
  if (kind === "consume") {
    return timed([middle(row.queue), { x: row.box.x + 14, y: row.y, parts: [`service:${consumer}`] }], 0, 1);
  }
  if (kind === "dead") return timed([middle(row.queue), { ...middle(row.dlq), parts: [`dlq:${consumer}`] }], 0, 1);
  const from = boxes[producer];
  const returnY = rows.find(({ service }) => service.name === producer)?.returnY;
  const parts = [`service:${producer}`, `publishes:${producer}:${eventType}`];
  const exit = { x: from.x + SERVICE_EXIT, y: from.y, parts };
  const atTopic = { x: topic.x, y: returnY ?? from.y, parts: ["topic"] };
  const start = returnY ? [exit, { ...exit, y: returnY, parts: [] }] : [{ ...middle(from), parts }];
  if (external) start.unshift({ ...middle(client), parts: ["client"] });
  const labels = [`consumes:${consumer}:${eventType}`, `consumes:${consumer}:*`];
  const end = [atTopic, { x: topic.x, y: row.y, parts: labels }, queue];
  // All copies of an event pass the topic at half time, and part there.
  return [...timed([...start, atTopic], 0, 0.5), ...timed(end, 0.5, 1).slice(1)];
}

const middle = ({ x, y, w }) => ({ x: x + w / 2, y, parts: [] });

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

/** The diagram of one layout. It is drawn once; after that its parts light up, its numbers change and its dots move. */
export class Drawing {
  #catalog;
  #width;
  #parts = new Map();
  #lit = new Set();
  #dots = svg("g", { class: "dots" });

  /** Draws into `root`, an `svg` element, and replaces an earlier drawing. */
  constructor(root, layout, catalog) {
    this.#catalog = catalog;
    this.#width = layout.size.width;
    root.setAttribute("viewBox", `0 0 ${layout.size.width} ${layout.height}`);
    root.toggleAttribute("data-compact", layout.compact);
    root.querySelectorAll("g").forEach((group) => group.remove());
    root.append(svg("g", { class: "tracks" }, ...tracks(layout)));
    root.append(svg("g", {}, ...stations(layout, catalog)), this.#dots);
    root.querySelectorAll("[data-part]").forEach((node) => this.#parts.set(node.dataset.part, node));
  }

  /** Lights up the parts of `lit` and no others. Puts a dot at each place of `dots`. */
  show({ dots, lit }) {
    for (const part of this.#lit) if (!lit.has(part)) this.#parts.get(part)?.classList.remove("lit");
    for (const part of lit) this.#parts.get(part)?.classList.add("lit");
    this.#lit = lit;
    while (this.#dots.childElementCount > dots.length) this.#dots.lastChild.remove();
    while (this.#dots.childElementCount < dots.length) {
      this.#dots.append(svg("g", { class: "dot" }, svg("circle", { r: DOT }), svg("text", { y: -12 })));
    }
    dots.forEach((dot, i) => this.#place(this.#dots.children[i], dot));
  }

  #place(node, { x, y, producer, text, dead }) {
    const label = node.lastChild;
    const half = (text.length * LETTER) / 2;
    node.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    node.dataset.colour = dead ? "bad" : this.#catalog.service(producer).colour;
    say(label, text);
    label.setAttribute("x", Math.min(Math.max(x, half), this.#width - half) - x); // inside the picture
  }

  /** Shows how many messages are in each queue: `{service: {waiting, inFlight, deadLetters}}`. */
  showDepths(depths) {
    for (const [service, { waiting, inFlight, deadLetters }] of Object.entries(depths)) {
      this.#showDepth(`queue:${service}`, waiting + inFlight);
      this.#showDepth(`dlq:${service}`, deadLetters);
    }
  }

  #showDepth(part, count) {
    const box = this.#parts.get(part);
    box.dataset.depth = count;
    say(box.querySelector(".count"), String(count));
  }

  /** Shows which services do not run: `{service: {state}}`. A service that is not named runs. */
  showStates(states) {
    for (const { name } of this.#catalog.services) {
      this.#parts.get(`service:${name}`).dataset.state = states[name]?.state ?? "running";
    }
  }

  /** Shows what each service did last: a `Map` of service to text. One that does not run does nothing. */
  showActions(actions) {
    for (const { name } of this.#catalog.services) {
      const { dataset, lastChild } = this.#parts.get(`service:${name}`);
      say(lastChild, DOES_NOT_RUN[dataset.state] ?? actions.get(name) ?? "");
    }
  }
}

function stations(layout, catalog) {
  const { boxes, rows, client, size, compact } = layout;
  const clientX = client.x + client.w / 2;
  return [
    topicStation(layout),
    svg(
      "g",
      { class: "client", "data-part": "client" },
      rectangle(client, client.h / 2),
      svg("text", { x: clientX, y: client.y - 3, class: "name middle" }, "Customer"),
      svg("text", { x: clientX, y: client.y + 12, class: "small middle" }, "POST /orders"),
    ),
    ...catalog.services.map((service) => serviceStation(service, boxes[service.name])),
    ...rows.flatMap(({ service, queue, dlq, consumes, publishes }) => [
      queueStation("queue", service, queue, compact ? "Q" : "queue"),
      queueStation("dlq", service, dlq, "DLQ"),
      ...consumes.map((label) => eventLabel("consumes", service, label, size)),
      ...publishes.map((label) => eventLabel("publishes", service, label, size)),
    ]),
  ];
}

function topicStation({ topic: { x, y, bottom }, size, compact }) {
  const wide = [
    svg("text", { x: x - 20, y: y + 6, class: "name end" }, "SNS topic"),
    svg("text", { x: x - 20, y: y + 23, class: "small end" }, "copies each event to"),
    svg("text", { x: x - 20, y: y + 38, class: "small end" }, "the subscribed queues"),
  ];
  const narrow = [svg("text", { x: size.label.x, y: y + 62, class: "name" }, "SNS topic")];
  const line = svg("path", { d: `M${x} ${y}V${bottom}` });
  return svg("g", { class: "topic", "data-part": "topic" }, line, ...(compact ? narrow : wide));
}

function serviceStation({ name, title, colour }, box) {
  const x = box.x + (box.w < 110 ? 9 : 14);
  return svg(
    "g",
    { class: "service", "data-part": `service:${name}`, "data-colour": colour },
    rectangle(box, 12),
    svg("text", { x, y: box.y - 4, class: "name" }, cut(title, Math.floor(box.w / LETTER))),
    svg("text", { x, y: box.y + 14, class: "action" }),
  );
}

function queueStation(kind, { name, colour }, box, title) {
  const padding = box.w < 110 ? 7 : 12;
  return svg(
    "g",
    { class: kind, "data-part": `${kind}:${name}`, "data-colour": colour },
    rectangle(box, kind === "queue" ? box.h / 2 : 6),
    svg("text", { x: box.x + padding, y: box.y + 4 }, title),
    svg("text", { x: box.x + box.w - padding, y: box.y + 4.5, class: "count" }, "–"),
  );
}

function eventLabel(kind, { name, colour }, { type, text, x, y }, { label }) {
  const attributes = { x, y, class: "label", "data-part": `${kind}:${name}:${type}`, "data-colour": colour };
  return svg("text", attributes, cut(text, label.maxLetters));
}

const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

const rectangle = ({ x, y, w, h }, rx) => svg("rect", { x, y: y - h / 2, width: w, height: h, rx });

function tracks({ sources, rows, topic, client, compact }) {
  const toTopic = ({ x, y, w }) =>
    compact
      ? arrow(x, y, topic.x + TOPIC_HALF_WIDTH, y, "cyan")
      : arrow(x + w, y, topic.x - TOPIC_HALF_WIDTH, y, "cyan");
  return [
    ...sources.flatMap(toTopic),
    ...clientTrack(client, sources[0], compact),
    ...rows.flatMap((row) => rowTracks(row, topic)),
  ];
}

function clientTrack(client, source, compact) {
  if (compact) return arrow(client.x, client.y, source.x + source.w, client.y, "ink");
  const x = client.x + client.w / 2;
  return [
    ...arrow(x, client.y + client.h / 2, x, source.y - source.h / 2, "ink"),
    svg("text", { x: x + 10, y: client.y + 54, class: "small" }, "201 at once"),
  ];
}

function rowTracks({ service: { colour }, y, returnY, queue, dlq, box }, topic) {
  const queueX = queue.x + queue.w / 2;
  const edge = topic.x + TOPIC_HALF_WIDTH;
  return [
    svg("path", { class: "spare", d: `M${queueX} ${y + queue.h / 2}V${dlq.y - dlq.h / 2}` }),
    ...(returnY ? returnTrack(box, returnY, edge, colour) : []),
    ...arrow(edge, y, queue.x, y, colour),
    ...arrow(queue.x + queue.w, y, box.x, y, colour),
  ];
}

/** From a service down, round a corner, and back to the topic. */
function returnTrack({ x, y, h }, returnY, edge, colour) {
  const exit = x + SERVICE_EXIT;
  const down = `M${exit} ${y + h / 2}V${returnY - CORNER}Q${exit} ${returnY} ${exit - CORNER} ${returnY}`;
  const track = svg("path", { class: "track", d: down, "data-colour": colour });
  return [track, ...arrow(exit - CORNER, returnY, edge, returnY, colour)];
}

/** A straight line with an arrow head at its end. */
function arrow(x1, y1, x2, y2, colour) {
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const transform = `translate(${x2} ${y2}) rotate(${angle})`;
  return [
    svg("path", { class: "track", d: `M${x1} ${y1}L${x2} ${y2}`, "data-colour": colour }),
    svg("path", { class: "head", d: "M0 0L-7 -3.8V3.8Z", transform, "data-colour": colour }),
  ];
}
