/** Trades the operator's token for a session cookie. No server and no log sees an address with the token in it. */

import { byId, say } from "./dom.js";
import { post } from "./api.js";

async function signIn(token) {
  byId("sign-in").disabled = true;
  say(byId("sign-in-problem"), "");
  try {
    await post("/ops/session", { token });
    location.replace(location.pathname);
  } catch (error) {
    say(byId("sign-in-problem"), error.message);
    byId("sign-in").disabled = false;
    byId("token").select();
  }
}

/** Signs in with the token of the printed link, and removes it from the address and the history. */
function useLink() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  signIn(decodeURIComponent(token));
}

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
});
addEventListener("hashchange", useLink);
useLink();
