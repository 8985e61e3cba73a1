/** Where everything of the flow diagram stands, computed from the catalogue alone. Pure geometry, in SVG units. */

const WIDE = {
  width: 820,
  top: 8,
  bus: 232,
  label: 254,
  letters: 22,
  line: 15,
  client: { x: 16, w: 150, h: 44 },
  source: { x: 16, w: 150 },
  queue: { x: 420, w: 128 },
  node: { x: 624, w: 180 },
};
const COMPACT = {
  width: 318,
  top: 6,
  bus: 12,
  label: 27,
  letters: 19,
  line: 14,
  client: { x: 206, w: 110, h: 40 },
  source: { x: 52, w: 110 },
  queue: { x: 150, w: 54 },
  node: { x: 222, w: 94 },
};
const NODE_H = 54;
const QUEUE_H = 34;
const DLQ_H = 24;
const RETURN_Y = 40; // of the track back to the topic, below the one to the queue
const GAP = 16;

/**
 * `{compact, width, height, topic, client, nodes, rows}`: `nodes` has a box for each service by name, `rows` one row for
 * each service with a queue. Boxes are `{x, y, w, h}` with y at the middle.
 */
export function layoutOf(catalog, compact) {
  const dims = compact ? COMPACT : WIDE;
  const firstY = compact ? dims.top + 36 + catalog.sources.length * (NODE_H + GAP) : dims.top;
  const rows = rowsOf(catalog, dims, firstY);
  const bottom = rows.length ? rows.at(-1).bottom : firstY;
  const place = compact ? sourcesAbove : sourcesBeside;
  const nodes = place(catalog.sources, dims, firstY, bottom);
  const first = nodes[catalog.sources[0]?.name];
  const client = first && clientBy(first, dims, compact);
  for (const row of rows) nodes[row.service.name] = row.node;
  const top = Math.min(firstY + 14, ...catalog.sources.map((source) => nodes[source.name].y - 14));
  const topic = { x: dims.bus, y: top, bottom: bottom - GAP };
  return { compact, dims, width: dims.width, height: bottom + 4, topic, client, nodes, rows };
}

function rowsOf(catalog, dims, firstY) {
  let y = firstY;
  return catalog.takers.map((service) => {
    const all = catalog.takesEverything(service);
    const takes = all ? [{ type: "*", text: "every event" }] : service.takes.map((type) => ({ type, text: type }));
    const up = Math.max(NODE_H / 2 + 4, 14 + takes.length * dims.line);
    const row = rowAt(service, takes, y + up, dims);
    y = row.bottom;
    return row;
  });
}

function rowAt(service, takes, y, dims) {
  const publishes = service.publishes.map((type) => ({ type, text: type }));
  const dlqY = y + (publishes.length ? RETURN_Y + 24 : RETURN_Y);
  const labelsEnd = publishes.length ? y + RETURN_Y + 6 + publishes.length * dims.line : 0;
  return {
    service,
    y,
    returnY: publishes.length ? y + RETURN_Y : null,
    takes: takes.map((label, i) => ({ ...label, x: dims.label, y: y - 9 - (takes.length - 1 - i) * dims.line })),
    publishes: publishes.map((label, i) => ({ ...label, x: dims.label, y: y + RETURN_Y + 15 + i * dims.line })),
    queue: { ...dims.queue, y, h: QUEUE_H },
    dlq: { ...dims.queue, y: dlqY, h: DLQ_H },
    node: { ...dims.node, y, h: NODE_H },
    bottom: Math.max(dlqY + DLQ_H / 2, labelsEnd) + GAP,
  };
}

function sourcesBeside(sources, dims, top, bottom) {
  const pitch = NODE_H + GAP;
  const start = (top + bottom - GAP) / 2 - ((sources.length - 1) * pitch) / 2;
  return Object.fromEntries(sources.map(({ name }, i) => [name, { ...dims.source, y: start + i * pitch, h: NODE_H }]));
}

function sourcesAbove(sources, dims) {
  const start = dims.top + NODE_H / 2;
  return Object.fromEntries(
    sources.map(({ name }, i) => [name, { ...dims.source, y: start + i * (NODE_H + GAP), h: NODE_H }]),
  );
}

const clientBy = (first, dims, compact) => ({ ...dims.client, y: compact ? first.y : first.y - 104 });

/** The corner points of the routes that messages take in a layout. Each point names the parts that light up there. */
export class Routes {
  #layout;

  constructor(layout) {
    this.#layout = layout;
  }

  /** From the publisher over the topic into a consumer's queue; from the client first, if `external`. */
  publish({ eventType, producer, consumer, external }) {
    const { nodes, topic, client, rows } = this.#layout;
    const row = rows.find((each) => each.service.name === consumer);
    const from = nodes[producer];
    if (!row || !from) return null;
    const said = [`node:${producer}`, `says:${producer}:${eventType}`];
    const back = rows.find((each) => each.service.name === producer)?.returnY ?? null;
    const start =
      back === null
        ? this.#sourceStart(from, external ? client : null, said)
        : [
            { x: from.x + 24, y: from.y, parts: said },
            { x: from.x + 24, y: back },
          ];
    return [
      ...start,
      { x: topic.x, y: back ?? from.y, parts: ["topic"], at: TOPIC_AT },
      { x: topic.x, y: row.y, parts: [`takes:${consumer}:${eventType}`, `takes:${consumer}:*`] },
      { ...middle(row.queue), parts: [`queue:${consumer}`] },
    ];
  }

  #sourceStart(from, client, said) {
    const source = { ...middle(from), parts: said };
    return client ? [{ ...middle(client), parts: ["client"] }, source] : [source];
  }

  consume({ consumer }) {
    const row = this.#row(consumer);
    return (
      row && [
        { ...middle(row.queue), parts: [] },
        { x: row.node.x + 14, y: row.y, parts: [`node:${consumer}`] },
      ]
    );
  }

  dead({ consumer }) {
    const row = this.#row(consumer);
    return (
      row && [
        { ...middle(row.queue), parts: [] },
        { ...middle(row.dlq), parts: [`dlq:${consumer}`] },
      ]
    );
  }

  #row(consumer) {
    return this.#layout.rows.find((each) => each.service.name === consumer);
  }
}

const middle = (box) => ({ x: box.x + box.w / 2, y: box.y });

/** When a token is at the topic, as a part of its way: the same for all copies, which part there. */
const TOPIC_AT = 0.5;

const distance = (a, b) => Math.hypot(b.x - a.x, b.y - a.y);

/** How far along a route each of its points is, from 0 to 1: where a point says so with `at`, else by length. */
export function fractions(points) {
  const along = [0];
  for (let i = 1; i < points.length; i += 1) along.push(along[i - 1] + distance(points[i - 1], points[i]));
  const whole = along.at(-1) || 1;
  const fixed = points.findIndex((point) => point.at !== undefined);
  if (fixed < 1) return along.map((length) => length / whole);
  const { at } = points[fixed];
  const [before, after] = [along[fixed] || 1, whole - along[fixed] || 1];
  return along.map((length, i) =>
    i <= fixed ? (length / before) * at : at + ((length - along[fixed]) / after) * (1 - at),
  );
}

/** The place on a route at `fraction` (0 to 1) of its length. */
export function pointAt(points, fraction) {
  const along = fractions(points);
  const next = Math.max(
    1,
    along.findIndex((each) => each >= fraction),
  );
  const [a, b] = [points[next - 1], points[next]];
  const part = (fraction - along[next - 1]) / (along[next] - along[next - 1] || 1);
  return { x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part };
}
