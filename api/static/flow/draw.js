/** The flow diagram as SVG: drawn once for a layout, then only lit, numbered and dotted. */

import { say, svg } from "../common/dom.js";

const CORNER = 10;
const DOT = 7;
const LETTER = 7.2; // how wide a letter is at most, more or less

export class Drawing {
  #catalog;
  #parts = new Map();
  #badges = new Map();
  #lit = new Set();
  #dots;
  #width;

  /** Draws into `root`, an `svg` element, instead of what was there. */
  constructor(root, layout, catalog) {
    this.#catalog = catalog;
    this.#dots = svg("g", { class: "dots" });
    this.#width = layout.width;
    root.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`);
    root.toggleAttribute("data-compact", layout.compact);
    root.querySelectorAll("g").forEach((group) => group.remove());
    root.append(svg("g", { class: "tracks" }, ...tracks(layout)), svg("g", {}, ...this.#stations(layout)), this.#dots);
    root.querySelectorAll("[data-part]").forEach((node) => this.#parts.set(node.dataset.part, node));
  }

  /** Light up what `lit` names and nothing else, and put a dot at each place of `dots`. */
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

  #place(node, { x, y, producer, consumer, text, dead }) {
    const owner = this.#catalog.service(producer ?? consumer);
    node.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    node.dataset.colour = dead ? "bad" : (owner?.colour ?? "ink");
    say(node.lastChild, text);
    node.lastChild.setAttribute("x", inside(x, text.length * LETTER, this.#width) - x);
  }

  /** Number the queues: `{service: {waiting, inFlight, deadLetters}}`. */
  number(depths) {
    for (const [service, { waiting, inFlight, deadLetters }] of Object.entries(depths)) {
      this.#number(`queue:${service}`, waiting + inFlight, `${waiting} waiting, ${inFlight} in flight`);
      this.#number(`dlq:${service}`, deadLetters, `${deadLetters} dead letters`);
      this.#parts.get(`node:${service}`)?.toggleAttribute("data-busy", inFlight > 0);
    }
  }

  #number(part, count, title) {
    const badge = this.#badges.get(part);
    if (!badge) return;
    say(badge.count, String(count));
    say(badge.title, title);
    this.#parts.get(part).dataset.depth = count;
  }

  /** Under each service's name, what it said last: `Map` of service to text. */
  tell(sayings) {
    for (const [part, node] of this.#parts) {
      if (part.startsWith("node:")) say(node.querySelector(".saying"), sayings.get(part.slice(5)) ?? "");
    }
  }

  #stations(layout) {
    const { nodes, rows, topic, client, dims, compact } = layout;
    return [
      topicOf(topic, dims, compact),
      ...(client ? [clientOf(client)] : []),
      ...this.#catalog.services.map((service) => serviceOf(service, nodes[service.name])),
      ...rows.flatMap((row) => this.#queuesOf(row, compact)),
      ...rows.flatMap((row) => labelsOf(row, dims)),
    ];
  }

  #queuesOf({ service, queue, dlq }, compact) {
    return [
      this.#box(`queue:${service.name}`, "queue", queue, service.colour, compact ? "Q" : "queue"),
      this.#box(`dlq:${service.name}`, "dlq", dlq, service.colour, "DLQ"),
    ];
  }

  #box(part, kind, box, colour, name) {
    const pad = box.w < 110 ? 7 : 12;
    const title = svg("title", {}, "");
    const count = svg("text", { class: "count", x: box.x + box.w - pad, y: box.y + 4.5 }, "–");
    this.#badges.set(part, { title, count });
    return svg(
      "g",
      { class: kind, "data-part": part, "data-colour": colour },
      title,
      rectOf(box, kind === "queue" ? box.h / 2 : 6),
      svg("text", { x: box.x + pad, y: box.y + 4 }, name),
      count,
    );
  }
}

/** The middle of a text of that length that is as near to `x` as the picture's edges let it be. */
const inside = (x, length, width) => Math.min(Math.max(x, length / 2), width - length / 2);

const cut = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

const rectOf = ({ x, y, w, h }, rx) => svg("rect", { x, y: y - h / 2, width: w, height: h, rx });

function topicOf({ x, y, bottom }, dims, compact) {
  const texts = compact
    ? [svg("text", { x: dims.label, y: y + 62, class: "name" }, "SNS topic")]
    : [
        svg("text", { x: x - 20, y: y + 6, class: "name end" }, "SNS topic"),
        svg("text", { x: x - 20, y: y + 23, class: "small end" }, "copies each event to"),
        svg("text", { x: x - 20, y: y + 38, class: "small end" }, "every queue that wants it"),
      ];
  return svg("g", { class: "topic", "data-part": "topic" }, svg("path", { d: `M${x} ${y}V${bottom}` }), ...texts);
}

function clientOf(box) {
  return svg(
    "g",
    { class: "client", "data-part": "client" },
    rectOf(box, box.h / 2),
    svg("text", { x: box.x + box.w / 2, y: box.y - 3, class: "name middle" }, "Customer"),
    svg("text", { x: box.x + box.w / 2, y: box.y + 12, class: "small middle" }, "POST /orders"),
  );
}

function serviceOf({ name, title, colour }, box) {
  const x = box.x + (box.w < 110 ? 9 : 14);
  return svg(
    "g",
    { class: "service", "data-part": `node:${name}`, "data-colour": colour },
    rectOf(box, 12),
    svg("title", {}, title),
    svg("text", { x, y: box.y - 4, class: "name" }, cut(title, Math.floor(box.w / LETTER))),
    svg("text", { x, y: box.y + 14, class: "saying" }),
  );
}

function labelsOf({ service, takes, publishes }, { letters }) {
  const label = (kind, { type, text, x, y }, colour) =>
    svg(
      "text",
      { x, y, class: "label", "data-part": `${kind}:${service.name}:${type}`, "data-colour": colour },
      cut(text, letters),
      svg("title", {}, text),
    );
  return [
    ...takes.map((each) => label("takes", each, service.colour)),
    ...publishes.map((each) => label("says", each, service.colour)),
  ];
}

function tracks({ rows, nodes, topic, client, compact, dims }) {
  const isRow = (name) => rows.some((row) => row.service.name === name);
  const sources = Object.entries(nodes).filter(([name]) => !isRow(name));
  return [
    ...sources.flatMap(([, box]) => {
      const edge = compact ? box.x : box.x + box.w;
      return track(
        [
          [edge, box.y],
          [topic.x + (compact ? 9 : -9), box.y],
        ],
        "cyan",
        true,
      );
    }),
    ...(client ? clientTrack(client, compact, dims) : []),
    ...rows.flatMap((row) => rowTracks(row, topic)),
  ];
}

function clientTrack(client, compact, { source }) {
  if (compact)
    return track(
      [
        [client.x, client.y],
        [source.x + source.w, client.y],
      ],
      "ink",
      true,
    );
  const x = client.x + client.w / 2;
  return [
    ...track(
      [
        [x, client.y + client.h / 2],
        [x, client.y + 104 - 27],
      ],
      "ink",
      true,
    ),
    svg("text", { x: x + 10, y: client.y + 54, class: "small" }, "201 at once"),
  ];
}

function rowTracks({ service, y, returnY, queue, dlq, node }, topic) {
  const { colour } = service;
  const [mid, edge, out] = [queue.x + queue.w / 2, topic.x + 9, node.x + 24];
  const toDeadLetters = [[mid, y + queue.h / 2], [mid, dlq.y - dlq.h / 2]];
  const back = [[out, y + node.h / 2], [out, returnY], [edge, returnY]];
  return [
    ...track(toDeadLetters, "ink", false, "spare"),
    ...(returnY === null ? [] : track(back, colour, true)),
    ...track([[edge, y], [queue.x, y]], colour, true),
    ...track([[queue.x + queue.w, y], [node.x, y]], colour, true),
  ];
}

/** A line through `points` with rounded corners, and an arrow head at its end if `arrow`. */
function track(points, colour, arrow, kind = "track") {
  const [from, to] = points.slice(-2);
  const line = svg("path", { d: pathOf(points), class: kind, "data-colour": colour });
  return arrow ? [line, svg("path", { d: headOf(from, to), class: "head", "data-colour": colour })] : [line];
}

function pathOf(points) {
  const [first, ...rest] = points;
  const steps = rest.map(([x, y], i) => {
    if (i === rest.length - 1) return `L${x} ${y}`;
    const [before, after] = [points[i], points[i + 2]];
    const [a, b] = [toward([x, y], before), toward([x, y], after)];
    return `L${a[0]} ${a[1]}Q${x} ${y} ${b[0]} ${b[1]}`;
  });
  return `M${first[0]} ${first[1]}${steps.join("")}`;
}

function toward([x, y], [x2, y2]) {
  const length = Math.hypot(x2 - x, y2 - y) || 1;
  const step = Math.min(CORNER, length / 2) / length;
  return [x + (x2 - x) * step, y + (y2 - y) * step];
}

function headOf([x1, y1], [x2, y2]) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const corner = (turn) =>
    `${(x2 - 8 * Math.cos(angle + turn)).toFixed(1)} ${(y2 - 8 * Math.sin(angle + turn)).toFixed(1)}`;
  return `M${x2} ${y2}L${corner(0.5)}L${corner(-0.5)}Z`;
}
