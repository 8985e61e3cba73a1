/** Server-Sent Events with a reconnection of our own: sooner than the browser's, growing, and visible. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

/** Milliseconds before the `attempt`-th try in a row (from 1), the same for nobody: `random` is in [0, 1). */
export const waitMs = (attempt, random) =>
  Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1)) * (0.75 + random / 2);

/**
 * Listen to `url` until `close()`. `onMessage` gets each message's JSON.
 * `onState` gets `"live"`, or `"lost"` with the number of failures in a row.
 */
export function listen(url, onMessage, onState) {
  let source = null;
  let timer = null;
  let failures = 0;
  const connect = () => {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(url);
    source.onopen = () => {
      failures = 0;
      onState("live", 0);
    };
    source.onmessage = ({ data }) => onMessage(JSON.parse(data));
    source.onerror = () => {
      source.close();
      failures += 1;
      timer = setTimeout(connect, waitMs(failures, Math.random()));
      onState("lost", failures);
    };
  };
  addEventListener("online", connect);
  connect();
  return {
    close() {
      removeEventListener("online", connect);
      clearTimeout(timer);
      source.close();
    },
  };
}
