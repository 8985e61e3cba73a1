/** The cart: what the customer wants, whether or not there is that much of it. */

import { button, byId, dollars, el, say } from "../common/dom.js";
import { local, remember, remembered } from "../common/storage.js";

const KEY = "shopflow.cart";

export class Cart {
  #quantities = new Map(stored());
  #products = new Map();
  #lines = new Map();
  #onChange;

  /** `onChange()` is called after each change of what is in it or what that costs. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** The lines as `POST /orders` takes them. */
  get items() {
    return [...this.#quantities].map(([productId, quantity]) => ({ productId, quantity }));
  }

  get cents() {
    return this.items.reduce((sum, item) => sum + this.#cents(item.productId) * item.quantity, 0);
  }

  /** Prices and stock, as they are now. */
  setProducts(products) {
    this.#products = new Map(products.map((product) => [product.productId, product]));
    this.#show();
  }

  add(product) {
    this.#set(product.productId, (this.#quantities.get(product.productId) ?? 0) + 1);
  }

  clear() {
    this.#quantities.clear();
    this.#changed();
  }

  #set(productId, quantity) {
    this.#quantities.set(productId, Math.max(1, Math.floor(quantity) || 1));
    this.#changed();
  }

  #remove(productId) {
    this.#quantities.delete(productId);
    this.#changed();
    byId("cart-title").focus();
  }

  #changed() {
    remember(local, KEY, [...this.#quantities]);
    this.#show();
  }

  #cents(productId) {
    return Math.round((this.#products.get(productId)?.price ?? 0) * 100);
  }

  #show() {
    for (const [id, line] of this.#lines) {
      if (!this.#quantities.has(id)) this.#lines.delete(id) && line.node.remove();
    }
    for (const [id, quantity] of this.#quantities) {
      if (!this.#lines.has(id)) {
        this.#lines.set(
          id,
          new Line(
            id,
            (number) => this.#set(id, number),
            () => this.#remove(id),
          ),
        );
        byId("cart").append(this.#lines.get(id).node);
      }
      this.#lines.get(id).update(quantity, this.#products.get(id), this.#cents(id));
    }
    byId("cart-empty").hidden = this.#quantities.size > 0;
    this.#onChange();
  }
}

class Line {
  constructor(productId, onQuantity, onRemove) {
    this.input = el("input", { type: "number", min: 1, step: 1, inputmode: "numeric" });
    this.input.addEventListener("change", () => onQuantity(Number(this.input.value)));
    this.fewer = button("−", () => onQuantity(Number(this.input.value) - 1), { class: "step" });
    this.more = button("+", () => onQuantity(Number(this.input.value) + 1), { class: "step" });
    this.remove = button("×", onRemove, { class: "step" });
    this.name = el("span", { class: "name" });
    this.cost = el("span", { class: "cost" });
    this.beyond = el("small", { class: "beyond", "data-testid": "beyond-stock" });
    const stepper = el("span", { class: "stepper" }, this.fewer, this.input, this.more);
    this.node = el("li", { "data-product": productId }, this.name, stepper, this.cost, this.remove, this.beyond);
    this.id = productId;
  }

  update(quantity, product, cents) {
    const name = product?.productName ?? this.id;
    say(this.name, name);
    say(this.cost, dollars((cents * quantity) / 100));
    this.input.value = quantity;
    this.fewer.disabled = quantity <= 1;
    this.input.setAttribute("aria-label", `Quantity of ${name}`);
    this.fewer.setAttribute("aria-label", `One less of ${name}`);
    this.more.setAttribute("aria-label", `One more of ${name}`);
    this.remove.setAttribute("aria-label", `Remove ${name}`);
    const beyond = product && quantity > product.stock;
    say(this.beyond, beyond ? `beyond stock (${product.stock} left): shows the out-of-stock path` : "");
  }
}

function stored() {
  const pairs = remembered(local, KEY);
  if (!Array.isArray(pairs)) return [];
  return pairs.filter(
    (pair) => Array.isArray(pair) && typeof pair[0] === "string" && Number.isInteger(pair[1]) && pair[1] > 0,
  );
}
