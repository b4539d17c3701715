// The live view: the sky, and beside it the coincidences and the triggers as tables.

import { make } from "./dom.js";
import { area, fixed, instant, lapse, plain, probability, sexagesimal } from "./format.js";
import { MESSENGERS, colourOf, patternOf, wordsOf } from "./messengers.js";
import { byRank } from "./night.js";
import { go, to } from "./router.js";
import { skyPanel } from "./sky_panel.js";
import { Table } from "./table.js";

/** A short line in the colour and pattern of a messenger. */
export function swatch(messenger) {
  const canvas = make("canvas", { class: "swatch", width: "44", height: "12", "aria-hidden": "true" });
  canvas.dataset.messenger = messenger;
  repaint(canvas);
  return canvas;
}

/** After the theme changed. */
export function repaint(canvas) {
  const context = canvas.getContext("2d");
  const { messenger } = canvas.dataset;
  context.clearRect(0, 0, 44, 12);
  context.setLineDash(patternOf(messenger).map((length) => length * 2));
  context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue(colourOf(messenger));
  context.lineWidth = 4;
  context.beginPath();
  context.moveTo(0, 6);
  context.lineTo(44, 6);
  context.stroke();
}

const dot = (messenger) => make("span", { class: `dot ${messenger}`, title: wordsOf(messenger) });

/** Columns of a table of coincidences. */
export const COLUMNS = [
  {
    key: "object_id", title: "Object", hint: "The survey's name of the object",
    value: (row) => row.object_id,
    cell: (row) => make("span", { class: "two" },
      make("a", { href: to.coincidence(row.id) }, row.object_id),
      make("span", { class: "under only-narrow" }, dot(row.messenger), make("span", {}, row.trigger_name))),
  },
  {
    key: "trigger_name", title: "Trigger", hint: "The event whose counterpart it may be", from: "from-medium",
    value: (row) => row.trigger_name,
    cell: (row) => make("span", { class: "of-trigger" }, dot(row.messenger),
      make("a", { href: to.trigger(row.trigger) }, row.trigger_name)),
  },
  {
    key: "posterior", title: "Posterior", hint: "Probability that the object is the counterpart", number: true,
    value: (row) => row.posterior, cell: (row) => probability(row.posterior),
  },
  {
    key: "delta_t_s", title: "Δt", hint: "First matching alert after the trigger", number: true,
    value: (row) => row.delta_t_s, cell: (row) => lapse(row.delta_t_s),
  },
  {
    key: "mag", title: "Mag", hint: "Latest matching magnitude", number: true, from: "from-small",
    value: (row) => row.mag, cell: (row) => `${fixed(row.mag)} ${row.band.replace(/^.*(?=.$)/, "")}`,
  },
  {
    key: "credible_level", title: "Level", number: true, from: "from-wide",
    hint: "Probability inside the contour on which the object lies: 0 at the peak",
    value: (row) => row.credible_level, cell: (row) => fixed(row.credible_level, 3),
  },
  {
    key: "far_per_year", title: "FAR/yr", number: true, from: "from-wide",
    hint: "Unrelated coincidences as good as this one, or better, in a year",
    value: (row) => row.far_per_year, cell: (row) => plain(row.far_per_year),
  },
  {
    key: "changed_utc", title: "Changed", hint: "When this revision was made (UTC)", from: "from-wide",
    value: (row) => row.changed_utc,
    cell: (row) => make("time", { datetime: row.changed_utc }, instant(row.changed_utc).slice(5, 16)),
  },
  {
    key: "state", title: "State", hint: "Where it stands", from: "from-wide",
    value: (row) => row.state, cell: (row) => make("span", { class: `tag ${row.state}` }, row.state),
  },
];

