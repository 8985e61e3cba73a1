/** Dead letters: what is in a dead-letter queue and why, and sending it again. */

import { age, button, byId, clock, el, plural, say } from "../common/dom.js";
import { get, post } from "../common/http.js";

export class DeadLetters {
  #catalog;
  #onOrder;
  #onChange;
  #service = null;

  /** `onOrder(orderId)`: the user wants that order's trail; `onChange()`: letters were redriven. */
  constructor(catalog, onOrder, onChange) {
    this.#catalog = catalog;
    this.#onOrder = onOrder;
    this.#onChange = onChange;
    byId("dead-service").replaceChildren(
      ...catalog.takers.map(({ name, title }) => el("option", { value: name }, title)),
    );
    byId("dead-look").addEventListener("click", () => this.look(byId("dead-service").value));
    byId("dead-all").addEventListener("click", () => this.#redriveAll());
  }

  /** How many letters each queue has now. */
  counts(queues) {
    for (const option of byId("dead-service").options) {
      const count = queues[option.value]?.deadLetters ?? 0;
      say(option, `${this.#title(option.value)} (${count})`);
    }
  }

  /** Look into the dead-letter queue of `service`. Takes a second or two: each letter is tried, to no effect. */
  async look(service) {
    byId("dead-title").focus();
    byId("dead-service").value = service;
    byId("letters").replaceChildren();
    byId("dead-all").disabled = true;
    await this.#working(`Looking into the dead-letter queue of ${this.#title(service)}`, async () => {
      const { deadLetters, letters } = await get(`/ops/dead-letters/${encodeURIComponent(service)}`);
      this.#service = service;
      this.#show(letters);
      return letters.length < deadLetters
        ? `${letters.length} of about ${plural(deadLetters, "dead letter")} of ${this.#title(service)}.`
        : `${plural(letters.length, "dead letter")} of ${this.#title(service)}.`;
    });
  }

  #title(service) {
    return this.#catalog.service(service)?.title ?? service;
  }

  #show(letters) {
    const count = letters.filter((letter) => letter.redrivable).length;
    byId("dead-all").disabled = count === 0;
    byId("letters").replaceChildren(...letters.map((letter) => this.#row(letter)));
  }

  #row(letter) {
    const { messageId, sentAt, receiveCount, kind, reason, redrivable, orderId, eventType, body } = letter;
    const redrive = button("Redrive", () => this.#redriveOne(letter), {
      disabled: !redrivable,
      "aria-label": `Redrive ${messageId}`,
    });
    const order = orderId ? [button(orderId, () => this.#onOrder(orderId), { class: "link" })] : ["no order"];
    const ago = age((Date.now() - Date.parse(sentAt)) / 1000);
    const sent = `sent ${clock(sentAt)}, ${ago} ago, received ${plural(receiveCount, "time")}`;
    return el(
      "li",
      { "data-message": messageId, "data-kind": kind, "data-redrivable": String(redrivable) },
      el("div", {}, el("b", {}, eventType ?? "no event"), " of ", ...order),
      el("p", { class: "reason" }, reason),
      el("small", {}, sent),
      el("details", {}, el("summary", {}, "Its body"), el("pre", { tabindex: 0 }, body)),
      redrive,
    );
  }

  async #redriveOne({ messageId, eventType, orderId }) {
    const what = `${eventType ?? "the message"}${orderId ? ` of ${orderId}` : ""}`;
    if (await confirmed(`Send ${what} to ${this.#title(this.#service)} again?`))
      this.#redrive({ messageIds: [messageId] });
  }

  async #redriveAll() {
    const question = `Send all dead letters that can succeed to ${this.#title(this.#service)} again?`;
    if (await confirmed(question)) this.#redrive({ all: true });
  }

  async #redrive(which) {
    const service = this.#service;
    let done = "";
    await this.#working("Redriving", async () => {
      const { redriven, left } = await post(`/ops/dead-letters/${encodeURIComponent(service)}/redrive`, which);
      done = `${plural(redriven, "message")} sent again, ${left} left.`;
      return done;
    });
    this.#onChange();
    if (!done) return;
    await this.look(service);
    say(byId("dead-status"), `${done} ${byId("dead-status").textContent}`);
  }

  /** Do `work`, telling so before, and its answer or its problem after. */
  async #working(text, work) {
    const buttons = [...document.querySelectorAll("#dead-letters button")].filter((each) => !each.disabled);
    buttons.forEach((each) => {
      each.disabled = true;
    });
    say(byId("dead-problem"), "");
    say(byId("dead-status"), `${text} …`);
    try {
      say(byId("dead-status"), await work());
    } catch (error) {
      say(byId("dead-status"), "");
      say(byId("dead-problem"), error.message);
    } finally {
      buttons
        .filter((each) => each.id !== "dead-all")
        .forEach((each) => {
          each.disabled = false;
        });
    }
  }
}

/** Whether the user says yes. */
function confirmed(question) {
  const dialog = byId("confirm");
  say(byId("confirm-text"), question);
  dialog.returnValue = "";
  dialog.showModal();
  byId("confirm-yes").onclick = () => dialog.close("yes");
  byId("confirm-no").onclick = () => dialog.close("");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
