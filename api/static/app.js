/** The storefront: the shop, the live flow and the order tracker, put together. */

import { Cart } from "./shop/cart.js";
import { loadCatalog } from "./common/catalog.js";
import { showTotal, startCheckout } from "./shop/checkout.js";
import { button, byId, say } from "./common/dom.js";
import { Flow } from "./flow/flow.js";
import { RecentOrders } from "./shop/recent.js";
import { ReplayControls } from "./flow/replay.js";
import { startShop } from "./shop/shop.js";
import { Tracker } from "./order/tracker.js";

const RETRY_MS = 2000;
const STOCK_PAUSE_MS = 250; // after an event of the inventory: its neighbours may change the stock too

const ONE_COLUMN = "(max-width: 63.99rem)"; // as in style.css

let tracker = null;

const cart = new Cart(() => showTotal(cart));
const shop = startShop(
  (product) => cart.add(product),
  (products) => cart.setProducts(products),
);
const recent = new RecentOrders((orderId) => track(orderId));
startCheckout(cart, (order) => {
  const link = button(`Track ${order.orderId}`, () => track(order.orderId), { class: "link" });
  byId("placed").replaceChildren(`Order ${order.orderId} is placed. `, link);
  show(order);
  if (matchMedia(ONE_COLUMN).matches) byId("tracker").scrollIntoView();
});
start();

async function start() {
  let catalog = null;
  try {
    catalog = await loadCatalog();
  } catch (error) {
    say(byId("flow-problem"), `No picture of the services yet: ${error.message}.`);
    setTimeout(start, RETRY_MS);
    return;
  }
  say(byId("flow-problem"), "");
  assemble(catalog);
}

function assemble(catalog) {
  tracker = new Tracker(catalog, (order) => recent.keep(order));
  const flow = new Flow(catalog, {
    track,
    placed: show,
    event: stockMayChange(),
    status: ({ orderId, status }) => recent.update(orderId, status),
  });
  const replay = new ReplayControls(catalog, flow.stage);
  byId("order-replay").addEventListener("click", () => replay.load(byId("order-card").dataset.order));
  const asked = new URLSearchParams(location.search).get("order");
  if (asked) tracker.follow(asked);
}

/** What the user asked to see: follow it, and go there. */
function track(orderId) {
  tracker?.follow(orderId);
  byId("tracker").scrollIntoView();
  byId("tracker-title").focus({ preventScroll: true });
}

/** What was just placed. */
function show(order) {
  recent.keep(order);
  tracker?.follow(order.orderId);
}

function stockMayChange() {
  let timer = null;
  return ({ eventType }) => {
    if (!eventType.startsWith("inventory.")) return;
    clearTimeout(timer);
    timer = setTimeout(shop.refresh, STOCK_PAUSE_MS);
  };
}
