// Server-sent events that are always connected, or trying to be. Nothing is missed: each event has a number, and whoever
// comes back says the last one they saw.

const SILENCE_MS = 45_000; // the service says something every 15 s
const LONGEST_PAUSE_MS = 30_000;

export class Stream {
  /**
   * @param {object} told `coincidence(document)` for each, `state("open" | "waiting" | "refused", reason)`.
   */
  constructor(told) {
    this.told = told;
    this.last = null;
    this.tries = 0;
  }

  open() {
    this.close();
    const query = this.last === null ? "" : `?last_event_id=${this.last}`;
    const source = new EventSource(`/api/v1/stream${query}`);
    this.source = source;
    source.onopen = () => {
      this.tries = 0;
      this.heard();
      this.told.state("open");
    };
    source.addEventListener("coincidence", (event) => {
      this.heard(event);
      this.told.coincidence(JSON.parse(event.data));
    });
    source.addEventListener("idle", (event) => this.heard(event));
    source.addEventListener("dropped", (event) => this.retry(JSON.parse(event.data).reason));
    source.onerror = () => this.retry("the connection is lost");
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.source?.close();
  }

  heard(event) {
    if (event?.lastEventId) this.last = event.lastEventId;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.retry("the service is silent"), SILENCE_MS);
  }

  // The browser would reconnect by itself, but neither after every failure nor does it tell when.
  retry(reason) {
    this.close();
    const pause = Math.min(1000 * 2 ** this.tries, LONGEST_PAUSE_MS);
    this.tries += 1;
    this.told.state("waiting", reason, pause);
    this.timer = setTimeout(() => this.open(), pause);
  }

  /** Try at once, as when the network is back. */
  hurry() {
    if (this.source?.readyState === EventSource.OPEN) return;
    this.tries = 0;
    this.open();
  }
}
