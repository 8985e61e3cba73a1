// Notes all that the flow diagram shows: a look now and then would miss most of it.
(() => {
  const lit = []; // parts, each time that one lights up
  const dots = []; // {x, y, colour}, each place that a dot was at
  const said = []; // {part, text}, under the services' names
  window.recording = { lit, dots, said, strays };

  addEventListener("DOMContentLoaded", () => {
    const root = document.getElementById("flow-svg");
    const options = { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "transform"] };
    if (root) new MutationObserver((changes) => changes.forEach(note)).observe(root, { ...options, attributeOldValue: true });
  });

  function note({ type, target, attributeName, oldValue }) {
    if (attributeName === "transform") dots.push(placeOf(target));
    if (attributeName === "class" && target.dataset.part) noteLight(target, oldValue ?? "");
    if (type === "childList" && target.matches(".saying") && target.textContent)
      said.push({ part: target.closest("[data-part]").dataset.part, text: target.textContent });
  }

  function noteLight(target, before) {
    if (!before.split(" ").includes("lit") && target.classList.contains("lit")) lit.push(target.dataset.part);
  }

  function placeOf(dot) {
    const [x, y] = dot.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    return { x, y, colour: dot.dataset.colour };
  }

  /** The places of dots that are farther than `most` from every line, and in no box. */
  function strays(most) {
    const boxes = [...document.querySelectorAll("#flow-svg rect")].map((rect) => rect.getBBox());
    const lines = [...document.querySelectorAll("#flow-svg .tracks path, #flow-svg .topic path")].flatMap(pointsOf);
    const inside = ({ x, y }) =>
      boxes.some((box) => x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height);
    const near = ({ x, y }) => lines.some((point) => Math.hypot(point.x - x, point.y - y) <= most);
    return dots.filter((dot) => !inside(dot) && !near(dot));
  }

  function pointsOf(path) {
    const steps = Math.ceil(path.getTotalLength() / 4);
    return Array.from({ length: steps + 1 }, (_, i) => path.getPointAtLength(4 * i));
  }
})();
