/** The two charts of the last ten minutes. Lengths are SVG units. */

import { clock, duration, svg } from "./dom.js";

const WIDTH = 480;
const HEIGHT = 170;
const LEFT = 58;
const TOP = 12;
const BOTTOM = 26;
const PLOT = HEIGHT - TOP - BOTTOM;

/** Bars by minute: accepted orders (outlined) and finished orders (filled). */
export function drawThroughput(chart, minutes) {
  const max = roundUp(Math.max(1, ...minutes.flatMap(({ accepted, finished }) => [accepted, finished])));
  const width = slot(minutes) * 0.36;
  const bar = (value, x, kind) => {
    const height = (value / max) * PLOT;
    return svg("rect", { class: kind, x, y: HEIGHT - BOTTOM - height, width, height });
  };
  const bars = minutes.flatMap(({ accepted, finished }, i) => {
    const x = LEFT + slot(minutes) * (i + 0.1);
    return [bar(accepted, x, "accepted"), bar(finished, x + width + 2, "finished")];
  });
  draw(chart, [...axes(minutes, max, String), ...bars]);
}

/** Lines by minute: median and 95th percentile of the time to complete. A minute without an order has no point. */
export function drawLatency(chart, minutes) {
  const max = roundUp(Math.max(1, ...minutes.map(({ p95Ms }) => p95Ms ?? 0)));
  const line = (name) => {
    const x = (i) => LEFT + slot(minutes) * (i + 0.5);
    const y = (value) => HEIGHT - BOTTOM - (value / max) * PLOT;
    const points = minutes.map((minute, i) => minute[`${name}Ms`] !== null && [x(i), y(minute[`${name}Ms`])]);
    const steps = points.map((point, i) => (point ? `${points[i - 1] ? "L" : "M"}${point.join(" ")}` : ""));
    const dots = points.filter(Boolean).map(([cx, cy]) => svg("circle", { class: name, cx, cy, r: 3.5 }));
    return [svg("path", { class: name, d: steps.join("") }), ...dots];
  };
  draw(chart, [...axes(minutes, max, duration), ...line("p95"), ...line("p50")]);
}

function draw(chart, marks) {
  chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  chart.querySelector("g")?.remove();
  chart.append(svg("g", {}, ...marks));
}

const slot = (minutes) => (WIDTH - LEFT) / minutes.length;

function axes(minutes, max, text) {
  const lines = [0, 0.5, 1].flatMap((part) => {
    const y = HEIGHT - BOTTOM - part * PLOT;
    const label = Number.isInteger(max * part) ? text(max * part) : "";
    return [
      svg("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y }),
      svg("text", { x: LEFT - 8, y: y + 4, class: "end" }, label),
    ];
  });
  const times = minutes.map(({ at }, i) => {
    const isShown = i % 3 === 0 || i === minutes.length - 1;
    const place = { x: LEFT + slot(minutes) * (i + 0.5), y: HEIGHT - 6, class: "middle" };
    return svg("text", place, isShown ? clock(at).slice(0, 5) : "");
  });
  return [...lines, ...times];
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