const TRIGGER_COLUMNS = [
  {
    key: "name", title: "Trigger", value: (row) => row.name,
    cell: (row) => make("span", { class: "of-trigger" }, dot(row.messenger), make("a", { href: to.trigger(row.id) }, row.name)),
  },
  {
    key: "time", title: "Time (UTC)", value: (row) => row.time_utc,
    cell: (row) => make("time", { datetime: row.time_utc }, instant(row.time_utc).slice(5, 16)),
  },
  {
    key: "messenger", title: "Messenger", from: "from-wide", value: (row) => row.messenger,
    cell: (row) => wordsOf(row.messenger),
  },
  {
    key: "area", title: "90 % area", number: true, value: (row) => row.area, cell: (row) => area(row.area),
  },
  {
    key: "place", title: "Most probable position", from: "from-wide", value: (row) => row.peak?.[0] ?? null,
    cell: (row) => (row.peak ? sexagesimal(...row.peak) : "none yet"),
  },
  {
    key: "count", title: "Stand", number: true, hint: "Coincidences that stand", value: (row) => row.count,
    cell: (row) => String(row.count),
  },
];

const WIDE_PX = 1024;
const STANDS = { standing: "Those that stand", all: "All", withdrawn: "Withdrawn" };

/** The right ascension, a multiple of 30°, whose opposite is farthest from all that happens: there is the seam. */
function middleOf({ triggers, coincidences }) {
  const places = [...[...triggers.values()].map((one) => one.position?.peak_ra_deg), ...[...coincidences.values()].map((one) => one.ra_deg)]
    .filter((one) => one !== undefined).map((degrees) => (degrees * Math.PI) / 180);
  if (!places.length) return 180;
  const sum = (part) => places.reduce((total, one) => total + part(one), 0);
  const middle = (Math.atan2(sum(Math.sin), sum(Math.cos)) * 180) / Math.PI;
  return ((Math.round(middle / 30) * 30) % 360 + 360) % 360;
}

