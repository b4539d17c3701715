// The light curve: magnitudes (brighter is up) against days since the trigger, bands by colour and shape.

import { extent, ticks } from "../vendor/d3-array.js";
import { draw, make } from "./dom.js";
import { daysBetween, fixed, instant, NONE } from "./format.js";

const [WIDEST, NARROWEST] = [640, 300];
const ROOM_PX = 60;
const PER_TICK_PX = 80;
const LABEL_PX = 60;
const MARGIN = { top: 22, right: 14, bottom: 42, left: 48 };
const SHAPES = {
  circle: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
  square: "M-3.6 -3.6h7.2v7.2h-7.2z",
  diamond: "M0 -5L5 0L0 5L-5 0z",
  up: "M0 -5L4.6 3.6H-4.6z",
  down: "M0 5L4.6 -3.6H-4.6z",
  cross: "M-1.6 -5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
};
const BANDS = { u: "down", g: "circle", r: "square", i: "diamond", z: "up", y: "cross" };

const bandOf = (band) => band.toLowerCase().match(/[ugrizy]$/)?.[0] ?? "other";

function scale([low, high], [from, to]) {
  const step = (to - from) / (high - low || 1);
  return (value) => from + (value - low) * step;
}

function widened([low, high], part, least) {
  const room = Math.max((high - low) * part, least);
  return [low - room, high + room];
}

/** The points with a magnitude; days since the trigger. */
function measured(points, triggerUtc) {
  return points
    .filter((point) => point.mag !== null)
    .map((point) => ({ ...point, day: daysBetween(triggerUtc, point.time_utc) }))
    .sort((one, other) => one.day - other.day);
}

/**
 * @param {object} told `points` (as the interface has them), `triggerUtc`, `missedUtc` (last visit without a detection, or
 *   null) and `inside` (instants of the points in the window).
 */
