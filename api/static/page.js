/** What pages share: loading, what the browser keeps, the operator's session, and the banner while a fault is on. */

import { byId, el, say, show } from "./dom.js";
import { get, poll, send } from "./api.js";

const RETRY_MS = 2000;
const FAULTS_MS = 3000;
const TICK_MS = 500;

/** A value that the browser keeps over a reload. If the browser refuses to store it, nothing else is affected. */
export class Stored {
  constructor(key, area = "localStorage") {
    this.key = key;
    this.area = area;
  }

  /** The value, or null if there is none. */
  read() {
    try {
      return JSON.parse(window[this.area].getItem(this.key));
    } catch {
      return null;
    }
  }

  write(value) {
    try {
      window[this.area].setItem(this.key, JSON.stringify(value));
    } catch {
      // The storage is full or forbidden.
    }
  }
}

/** Whether the operator was here. Only then does the shop ask for faults, because other visitors get none. */
const operatorWasHere = new Stored("shopflow.operator");

/** What `load` returns, once it works. Until then `problemId` says why the page is not complete. */
export async function loaded(load, problemId) {
  for (;;) {
    try {
      const value = await load();
      say(byId(problemId), "");
      return value;
    } catch (error) {
      signInAgain(error);
      say(byId(problemId), `The page could not be loaded: ${error.message}. Trying again.`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** For a page that only the operator gets: shows the sign-in page if the session has ended. */
export function signInAgain({ status }) {
  if (status === 401) location.reload();
}

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
  const showFaults = startBanner();
  const looking = poll(async () => {
    try {
      const { faults } = await get("/try/state");
      byId("try-link").hidden = false;
      showFaults(faults);
    } catch ({ status }) {
      if (status !== 401 && status !== 404) return; // no answer: the fault may be that the Order service is down
      if (status === 401) operatorWasHere.write(false);
      looking.stop();
      showFaults([]);
    }
  }, FAULTS_MS);
}

/**
 * Says on top of the page which faults are on, and for how long. Returns the function that takes the faults:
 * `[{name, ends_at}]` with the end in ms since 1970.
 */
export function startBanner() {
  const banner = el("aside", { id: "faults", class: "banner", "aria-label": "Faults", hidden: true });
  let faults = [];
  const draw = () => {
    const left = Math.ceil((Math.max(...faults.map(({ ends_at }) => ends_at)) - Date.now()) / 1000);
    banner.hidden = faults.length === 0;
    show(
      banner,
      el("p", { role: "status" }, el("b", {}, `Fault on: ${faults.map(({ name }) => name).join(", ")}.`)),
      el("span", { role: "timer" }, left > 0 ? `It ends by itself in ${left} s.` : "It is ending."),
      location.pathname === "/try" ? "" : el("a", { href: "/try" }, "Look at it"),
    );
  };
  document.querySelector("main").before(banner);
  setInterval(draw, TICK_MS);
  return (now) => {
    faults = now;
    draw();
  };
}
