/** Two small charts of ten minutes. */

import { clock, duration, svg } from "../common/dom.js";

const WIDTH = 480;
const HEIGHT = 170;
const LEFT = 58;
const TOP = 12;
const BOTTOM = 26;
const PLOT = HEIGHT - TOP - BOTTOM;

/** Bars: orders accepted (outlined) and finished (filled), by minute. */
export function drawThroughput(chart, minutes) {
  const top = niceTop(Math.max(1, ...minutes.flatMap((minute) => [minute.accepted, minute.finished])));
  const width = slot(minutes) * 0.36;
  const bar = (value, x, kind) => {
    const height = (value / top) * PLOT;
    return svg("rect", { class: kind, x, y: HEIGHT - BOTTOM - height, width, height });
  };
  const bars = minutes.flatMap(({ accepted, finished }, i) => {
    const x = LEFT + slot(minutes) * (i + 0.1);
    return [bar(accepted, x, "accepted"), bar(finished, x + width + 2, "finished")];
  });
  replace(chart, [...axes(minutes, top, String), ...bars]);
}

/** Lines: median and 95th percentile of the time to complete, by minute. A minute without an order has no point. */
export function drawLatency(chart, minutes) {
  const top = niceTop(Math.max(1, ...minutes.flatMap((minute) => [minute.p50Ms ?? 0, minute.p95Ms ?? 0])));
  const place = (value, i) => [LEFT + slot(minutes) * (i + 0.5), HEIGHT - BOTTOM - (value / top) * PLOT];
  const line = (name, kind) => {
    const points = minutes.map((minute, i) => (minute[name] === null ? null : place(minute[name], i)));
    const dots = points.filter(Boolean).map(([cx, cy]) => svg("circle", { class: kind, cx, cy, r: 3.5 }));
    return [svg("path", { class: kind, d: pathOf(points) }), ...dots];
  };
  replace(chart, [...axes(minutes, top, duration), ...line("p95Ms", "p95"), ...line("p50Ms", "p50")]);
}

function replace(chart, marks) {
  chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  chart.querySelector("g")?.remove();
  chart.append(svg("g", {}, ...marks));
}

const slot = (minutes) => (WIDTH - LEFT) / (minutes.length || 1);

function axes(minutes, top, text) {
  const lines = [0, 0.5, 1].flatMap((part) => {
    const y = HEIGHT - BOTTOM - part * PLOT;
    const label = part === 0.5 && !Number.isInteger(top / 2) ? "" : text(top * part);
    return [
      svg("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y }),
      svg("text", { x: LEFT - 8, y: y + 4, class: "end" }, label),
    ];
  });
  const every = minutes.map(({ at }, i) => {
    const shown = i % 3 === 0 || i === minutes.length - 1;
    return svg(
      "text",
      { x: LEFT + slot(minutes) * (i + 0.5), y: HEIGHT - 6, class: "middle" },
      shown ? clock(at).slice(0, 5) : "",
    );
  });
  return [...lines, ...every];
}

/** A path through the points, interrupted where there is none. */
function pathOf(points) {
  return points
    .map((point, i) => (point ? `${points[i - 1] ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : ""))
    .join("");
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
