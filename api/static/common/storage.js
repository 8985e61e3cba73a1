/** What the browser remembers for us. A browser that refuses costs us the memory, nothing else. */

export function remembered(store, key) {
  try {
    return JSON.parse(store().getItem(key));
  } catch {
    return null;
  }
}

export function remember(store, key, value) {
  try {
    if (value === null) store().removeItem(key);
    else store().setItem(key, JSON.stringify(value));
  } catch {
    // full or forbidden
  }
}

export const local = () => localStorage;
export const session = () => sessionStorage;
