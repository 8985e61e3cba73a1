/** Placing orders: once each, however often it is tried. */

import { byId, dollars, el, say } from "../common/dom.js";
import { NoAnswer, post } from "../common/http.js";
import { remember, remembered, session } from "../common/storage.js";

const KEY = "shopflow.attempt";

/** The gateway's test tokens (`workers/gateway.py`), and what each lets happen. */
export const OUTCOMES = [
  ["", "Random: the gateway accepts 80 of 100"],
  ["pm_card_visa", "Always accepted"],
  ["pm_card_declined_insufficient_funds", "Declined: insufficient funds"],
  ["pm_card_declined_expired", "Declined: card expired"],
  ["pm_card_declined_bank", "Declined by the issuing bank"],
  ["pm_card_declined_fraud", "Declined: suspected fraud"],
];

export const outcomeOptions = () => OUTCOMES.map(([value, text]) => el("option", { value }, text));

/** The body of `POST /orders`. */
export const orderRequest = (customerId, items, paymentMethod) => ({
  customerId,
  items,
  ...(paymentMethod && { paymentMethod }),
});

export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Place an order under `key`: trying again with the same key and request never makes a second order. */
export const placeOrder = (request, key) => post("/orders", request, { "Idempotency-Key": key });

/**
 * The order form. `onPlaced(answer)` gets the API's answer to each order.
 * The key of a request is kept until it is answered with an order, over a reload too.
 */
export function startCheckout(cart, onPlaced) {
  byId("payment").replaceChildren(...outcomeOptions());
  byId("order-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const request = orderRequest(byId("customer").value, cart.items, byId("payment").value);
    await submit(JSON.stringify(request), cart, onPlaced);
    showTotal(cart);
  });
}

export function showTotal(cart) {
  const nothing = cart.items.length === 0;
  say(byId("total"), nothing ? "Nothing chosen yet" : `Total ${dollars(cart.cents / 100)}`);
  byId("place").disabled = nothing;
}

async function submit(body, cart, onPlaced) {
  byId("place").disabled = true;
  say(byId("problem"), "");
  try {
    const order = await placeOrder(body, keyFor(body));
    remember(session, KEY, null);
    cart.clear();
    onPlaced(order);
  } catch (error) {
    const again = error instanceof NoAnswer ? ". The cart is kept: order again, it will still be one order." : "";
    say(byId("problem"), `${error.message}${again}`);
  }
}

function keyFor(body) {
  const last = remembered(session, KEY);
  if (last?.body === body && typeof last.key === "string") return last.key;
  const key = newKey();
  remember(session, KEY, { body, key });
  return key;
}
