/** A value that the browser keeps over a reload. If the browser refuses to store it, nothing else is affected. */
export class Stored {
  constructor(area, key) {
    this.area = area;
    this.key = key;
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
