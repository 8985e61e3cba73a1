/** Asking the API. */

const TIMEOUT_MS = 15_000;

/** The API said no. `message` is its own, `status` the HTTP status. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** No answer at all: nobody there, or too slow. What was asked for may have happened. */
export class NoAnswer extends Error {}

export const get = (path) => call("GET", path);

export const post = (path, body, headers = {}) =>
  call("POST", path, typeof body === "string" ? body : JSON.stringify(body), headers);

/** The JSON of the answer (null for 204). Throws `ApiError` or `NoAnswer`. */
export async function call(method, path, body, headers = {}) {
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await answer(path, { method, body, headers: { ...type, ...headers } });
  if (response.status === 204) return null;
  const value = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, value?.error ?? `the server answered ${response.status}`);
  return value;
}

async function answer(path, init) {
  try {
    return await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw new NoAnswer(error.name === "TimeoutError" ? "the server takes too long" : "the server cannot be reached");
  }
}

/**
 * Call `look` at once and then `everyMs` after each end of it, but never while the page is hidden.
 * Returns `{now, stop}`: look at once (or again, if it is looking), look no more.
 */
export function regularly(look, everyMs) {
  let timer = null;
  let stopped = false;
  let looking = false;
  let again = false;
  const now = async () => {
    clearTimeout(timer);
    again = looking;
    if (stopped || looking || document.hidden) return;
    looking = true;
    try {
      await look();
    } finally {
      looking = false;
      if (!stopped) timer = setTimeout(now, again ? 0 : everyMs);
    }
  };
  document.addEventListener("visibilitychange", now);
  now();
  return {
    now,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", now);
    },
  };
}
