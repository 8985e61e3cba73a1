/** Trades the operator's token for a session cookie. The token stays out of addresses that a server or a log could see. */

import { byId, say } from "./common/dom.js";
import { post } from "./common/http.js";

async function signIn(token) {
  byId("sign-in").disabled = true;
  say(byId("sign-in-problem"), "");
  try {
    await post("/ops/session", { token });
    location.replace("/ops");
  } catch (error) {
    say(byId("sign-in-problem"), error.message);
    byId("sign-in").disabled = false;
    byId("token").select();
  }
}

/** The token of the link that was printed, removed from the address and the history. */
function tokenOfLink() {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, "", location.pathname);
  try {
    return decodeURIComponent(token);
  } catch {
    return token; // typed by hand, with a % in it
  }
}

function useLink() {
  const token = tokenOfLink();
  if (token) signIn(token);
}

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
});
addEventListener("hashchange", useLink);
useLink();
