/** The storefront: connects the shop, the live flow, the replay and the order tracker. */

import { Cart, RecentOrders, startCheckout, startProducts } from "./shop.js";
import { button, byId, say } from "./dom.js";
import { Flow } from "./flow.js";
import { loadCatalog } from "./api.js";
import { Replay } from "./replay.js";
import { Tracker } from "./order.js";
import { watchFaults } from "./operator.js";

const RETRY_MS = 2000;
const STOCK_DELAY_MS = 250; // several events may change the stock at almost the same time
const ONE_COLUMN = "(max-width: 63.99rem)"; // as in storefront.css

let tracker = null;

const cart = new Cart();
const refreshProducts = startProducts(
  (productId) => cart.add(productId),
  (products) => cart.setProducts(products),
);
const recent = new RecentOrders(track);
startCheckout(cart, (order) => {
  const link = button(`Track ${order.orderId}`, () => track(order.orderId), { class: "link" });
  byId("placed").replaceChildren(`Order ${order.orderId} is placed. `, link);
  follow(order);
  if (matchMedia(ONE_COLUMN).matches) byId("tracker").scrollIntoView();
});
start();
watchFaults();

async function start() {
  const catalog = await loadCatalog().catch((error) => {
    say(byId("flow-problem"), `The list of services could not be loaded: ${error.message}. Trying again.`);
    setTimeout(start, RETRY_MS);
  });
  if (catalog) assemble(catalog);
}

function assemble(catalog) {
  let timer = null;
  say(byId("flow-problem"), "");
  tracker = new Tracker(catalog, (order) => recent.keep(order));
  const flow = new Flow(catalog, {
    track,
    placed: follow,
    status: ({ orderId, status }) => recent.setStatus(orderId, status),
    event: ({ eventType }) => {
      if (!eventType.startsWith("inventory.")) return;
      clearTimeout(timer);
      timer = setTimeout(refreshProducts, STOCK_DELAY_MS);
    },
  });
  const replay = new Replay(catalog, flow.stage);
  byId("order-replay").addEventListener("click", () => replay.load(byId("order-card").dataset.order));
  const orderId = new URLSearchParams(location.search).get("order");
  if (orderId) tracker.follow(orderId);
}

/** The user asked to see this order. */
function track(orderId) {
  tracker?.follow(orderId);
  byId("tracker").scrollIntoView();
  byId("tracker-title").focus({ preventScroll: true });
}

/** This order was just placed. */
function follow(order) {
  recent.keep(order);
  tracker?.follow(order.orderId);
}
