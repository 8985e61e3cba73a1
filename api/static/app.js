"use strict";

const byId = (id) => document.getElementById(id);
const dollars = (amount) => amount.toLocaleString("en-US", { style: "currency", currency: "USD" });
const clock = (text) => text.slice(11, 23);
const FAILED = new Set(["inventory.failed", "payment.failed"]);
const ENDS = {
  COMPLETED: "Completed: the customer has the confirmation.",
  INVENTORY_FAILED: "Out of stock: nothing was charged.",
  PAYMENT_FAILED: "Payment declined: the stock is free again.",
};

let source = null;
let attempt = null; // the request being made and its idempotency key: the same for a second click, new for a new order

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

async function answerOf(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

async function loadProducts() {
  const products = await answerOf(await fetch("/products"));
  const chosen = new Map(quantities().map((item) => [item.productId, item.quantity]));
  byId("products").replaceChildren(...products.map((product) => productRow(product, chosen.get(product.productId))));
  showTotal();
}

function productRow(product, quantity) {
  const row = element("li", "");
  const name = element("span", product.productName);
  name.append(element("small", product.stock ? `${product.stock} in stock` : "out of stock"));
  const input = element("input", "", {
    type: "number", min: "0", max: "1000", step: "1", value: quantity ?? 0,
    "aria-label": `Quantity of ${product.productName}`,
    "data-product": product.productId, "data-price": product.price,
  });
  row.append(name, element("span", dollars(product.price), { class: "price" }), input);
  return row;
}

function quantities() {
  const inputs = [...document.querySelectorAll("[data-product]")];
  return inputs.map((input) => ({ productId: input.dataset.product, quantity: Number(input.value) }))
    .filter((item) => item.quantity > 0);
}

function showTotal() {
  const inputs = [...document.querySelectorAll("[data-product]")];
  const cents = inputs.reduce((sum, input) => sum + Math.round(input.dataset.price * 100) * Number(input.value), 0);
  byId("total").value = cents ? `Total ${dollars(cents / 100)}` : "Nothing chosen yet";
  byId("place").disabled = !cents;
}

async function placeOrder(event) {
  event.preventDefault();
  const payment = byId("payment").value;
  const request = { customerId: byId("customer").value, items: quantities(), ...(payment && { paymentMethod: payment }) };
  const body = JSON.stringify(request);
  if (attempt?.body !== body) attempt = { body, key: newKey() };
  byId("problem").textContent = "";
  byId("place").disabled = true;
  try {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": attempt.key };
    const order = await answerOf(await fetch("/orders", { method: "POST", headers, body }));
    attempt = null;
    follow(order);
  } catch (error) {
    byId("problem").textContent = error.message;
  } finally {
    showTotal();
  }
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function follow(order) {
  source?.close();
  resetFlow();
  const seen = new Set(); // a stream that reconnects tells everything again
  const say = (status) => { byId("summary").textContent = `${order.orderId} · ${dollars(order.totalAmount)} · ${status}`; };
  say(order.status);
  source = new EventSource(`/orders/${order.orderId}/stream`);
  source.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "status") {
      say(message.order.failureReason ? `${message.status}: ${message.order.failureReason}` : message.status);
      reach(`status:${message.status}`, message.order.updatedAt);
    } else if (message.type === "audit" && !seen.has(message.eventId)) {
      seen.add(message.eventId);
      addToTrail(message);
      reach(message.eventType, message.recordedAt);
    } else if (message.type === "done") {
      finish(message.status);
    } else if (message.type === "error") {
      source.close();
      byId("problem").textContent = message.message;
    }
  };
}

function resetFlow() {
  for (const step of document.querySelectorAll("#flow li")) {
    step.classList.remove("reached", "failed", "skipped");
    step.querySelector("time").textContent = "";
  }
  byId("audit").replaceChildren(element("li", "No events yet.", { class: "empty" }));
}

function reach(name, at) {
  for (const step of document.querySelectorAll("#flow li")) {
    if (!step.dataset.event.split(" ").includes(name)) continue;
    step.classList.add("reached");
    step.classList.toggle("failed", FAILED.has(name));
    step.querySelector("time").textContent = clock(at);
  }
}

function addToTrail(entry) {
  byId("audit").querySelector(".empty")?.remove();
  const row = element("li", entry.eventType, { "data-id": entry.eventId });
  row.append(element("time", clock(entry.recordedAt), { datetime: entry.recordedAt }));
  const later = [...byId("audit").children].find((other) => other.dataset.id > entry.eventId);
  byId("audit").insertBefore(row, later ?? null);
}

function finish(status) {
  source.close();
  byId("summary").textContent += `. ${ENDS[status]}`;
  const steps = [...document.querySelectorAll("#flow li:not(.reached):not(.only-if-declined)")];
  for (const step of steps) step.classList.add("skipped");
  loadProducts();
}

byId("order-form").addEventListener("submit", placeOrder);
byId("products").addEventListener("input", showTotal);
loadProducts().catch((error) => { byId("problem").textContent = error.message; });
