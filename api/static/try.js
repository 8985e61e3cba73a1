/** The page "Try to break it": experiments and free play beside the live flow. Its server runs on the same machine. */

import { Banner, startOperatorsPage } from "./operator.js";
import { byId, say, showConnection } from "./dom.js";
import { get, listen, loadCatalog, post } from "./api.js";
import { lights, sentenceAbout, showServiceStates, startFreePlay } from "./free-play.js";
import { Claims } from "./claims.js";
import { Flow } from "./flow.js";

const RETRY_MS = 2000;
const CONNECTION = {
  live: ["live", "live"],
  lost: ["reconnecting", "The server does not answer. This page goes on when it is back."],
  refused: ["lost", "The server refuses: reload the page."],
};

startOperatorsPage("try-problem");
start();

async function start() {
  try {
    const [catalog, state] = await Promise.all([loadCatalog(), get("/try/state")]);
    assemble(catalog, state);
  } catch (error) {
    if (error.status === 401) location.reload(); // the session has ended: sign in again
    say(byId("try-problem"), `The page could not be loaded: ${error.message}. Trying again.`);
    setTimeout(start, RETRY_MS);
  }
}

function assemble(catalog, first) {
  const since = Date.now();
  const open = (orderId) => window.open(`/?order=${encodeURIComponent(orderId)}#tracker`, "_blank", "noopener");
  const flow = new Flow(catalog, { track: open, placed: () => {}, status: () => {}, event: () => {} });
  const banner = new Banner();
  const lamps = lights();
  const claims = new Claims(first.claims, (id) => act(`claims/${id}`));
  startFreePlay(catalog, act);
  say(byId("try-problem"), "");
  showLights(first);
  showState(first);
  listen(`/try/stream?since=${since}`, receive, (state) => {
    showConnection("try-connection", ...CONNECTION[state]);
    if (state === "live") get("/try/state").then(showState, () => {}); // what was missed before the connection
  });

  function receive(message) {
    if (message.type === "state") return showState(message);
    if (message.type === "lights") return showLights(message);
    claims.receive(message);
    if (message.type === "step") say(byId("now"), message.text);
  }

  function showState({ services, faults, claim }) {
    claims.setRunning(claim);
    banner.show(faults);
    showServiceStates(services);
    flow.stage.setStates(services);
    if (claim === null) say(byId("now"), sentenceAbout(services, catalog));
  }

  function showLights({ invariants }) {
    lamps.show(invariants.map((each) => [each.id, each]));
  }
}

/** Asks the server to do something. Returns whether it does. */
async function act(path) {
  say(byId("try-problem"), "");
  try {
    await post(`/try/${path}`);
    return true;
  } catch (error) {
    if (error.status === 401) location.reload();
    say(byId("try-problem"), `That was not done: ${error.message}.`);
    return false;
  }
}