export function lightCurve({ points, triggerUtc, missedUtc, inside }) {
  // Text in it scales with it: on a narrow screen the picture is narrow too, not small.
  const width = Math.max(NARROWEST, Math.min(WIDEST, innerWidth - ROOM_PX));
  const height = Math.round(width * (width < WIDEST ? 0.65 : 0.5));
  const shown = measured(points, triggerUtc);
  if (!shown.length) return make("p", { class: "state" }, "No magnitudes are stored of this object.");
  const missed = missedUtc && daysBetween(triggerUtc, missedUtc);
  const days = [0, ...shown.map((point) => point.day)];
  // A visit of a year ago would press all that matters into a corner.
  const span = Math.max(...days) - Math.min(...days) || 1;
  const missedShown = missed !== null && missed !== undefined && missed > Math.min(...days) - 2 * span;
  if (missedShown) days.push(missed);
  const reach = shown.flatMap(({ mag, mag_err: error }) => [mag - (error ?? 0), mag + (error ?? 0)]);
  const x = scale(widened(extent(days), 0.05, 0.02), [MARGIN.left, width - MARGIN.right]);
  const magnitudes = widened(extent(reach), 0.12, 0.15);
  const y = scale(magnitudes, [MARGIN.top, height - MARGIN.bottom]);
  const bands = [...new Set(shown.map((point) => point.band))].sort();
  const brightest = shown.reduce((best, point) => (point.mag < best.mag ? point : best));
  const picture = draw("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img", class: "light-curve",
    "aria-label": `Light curve of ${shown.length} points in ${bands.join(", ")}, brightest ${fixed(brightest.mag)} in `
      + `${brightest.band} ${fixed(brightest.day)} days after the trigger. The points are in the table below it.`,
  });
  const across = ticks(...extent(days), width / PER_TICK_PX);
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
  for (const day of across) {
    picture.append(
      draw("line", { class: "grid", x1: x(day), x2: x(day), y1: top, y2: bottom }),
      draw("text", { class: "tick", x: x(day), y: bottom + 16, "text-anchor": "middle" }, String(day).replace("-", "−")),
    );
  }
  for (const mag of ticks(...magnitudes, 6)) {
    picture.append(
      draw("line", { class: "grid", x1: left, x2: right, y1: y(mag), y2: y(mag) }),
      draw("text", { class: "tick", x: left - 7, y: y(mag) + 4, "text-anchor": "end" }, String(mag)),
    );
  }
  picture.append(
    draw("text", { class: "title", x: (left + right) / 2, y: height - 6, "text-anchor": "middle" },
      "Days since the trigger"),
    draw("text", { class: "title", x: left - 7, y: 13, "text-anchor": "end" }, "mag"),
    draw("line", { class: "trigger", x1: x(0), x2: x(0), y1: top, y2: bottom }),
    draw("text", { class: "trigger-name", x: x(0) + 5, y: top + 11 }, "trigger"),
  );
  if (missedShown) {
    const label = x(missed) > right - LABEL_PX ? { x: -7, y: 2, "text-anchor": "end" } : { x: 7, y: 2 };
    picture.append(draw("g", { class: "missed", transform: `translate(${x(missed)} ${bottom - 16})` },
      draw("path", { d: "M0 -12V10M-4 5L0 11L4 5" }),
      draw("text", label, "not seen"),
      draw("title", {}, `Visited and not seen at ${instant(missedUtc)} UTC; the limit is not known here`)));
  }
  for (const point of shown) {
    const band = bandOf(point.band);
    const before = inside && !inside.has(point.time_utc);
    const error = point.mag_err ?? 0;
    picture.append(draw("g", {
      class: `point band-${band}${before ? " outside" : ""}`, transform: `translate(${x(point.day)} ${y(point.mag)})`,
    },
    draw("path", { class: "error", d: `M0 ${y(point.mag - error) - y(point.mag)}V${y(point.mag + error) - y(point.mag)}` }),
    draw("path", { class: "shape", d: SHAPES[BANDS[band] ?? "cross"] }),
    draw("title", {}, `${point.band} ${fixed(point.mag)} ± ${fixed(point.mag_err)}, ${instant(point.time_utc)} UTC`)));
  }
  const legend = make("ul", { class: "bands", "aria-label": "Bands" }, ...bands.map((band) => make("li", {},
    draw("svg", { viewBox: "-7 -7 14 14", width: "14", height: "14", "aria-hidden": "true" },
      draw("g", { class: `point band-${bandOf(band)}` }, draw("path", { class: "shape", d: SHAPES[BANDS[bandOf(band)] ?? "cross"] }))),
    band)));
  const outside = inside && shown.some((point) => !inside.has(point.time_utc));
  return make("div", {}, picture, legend,
    outside && make("p", { class: "small" }, "Hollow points lie outside the window and were not judged."),
    missed !== null && missed !== undefined && !missedShown
      && make("p", { class: "small" }, `Last visited and not seen ${fixed(-missed, 1)} days before the trigger.`),
    pointTable(shown));
}

function pointTable(points) {
  const lines = points.map((point) => make("tr", {},
    make("th", { scope: "row" }, make("time", { datetime: point.time_utc }, instant(point.time_utc))),
    make("td", { class: "number" }, fixed(point.day, 3)), make("td", {}, point.band),
    make("td", { class: "number" }, fixed(point.mag, 3)),
    make("td", { class: "number" }, point.mag_err === null ? NONE : fixed(point.mag_err, 3))));
  return make("details", {}, make("summary", {}, points.length === 1 ? "The point as a table" : `The ${points.length} points as a table`),
    make("div", { class: "table" }, make("table", {},
      make("thead", {}, make("tr", {}, ...["Time (UTC)", "Days", "Band", "Magnitude", "Error"].map((title, place) =>
        make("th", { scope: "col", class: place === 0 || place === 2 ? null : "number" }, title)))),
      make("tbody", {}, ...lines))));
}