/** The view; `close` ends it. What was chosen in it is kept in `memory`. */
export function liveView(night, memory) {
  memory.hidden ??= new Set();
  memory.state ??= "standing";
  memory.text ??= "";
  const panel = skyPanel({ label: "Sky map", ...(memory.view ?? { centre: [middleOf(night), 0] }) });
  const { sky } = panel;
  const table = new Table({
    caption: "Coincidences, best first", columns: COLUMNS, sort: memory.sort ?? [null, false], compare: byRank,
    row: (row) => ({ class: `${row.state}${night.fresh.has(row.id) ? " fresh" : ""}${row.id === sky.selected ? " chosen" : ""}` }),
  });
  const triggers = new Table({
    caption: "Triggers whose counterparts are searched", columns: TRIGGER_COLUMNS, sort: memory.triggerSort ?? ["time", true],
  });
  const state = make("p", { class: "state", role: "status" });
  const legend = make("div", { class: "legend", role: "group", "aria-label": "Messengers that are shown" });
  const count = make("span", { class: "count" });
  const triggerCount = make("span", { class: "count" });
  const triggerState = make("p", { class: "state", role: "status" });

  const find = make("input", {
    type: "search", id: "find", placeholder: "Object or trigger", value: memory.text, "aria-keyshortcuts": "/",
    oninput: () => {
      memory.text = find.value;
      update();
    },
  });
  const stands = make("select", {
    id: "stands",
    onchange: () => {
      memory.state = stands.value;
      update();
    },
  }, ...Object.entries(STANDS).map(([value, text]) => make("option", { value, selected: value === memory.state }, text)));
  const wrong = make("p", { class: "field-error", id: "where-error", role: "alert" });
  const where = make("input", {
    id: "where", placeholder: "statistics.posterior > 0.5 and object.mag < 20", value: night.condition, spellcheck: "false",
    autocapitalize: "off", autocomplete: "off", "aria-describedby": "where-error",
  });
  const condition = make("form", {
    class: "where", role: "search", "aria-label": "Condition",
    onsubmit: async (event) => {
      event.preventDefault();
      wrong.textContent = "";
      where.removeAttribute("aria-invalid");
      try {
        await night.apply(where.value.trim());
      } catch (error) {
        wrong.textContent = error.errors?.[0]?.detail ?? error.message;
        where.setAttribute("aria-invalid", "true");
      }
    },
  }, make("label", { for: "where" }, "Where"), where, make("button", { type: "submit" }, "Apply"), wrong);

  const ofTriggers = make("details", { class: "card list-card", open: memory.open ?? innerWidth >= WIDE_PX,
    ontoggle: () => (memory.open = ofTriggers.open) },
  make("summary", {}, make("h2", {}, "Triggers", triggerCount)), triggerState, triggers.element);
  const element = make("div", { class: "live" },
    make("h1", { class: "hidden" }, "Live view"),
    make("div", { class: "side" },
      make("section", { class: "card sky-card", "aria-label": "Sky" }, panel.element, legend),
      ofTriggers),
    make("section", { class: "card list-card", "aria-labelledby": "list-title" },
      make("h2", { id: "list-title" }, "Coincidences", count),
      make("div", { class: "filters" },
        make("label", { class: "hidden", for: "find" }, "Find an object or a trigger"), find,
        make("label", { class: "hidden", for: "stands" }, "State"), stands),
      condition, state, table.element));

  function shownRows() {
    const text = memory.text.trim().toLowerCase();
    return [...night.coincidences.values()].filter((row) =>
      (memory.state === "all" || (row.state === "withdrawn") === (memory.state === "withdrawn"))
      && !memory.hidden.has(row.messenger)
      && (!night.passing || night.passing.has(row.id))
      && (!text || `${row.object_id} ${row.trigger_name} ${row.trigger} ${row.survey}`.toLowerCase().includes(text)));
  }

  let isPlaced = Boolean(memory.view);
  function update() {
    if (!isPlaced && night.triggers.size) {
      isPlaced = true;
      sky.settle([middleOf(night), 0]);
    }
    const rows = shownRows();
    const standing = new Map();
    for (const row of night.coincidences.values()) {
      if (row.state !== "withdrawn") standing.set(row.trigger, (standing.get(row.trigger) ?? 0) + 1);
    }
    table.show(rows);
    const known = [...night.triggers.values()].map((one) => ({
      id: one.trigger.id, name: one.trigger.names[0] ?? one.trigger.id, messenger: one.trigger.messenger,
      time_utc: one.trigger.time_utc, area: one.position?.area_90_deg2 ?? null,
      peak: one.position && [one.position.peak_ra_deg, one.position.peak_dec_deg],
      count: standing.get(one.trigger.id) ?? 0, retracted: one.retracted,
    })).filter((one) => !memory.hidden.has(one.messenger));
    triggers.show(known);
    const ordered = [...rows].sort((one, other) => byRank(other, one));
    sky.show({
      outlines: known.filter((one) => night.outlines.has(one.id)).sort((one, other) => (one.time_utc < other.time_utc ? 1 : -1))
        .map((one) => ({ ...one, features: night.outlines.get(one.id) })),
      marks: ordered.map((row) => ({
        id: row.id, ra_deg: row.ra_deg, dec_deg: row.dec_deg, messenger: row.messenger, row,
        weight: row.posterior ?? 0.1, faded: row.state === "withdrawn", fresh: night.fresh.has(row.id),
      })),
      density: night.density,
    });
    count.textContent = rows.length === night.coincidences.size ? rows.length : `${rows.length} of ${night.coincidences.size}`;
    triggerCount.textContent = known.length;
    tell(rows, known, ordered.at(-1));
    legendOf([...night.triggers.values()].map((one) => one.trigger.messenger));
  }

  function tell(rows, known, best) {
    let told = "";
    if (!night.loaded) told = "Loading …";
    else if (night.trouble?.refused) told = "You are not allowed to see this: sign in with a token.";
    else if (night.trouble) told = `${night.trouble.message}.`;
    const none = night.coincidences.size ? "None passes these filters."
      : "No coincidence yet. They appear here as soon as an alert and a trigger meet.";
    say(state, told || (rows.length ? "" : none));
    say(triggerState, told || (known.length ? "" : "No trigger is searched at present. They appear here as notices come."));
    panel.tell(`${known.length} triggers are searched and ${rows.length} coincidences shown${best
      ? `; the best is ${best.object_id} with ${best.trigger_name}, posterior ${probability(best.posterior)}` : ""}. `
      + "The same is in the lists that follow. Arrow keys turn the sky, plus and minus zoom, brackets step through the "
      + "coincidences, Enter opens one.");
  }

  function say(place, text) {
    if (place.textContent !== text) place.textContent = text;
    place.hidden = !text;
  }

  let messengers = "";
  function legendOf(present) {
    const shown = MESSENGERS.filter((one) => present.includes(one) || memory.hidden.has(one));
    if (messengers === shown.join()) return;
    messengers = shown.join();
    legend.replaceChildren(...shown.map((messenger) => {
      const button = make("button", {
        type: "button", "aria-pressed": String(!memory.hidden.has(messenger)),
        onclick: () => {
          if (!memory.hidden.delete(messenger)) memory.hidden.add(messenger);
          button.setAttribute("aria-pressed", String(!memory.hidden.has(messenger)));
          update();
        },
      }, swatch(messenger), wordsOf(messenger));
      return button;
    }), make("span", { class: "legend-note" }, make("span", { class: "density-key", "aria-hidden": "true" }), "alerts of the night"));
  }

  sky.describe = ({ mark, trigger }) => {
    if (mark) {
      const { row } = mark;
      return [make("strong", {}, row.object_id), make("span", {}, row.trigger_name),
        make("span", {}, `posterior ${probability(row.posterior)} · ${lapse(row.delta_t_s)} · ${fixed(row.mag)}`)];
    }
    const one = night.triggers.get(trigger);
    return one && [make("strong", {}, one.trigger.names[0] ?? trigger), make("span", {}, instant(one.trigger.time_utc)),
      make("span", {}, area(one.position?.area_90_deg2))];
  };
  sky.addEventListener("choose", ({ detail }) => go(detail.id ? to.coincidence(detail.id) : to.trigger(detail.trigger)));
  sky.addEventListener("select", ({ detail: { row } }) => {
    table.show(table.rows);
    panel.tell(`${row.object_id} with ${row.trigger_name}, posterior ${probability(row.posterior)}, ${lapse(row.delta_t_s)}.`);
  });
  sky.addEventListener("view", () => {
    memory.view = { frame: sky.frame, projection: sky.projection, centre: sky.centre, zoom: sky.zoom };
  });
  table.table.addEventListener("mouseover", (event) => select(event.target.closest("tr")?.dataset.id));
  table.table.addEventListener("focusin", (event) => select(event.target.closest("tr")?.dataset.id));
  function select(id) {
    if (!id || id === sky.selected) return;
    sky.selected = id;
    sky.paint();
  }
  const changed = () => update();
  night.addEventListener("change", changed);
  update();
  return {
    element,
    title: "Starcross",
    keys: {
      "/": () => find.focus(),
      w: () => where.focus(),
      s: () => sky.canvas.focus(),
      g: () => sky.into(sky.frame === "galactic" ? "equatorial" : "galactic"),
      p: () => sky.as(sky.projection === "hammer" ? "orthographic" : "hammer"),
      j: () => walk(1),
      k: () => walk(-1),
    },
    restyle: () => {
      sky.restyle();
      element.querySelectorAll(".swatch").forEach(repaint);
    },
    close: () => {
      memory.sort = table.sort;
      memory.triggerSort = triggers.sort;
      night.removeEventListener("change", changed);
      sky.close();
    },
  };

  /** The next row's link gets the focus. */
  function walk(by) {
    const links = [...table.body.querySelectorAll("tr > :first-child a")];
    const place = links.indexOf(document.activeElement);
    links[place < 0 ? 0 : Math.max(0, Math.min(links.length - 1, place + by))]?.focus();
  }
}
