// Records everything that the flow diagram shows. A look now and then would miss most of it.
(() => {
  const lit = []; // parts, each time that one lights up
  const dots = []; // {x, y, colour}, each place of a dot
  const actions = []; // {part, text} under the services' names
  window.recording = { lit, dots, actions, strays };

  addEventListener("DOMContentLoaded", () => {
    const root = document.getElementById("flow-svg");
    const options = { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "transform"] };
    if (root) new MutationObserver((all) => all.forEach(record)).observe(root, { ...options, attributeOldValue: true });
  });

  function record({ type, target, attributeName, oldValue }) {
    if (attributeName === "transform" && target.matches(".dot")) dots.push(placeOf(target));
    const wasLit = (oldValue ?? "").split(" ").includes("lit");
    if (attributeName === "class" && target.matches("[data-part].lit") && !wasLit) lit.push(target.dataset.part);
    if (type === "childList" && target.matches(".action") && target.textContent)
      actions.push({ part: target.closest("[data-part]").dataset.part, text: target.textContent });
  }

  function placeOf(dot) {
    const [x, y] = dot.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    return { x, y, colour: dot.dataset.colour };
  }

  /** The places of dots that are farther than `max` from every line, and in no box. */
  function strays(max) {
    const boxes = [...document.querySelectorAll("#flow-svg rect")].map((rect) => rect.getBBox());
    const lines = document.querySelectorAll("#flow-svg .track, #flow-svg .spare, #flow-svg .topic path");
    const points = [...lines].flatMap(pointsOf);
    const inside = ({ x, y }) =>
      boxes.some((box) => x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height);
    const near = ({ x, y }) => points.some((point) => Math.hypot(point.x - x, point.y - y) <= max);
    return dots.filter((dot) => !inside(dot) && !near(dot));
  }

  function pointsOf(path) {
    const steps = Math.ceil(path.getTotalLength() / 4);
    return Array.from({ length: steps + 1 }, (_, i) => path.getPointAtLength(4 * i));
  }
})();
