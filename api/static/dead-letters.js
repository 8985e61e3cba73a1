/** Dead letters on the operator's page: what they are and why, redrive, and purge. */

import { button, byId, clock, duration, el, orderLink, plural, say, show } from "./dom.js";
import { get, post } from "./api.js";

export class DeadLetters {
  #catalog;
  #onChange;
  #service = null;

  /** Calls `onChange()` after a redrive or a purge. */
  constructor(catalog, onChange) {
    this.#catalog = catalog;
    this.#onChange = onChange;
    this.showCounts({});
    byId("dead-inspect").addEventListener("click", () => this.inspect(byId("dead-service").value));
    byId("dead-redrive").addEventListener("click", () => this.#redriveAll());
    byId("dead-purge").addEventListener("click", () => this.#purge());
  }

  /** Shows how many dead letters each service has. */
  showCounts(queues) {
    const text = ({ name, title }) => `${title} (${queues[name]?.deadLetters ?? 0})`;
    const option = (service) => el("option", { value: service.name }, text(service));
    show(byId("dead-service"), ...this.#catalog.consumers.map(option));
  }

  /**
   * Shows what is in a service's dead-letter queue, as far as the server gets in a few seconds. Returns the server's
   * answer, or null if there is none.
   */
  async inspect(service) {
    byId("dead-title").focus();
    byId("dead-service").value = service;
    byId("letters").replaceChildren();
    byId("dead-reasons").replaceChildren();
    byId("dead-redrive").disabled = true;
    byId("dead-purge").disabled = true;
    this.#service = service;
    let found = null;
    await this.#work(`Inspecting the dead letters of ${this.#catalog.titleOf(service)}`, async () => {
      found = await get(`/ops/dead-letters/${encodeURIComponent(service)}`);
      this.#show(found);
      return this.#summary(found);
    });
    return found;
  }

  #summary({ deadLetters, lookedAt, more, wouldSucceed, wouldFail, letters }) {
    const parts = [`${plural(deadLetters, "dead letter")} of ${this.#title}.`];
    if (lookedAt < deadLetters) parts.push(`${lookedAt} were inspected.`);
    if (lookedAt > 0) parts.push(`${wouldSucceed} would succeed, ${wouldFail} would fail again.`);
    if (letters.length < lookedAt) parts.push(`${letters.length} are shown.`);
    if (more) parts.push(this.#command("peek"));
    return parts.join(" ");
  }

  get #title() {
    return this.#catalog.titleOf(this.#service);
  }

  /** For a queue that is too long for this page. */
  #command(name) {
    return `For all of them, run: python -m scripts.dlq ${name} ${this.#service}`;
  }

  #show({ letters, reasons, wouldSucceed, wouldFail }) {
    byId("dead-redrive").disabled = wouldSucceed === 0;
    byId("dead-purge").disabled = wouldFail === 0;
    byId("letters").replaceChildren(...letters.map((letter) => this.#row(letter)));
    const reasonRow = ({ kind, reason, redrivable, count }) => {
      const attributes = { "data-kind": kind, "data-redrivable": String(redrivable) };
      return el("li", attributes, el("b", {}, String(count)), el("span", {}, reason));
    };
    byId("dead-reasons").replaceChildren(...reasons.map(reasonRow));
  }

  #row(letter) {
    const { messageId, sentAt, receiveCount, kind, reason, redrivable, orderId, eventType, body } = letter;
    const label = { disabled: !redrivable, "aria-label": `Redrive ${messageId}` };
    const ago = duration(1000 * Math.max(1, Math.round((Date.now() - Date.parse(sentAt)) / 1000)));
    return el(
      "li",
      { "data-message": messageId, "data-kind": kind, "data-redrivable": String(redrivable) },
      el("div", {}, el("b", {}, eventType ?? "no event"), " of ", orderId ? orderLink(orderId) : "no order"),
      el("p", { class: "reason" }, reason),
      el("small", {}, `sent ${clock(sentAt)}, ${ago} ago, received ${plural(receiveCount, "time")}`),
      el("details", {}, el("summary", {}, "Message body"), el("pre", { tabindex: 0 }, body)),
      button("Redrive", () => this.#redriveOne(letter), label),
    );
  }

  async #redriveOne({ messageId, eventType, orderId }) {
    const what = `${eventType ?? "the message"}${orderId ? ` of ${orderId}` : ""}`;
    if (await confirmed(`Send ${what} to ${this.#title} again?`, "Redrive"))
      this.#act("redrive", { messageIds: [messageId] });
  }

  async #redriveAll() {
    const found = await this.inspect(this.#service);
    if (!found?.wouldSucceed) return;
    const { wouldSucceed, wouldFail } = found;
    const rest = wouldFail ? ` ${plural(wouldFail, "other")} would fail again, and stay.` : "";
    const question = `Send ${plural(wouldSucceed, "message")} to ${this.#title} again?${rest}`;
    if (await confirmed(question, "Redrive")) this.#act("redrive", { all: true });
  }

  async #purge() {
    const found = await this.inspect(this.#service);
    if (!found?.wouldFail) return;
    const { wouldSucceed, wouldFail, reasons } = found;
    const count = (kind) => reasons.filter((each) => each.kind === kind).reduce((sum, each) => sum + each.count, 0);
    const parts = [`Delete ${plural(wouldFail, "dead letter")} of ${this.#title} for good?`];
    if (count("breach")) parts.push(`${count("breach")} break their contract.`);
    if (count("fails")) parts.push(`${count("fails")} fail in the service: a fix could still process them.`);
    if (wouldSucceed) parts.push(`${plural(wouldSucceed, "other")} would succeed, and stay.`);
    if (await confirmed(parts.join(" "), "Purge")) this.#act("purge", { wouldFail: true });
  }

  /** Redrives or purges, with as many requests as it takes. */
  async #act(action, which) {
    const [done, verb] = { redrive: ["redriven", "sent again"], purge: ["purged", "deleted"] }[action];
    const path = `/ops/dead-letters/${encodeURIComponent(this.#service)}/${action}`;
    let result = "";
    await this.#work(action === "redrive" ? "Redriving" : "Purging", async () => {
      let total = 0;
      let answer = null;
      do {
        answer = await post(path, which);
        total += answer[done];
        result = `${plural(total, "message")} ${verb}, ${answer.left} left.`;
        say(byId("dead-status"), `${result} Continuing …`);
      } while (answer.more && answer[done] > 0);
      if (answer.more) result += ` ${this.#command(action)}`;
      return result;
    });
    this.#onChange();
    if (byId("dead-problem").textContent) return;
    await this.inspect(this.#service);
    say(byId("dead-status"), `${result} ${byId("dead-status").textContent}`);
  }

  /** Does `work` and shows the text that it returns, or its error. Until then shows `title`, and no button works. */
  async #work(title, work) {
    byId("dead-work").disabled = true;
    say(byId("dead-problem"), "");
    say(byId("dead-status"), `${title} …`);
    try {
      say(byId("dead-status"), await work());
    } catch (error) {
      say(byId("dead-status"), "");
      say(byId("dead-problem"), error.message);
    }
    byId("dead-work").disabled = false;
  }
}

/** Asks the user. `yes` is the text of the button that confirms. */
function confirmed(question, yes) {
  const dialog = byId("confirm");
  say(byId("confirm-text"), question);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
