// What the pages of a coincidence and of a trigger share.

import { get } from "./api.js";
import { make, outward } from "./dom.js";
import { lapse, plain } from "./format.js";
import { to } from "./router.js";
import { skyPanel } from "./sky_panel.js";

const GREAT_DEG = 60;

/** A page's state instead of its content. */
export const loading = () => make("p", { class: "state", role: "status" }, "Loading …");

export function failed(error, what) {
  if (error.status === 404) {
    return make("div", { class: "state", role: "alert" }, make("h1", {}, `No such ${what}`), make("p", {}, error.message),
      make("p", {}, make("a", { href: "/" }, "Back to the live view")));
  }
  const advice = error.refused ? " Sign in with a token that may see it." : "";
  return make("div", { class: "state", role: "alert" }, make("h1", {}, error.refused ? "Not allowed" : "That did not work"),
    make("p", {}, `${error.message}.${advice}`));
}

/** Links to other sites. */
export const outwardLinks = (links) =>
  make("ul", { class: "links" }, ...links.map(([name, url]) => make("li", {}, outward(url, name))));

/** The triggers that are the same event. */
export function linkedTriggers(linked) {
  return make("ul", { class: "linked" }, ...linked.map((one) => make("li", {},
    make("a", { href: to.trigger(one.id) }, one.names[0] ?? one.id),
    ` ${one.mission} ${one.instrument}, ${lapse(one.delta_t_s)}, ${one.by}; overlap ${plain(one.overlap)}`
    + `${one.far_per_year === null ? "" : `, by chance ${plain(one.far_per_year)} times a year`}`)));
}

/** A small sky about a position, with the contours of a trigger as the interface draws them in full. */
export function smallSky(label) {
  const panel = skyPanel({ label, choices: false, projection: "orthographic" });
  panel.sky.scaleBar = true;
  return panel;
}

/** The contours of a trigger, and how far their 90 % reach from a position; null if it has no position. */
export async function contoursOf(trigger, from) {
  let told;
  try {
    told = await get(`/triggers/${encodeURIComponent(trigger)}/contours`);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
  const points = told.features.flatMap((feature) => feature.geometry.coordinates.flat());
  const far = points.reduce((most, point) => Math.max(most, apart(point, from)), 0);
  return { features: told.features, reachDeg: Math.min(far * 1.15 || 1, GREAT_DEG) };
}

/** Degrees between two positions. */
export function apart([ra, dec], [otherRa, otherDec]) {
  const degree = Math.PI / 180;
  const haversine = Math.sin(((dec - otherDec) * degree) / 2) ** 2
    + Math.cos(dec * degree) * Math.cos(otherDec * degree) * Math.sin(((ra - otherRa) * degree) / 2) ** 2;
  return (2 * Math.asin(Math.min(1, Math.sqrt(haversine)))) / degree;
}
