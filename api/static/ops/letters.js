/** Dead letters: what is in a dead-letter queue and why, sending it again, and deleting it. */

import { age, button, byId, clock, el, plural, say } from "../common/dom.js";
import { get, post } from "../common/http.js";

/** The buttons for all letters: a look enables those that have any. */
const FOR_ALL = ["dead-all", "dead-purge"];

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
    byId("dead-purge").addEventListener("click", () => this.#purge());
  }

  /** How many letters each queue has now. */
  counts(queues) {
    for (const option of byId("dead-service").options) {
      const count = queues[option.value]?.deadLetters ?? 0;
      say(option, `${this.#title(option.value)} (${count})`);
    }
  }

  /**
   * Look into the dead-letter queue of `service`, as far as that goes in a few seconds: each letter is tried, to no
   * effect. Returns what the server says of it; null if it says nothing.
   */
  async look(service) {
    byId("dead-title").focus();
    byId("dead-service").value = service;
    byId("letters").replaceChildren();
    byId("dead-reasons").replaceChildren();
    for (const id of FOR_ALL) byId(id).disabled = true;
    let seen = null;
    await this.#working(`Looking into the dead-letter queue of ${this.#title(service)}`, async () => {
      seen = await get(`/ops/dead-letters/${encodeURIComponent(service)}`);
      this.#service = service;
      this.#show(seen);
      return this.#summary(seen);
    });
    return seen;
  }

  #summary({ deadLetters, lookedAt, more, wouldSucceed, wouldFail, letters }) {
    const some = lookedAt < deadLetters;
    const parts = [
      `${some ? `${lookedAt} of about ` : ""}${plural(deadLetters, "dead letter")} of ${this.#title(this.#service)}` +
        `${some ? " looked at" : ""}.`,
    ];
    if (lookedAt > 0) parts.push(`${wouldSucceed} would succeed, ${wouldFail} would fail again.`);
    if (letters.length < lookedAt) parts.push(`${letters.length} are shown.`);
    if (more) parts.push(this.#command("peek"));
    return parts.join(" ");
  }

  /** For a queue that is longer than this page can look through. */
  #command(name) {
    return `python -m scripts.dlq ${name} ${this.#service} goes through all of them.`;
  }

  #title(service) {
    return this.#catalog.service(service)?.title ?? service;
  }

  #show({ letters, reasons, wouldSucceed, wouldFail }) {
    byId("dead-all").disabled = wouldSucceed === 0;
    byId("dead-purge").disabled = wouldFail === 0;
    byId("letters").replaceChildren(...letters.map((letter) => this.#row(letter)));
    byId("dead-reasons").replaceChildren(
      ...reasons.map(({ kind, reason, redrivable, count }) =>
        el(
          "li",
          { "data-kind": kind, "data-redrivable": String(redrivable) },
          el("b", {}, String(count)),
          el("span", {}, reason),
        ),
      ),
    );
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
    if (await confirmed(`Send ${what} to ${this.#title(this.#service)} again?`, "Redrive"))
      this.#act("redrive", { messageIds: [messageId] });
  }

  /** Both look anew first, and say what they would do. */
  async #redriveAll() {
    const seen = await this.look(this.#service);
    if (!seen?.wouldSucceed) return;
    const { wouldSucceed, wouldFail } = seen;
    const stay = wouldFail ? ` ${plural(wouldFail, "other")} would fail again, and stay.` : "";
    const question = `Send ${plural(wouldSucceed, "message")} to ${this.#title(this.#service)} again?${stay}`;
    if (await confirmed(question, "Redrive")) this.#act("redrive", { all: true });
  }

  async #purge() {
    const seen = await this.look(this.#service);
    if (!seen?.wouldFail) return;
    const { wouldSucceed, wouldFail, reasons } = seen;
    const count = (kind) => reasons.filter((each) => each.kind === kind).reduce((sum, each) => sum + each.count, 0);
    const parts = [`Delete ${plural(wouldFail, "dead letter")} of ${this.#title(this.#service)} for good?`];
    if (count("breach")) parts.push(`${count("breach")} break their contract.`);
    if (count("fails")) parts.push(`${count("fails")} fail: mended code could process them, deleted they are lost.`);
    if (wouldSucceed) parts.push(`${plural(wouldSucceed, "other")} would succeed, and stay.`);
    if (await confirmed(parts.join(" "), "Purge")) this.#act("purge", { wouldFail: true });
  }

  /** Redrive or purge, asking again while a request had no time for all of them. */
  async #act(action, which) {
    const [done, verb] = { redrive: ["redriven", "sent again"], purge: ["purged", "deleted"] }[action];
    const path = `/ops/dead-letters/${encodeURIComponent(this.#service)}/${action}`;
    let result = "";
    await this.#working(action === "redrive" ? "Redriving" : "Purging", async () => {
      let total = 0;
      let answer = null;
      do {
        answer = await post(path, which);
        total += answer[done];
        result = `${plural(total, "message")} ${verb}, ${answer.left} left.`;
        say(byId("dead-status"), `${result} Going on …`);
      } while (answer.more && answer[done] > 0);
      if (answer.more) result += ` ${answer.lookedAt} were looked at: ${this.#command(action)}`;
      return result;
    });
    this.#onChange();
    if (!result || byId("dead-problem").textContent) return;
    await this.look(this.#service);
    say(byId("dead-status"), `${result} ${byId("dead-status").textContent}`);
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
        .filter((each) => !FOR_ALL.includes(each.id))
        .forEach((each) => {
          each.disabled = false;
        });
    }
  }
}

/** Whether the user says yes, on a button that says so. */
function confirmed(question, yes) {
  const dialog = byId("confirm");
  say(byId("confirm-text"), question);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "";
  dialog.showModal();
  byId("confirm-yes").onclick = () => dialog.close("yes");
  byId("confirm-no").onclick = () => dialog.close("");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
