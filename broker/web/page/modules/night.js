// All that the live view shows, kept up to date: coincidences in brief, triggers with their contours, the alerts' density.
// Views listen for "change"; the connection is told as "connection".

import { get, parts } from "./api.js";
import { Stream } from "./stream.js";

const TRIGGERS_MS = 60_000;
const CONDITION_MS = 2_000;
const MOST_ROWS = 20_000;

/** A coincidence in brief, as the interface's `brief` tells it too. */
export function inBrief(told) {
  const { trigger, object, statistics } = told;
  return {
    id: told.id, revision: told.revision, state: told.state, changed_utc: told.changed_utc, matcher: told.matcher,
    trigger: trigger.id, trigger_name: trigger.names[0] ?? trigger.id, messenger: trigger.messenger,
    survey: object.survey, object_id: object.object_id, ra_deg: object.ra_deg, dec_deg: object.dec_deg,
    mag: object.mag, band: object.band,
    delta_t_s: told.delta_t_s, credible_level: told.credible_level, overlap: told.overlap,
    posterior: statistics?.posterior ?? null, far_per_year: statistics?.far_per_year ?? null,
    rank: statistics?.rank ?? null,
  };
}

/** Best first; as `matchers.rank` has it. */
export function byRank(one, other) {
  return (one.state === "withdrawn") - (other.state === "withdrawn")
    || (other.posterior ?? 0) - (one.posterior ?? 0)
    || other.overlap - one.overlap
    || one.credible_level - other.credible_level
    || Math.abs(one.delta_t_s) - Math.abs(other.delta_t_s)
    || (one.id < other.id ? -1 : 1);
}

export class Night extends EventTarget {
  constructor() {
    super();
    this.coincidences = new Map();
    this.triggers = new Map();
    this.outlines = new Map();
    this.density = null;
    this.status = null;
    this.trouble = null;
    this.loaded = false;
    this.connection = { state: "loading" };
    this.condition = "";
    this.passing = null;
    this.fresh = new Set();
    this.stream = new Stream({
      coincidence: (document) => this.heard(document),
      state: (state, reason, pause) => this.connected(state, reason, pause),
    });
  }

  /** Begin. The stream first: what comes while the list is read is not missed. */
  start() {
    this.stream.open();
    this.reload();
    setInterval(() => document.hidden || this.refresh(), TRIGGERS_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    addEventListener("online", () => this.stream.hurry());
  }

  /** Read everything, as at the beginning, after a sign-in, and after the service was away. */
  async reload() {
    this.reading?.abort();
    const reading = (this.reading = new AbortController());
    const heard = (this.heardMeanwhile = new Map());
    const { signal } = reading;
    try {
      this.status = await get("/status", {}, { signal });
      this.clockOffset = Date.parse(this.status.clock_utc) - Date.now();
      const rows = new Map();
      const keep = (row) => (heard.get(row.id)?.revision >= row.revision ? heard.get(row.id) : row);
      const first = !this.loaded;
      for await (const part of parts("/brief", { limit: 1000 }, { signal })) {
        for (const row of part.items) rows.set(row.id, keep(row));
        if (first) this.changed({ coincidences: rows });
        if (rows.size >= MOST_ROWS) break;
      }
      for (const [id, row] of heard) rows.set(id, row);
      this.heardMeanwhile = null;
      this.changed({ coincidences: rows, loaded: true, trouble: null });
      await this.refresh(signal);
    } catch (error) {
      if (error.name !== "AbortError") this.changed({ trouble: error, loaded: true });
    }
  }

  /** Read what no stream tells: the service's state, triggers, contours and density. */
  async refresh(signal) {
    try {
      const [status, density] = await Promise.all([get("/status", {}, { signal }), get("/density", {}, { signal })]);
      this.clockOffset = Date.parse(status.clock_utc) - Date.now();
      const triggers = new Map();
      for await (const part of parts("/triggers", { searched: true, limit: 500 }, { signal })) {
        for (const one of part.items) triggers.set(one.trigger.id, one);
      }
      this.changed({ status, density, triggers });
      const outlines = new Map();
      for await (const part of parts("/contours", { limit: 50 }, { signal })) {
        for (const feature of part.features) {
          const id = feature.properties.trigger;
          outlines.set(id, [...(outlines.get(id) ?? []), feature]);
        }
        if (this.outlines.size === 0) this.changed({ outlines });
      }
      this.changed({ outlines });
    } catch (error) {
      if (error.name !== "AbortError" && error.refused) this.changed({ trouble: error });
    }
  }

  changed(news) {
    Object.assign(this, news);
    this.dispatchEvent(new Event("change"));
  }

  heard(document) {
    const row = inBrief(document);
    const before = this.coincidences.get(row.id);
    if (before && before.revision >= row.revision) return;
    this.heardMeanwhile?.set(row.id, row);
    this.coincidences.set(row.id, row);
    this.fresh.add(row.id);
    setTimeout(() => this.fresh.delete(row.id), 4000);
    if (!this.triggers.has(row.trigger)) this.soon("triggers", () => this.refresh(), 500);
    if (this.condition) this.soon("condition", () => this.apply(this.condition), CONDITION_MS);
    this.dispatchEvent(new CustomEvent("coincidence", { detail: { row, before, document } }));
    this.soon("change", () => this.changed({}), 100);
  }

  /** Once, however often it is asked for meanwhile. */
  soon(what, action, afterMs) {
    this.timers ??= {};
    this.timers[what] ??= setTimeout(() => {
      delete this.timers[what];
      action();
    }, afterMs);
  }

  connected(state, reason, pause) {
    const before = this.connection.state;
    this.connection = { state, reason, until: pause && Date.now() + pause };
    if (state === "open" && before === "waiting") this.reload();
    if (state === "waiting") this.askWhy();
    this.dispatchEvent(new Event("connection"));
  }

  // A stream does not say why it is refused; another question does.
  async askWhy() {
    try {
      await get("/status");
    } catch (error) {
      if (error.refused) {
        this.stream.close();
        this.connection = { state: "refused", reason: error.message };
        this.changed({ trouble: error });
        this.dispatchEvent(new Event("connection"));
      }
    }
  }

  /** After a sign-in or a sign-out all is asked again. */
  restart() {
    this.coincidences = new Map();
    this.triggers = new Map();
    this.outlines = new Map();
    this.loaded = false;
    this.connection = { state: "loading" };
    this.stream.last = null;
    this.stream.open();
    return this.reload();
  }

  /** Keep to what passes a condition, which the service evaluates; a `Problem` if it is none. */
  async apply(condition) {
    let passing = null;
    if (condition) {
      passing = new Set();
      for await (const part of parts("/brief", { where: condition, limit: 1000 })) {
        for (const row of part.items) passing.add(row.id);
      }
    }
    this.condition = condition;
    this.changed({ passing });
  }

  /** The service's clock: of the data, whatever the wall says. */
  now() {
    return this.clockOffset === undefined ? null : Date.now() + this.clockOffset;
  }
}
