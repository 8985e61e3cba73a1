/** What the operator's pages share, and the banner that every page shows while a fault is on. */

import { byId, el, say } from "./dom.js";
import { get, poll, send } from "./api.js";
import { Stored } from "./stored.js";

const REFRESH_MS = 3000;
const TICK_MS = 500;

/** Whether the operator was here. Only then does the shop ask for faults, because other visitors get none. */
const operatorWasHere = new Stored("localStorage", "shopflow.operator");

/** For a page that only the operator gets. `problemId`: where it says what went wrong. */
export function startOperatorsPage(problemId) {
  operatorWasHere.write(true);
  forgetToken();
  addEventListener("hashchange", forgetToken);
  byId("sign-out").addEventListener("click", async () => {
    try {
      await send("DELETE", "/ops/session", {});
      operatorWasHere.write(false);
      location.replace(location.pathname);
    } catch (error) {
      say(byId(problemId), error.message);
    }
  });
}

/** The link with the token can be opened while the operator is signed in. */
function forgetToken() {
  history.replaceState(null, "", location.pathname);
}

/** For a page beside `/try`: shows the link to it where it exists, and the banner. */
export function watchFaults() {
  if (!operatorWasHere.read()) return;
  const banner = new Banner();
  const looking = poll(async () => {
    try {
      const { faults } = await get("/try/state");
      byId("try-link").hidden = false;
      banner.show(faults);
    } catch ({ status }) {
      if (status !== 401 && status !== 404) return; // no answer: the fault may be that the Order service is down
      if (status === 401) operatorWasHere.write(false);
      looking.stop();
      banner.show([]);
    }
  }, REFRESH_MS);
}

/** Says on top of the page which faults are on, and for how long. */
export class Banner {
  #names = el("b", {});
  #seconds = el("span", { role: "timer" });
  #node = el("aside", { id: "faults", class: "banner", "aria-label": "Faults", hidden: true });
  #faults = [];
  #timer = null;

  constructor() {
    this.#node.append(el("p", { role: "status" }, this.#names), this.#seconds);
    if (location.pathname !== "/try") this.#node.append(el("a", { href: "/try" }, "Look at it"));
    document.querySelector("main").before(this.#node);
  }

  /** `faults`: `[{name, ends_at}]` with the end in ms since 1970. */
  show(faults) {
    this.#faults = faults;
    this.#node.hidden = faults.length === 0;
    say(this.#names, faults.length ? `Fault on: ${faults.map(({ name }) => name).join(", ")}.` : "");
    clearInterval(this.#timer);
    if (faults.length) this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  #tick() {
    const last = Math.max(...this.#faults.map(({ ends_at }) => ends_at));
    const left = Math.ceil((last - Date.now()) / 1000);
    say(this.#seconds, left > 0 ? `It ends by itself in ${left} s.` : "It is ending.");
  }
}
