/** The storefront: connects the shop, the live flow, the replay and the order tracker. */

import { loaded, watchFaults } from "./page.js";
import { RecentOrders, Shop, showPlaced } from "./shop.js";
import { byId } from "./dom.js";
import { Flow } from "./flow.js";
import { loadCatalog } from "./api.js";
import { Replay } from "./replay.js";
import { Tracker } from "./order.js";

const STOCK_DELAY_MS = 250; // several events may change the stock at almost the same time
const ONE_COLUMN = "(max-width: 63.99rem)"; // as in storefront.css

let tracker = null;
let timer;

const recent = new RecentOrders(track);
const shop = new Shop((order) => {
  showPlaced("placed", `Order ${order.orderId} is placed. `, order, track);
  follow(order);
  if (matchMedia(ONE_COLUMN).matches) byId("tracker").scrollIntoView();
});
watchFaults();

const catalog = await loaded(loadCatalog, "flow-problem");
tracker = new Tracker(catalog, (order) => recent.keep(order));
const flow = new Flow(catalog, {
  track,
  placed: follow,
  status: ({ orderId, status }) => recent.setStatus(orderId, status),
  event: ({ eventType }) => {
    if (!eventType.startsWith("inventory.")) return;
    clearTimeout(timer);
    timer = setTimeout(() => shop.refresh(), STOCK_DELAY_MS);
  },
});
const replay = new Replay(catalog, flow.stage);
byId("order-replay").addEventListener("click", () => replay.load(byId("order-card").dataset.order));
const asked = new URLSearchParams(location.search).get("order");
if (asked) tracker.follow(asked);

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
