// Numbers with the sentence that explains each. The sentences are those of the interface's own document.

import { propertiesOf } from "./api.js";
import { make } from "./dom.js";
import { NONE, angle, area, fixed, instant, lapse, plain, probability, unit, words } from "./format.js";

const PROBABILITIES = new Set(["posterior", "posterior_none", "chance_probability", "observed_fraction",
  "credible_level", "credible_level_3d", "class_posteriors"]);

const LABELS = {
  delta_t_s: "time after the trigger", area_90_deg2: "90 % area", far_per_year: "false alarms a year",
  posterior_none: "posterior of none", background_per_deg2_night: "background per deg² and night",
  credible_level_3d: "credible level in volume", probability_density_per_sr: "probability density",
  class_posteriors: "posterior by class", decay_index_err: "error of the decay index", colour_mag: "colour",
  colour_err_mag: "error of the colour", colour_bands: "bands of the colour", onset_after_s: "began after",
  onset_before_s: "began before", log_likelihood_ratio: "log likelihood ratios",
};
const LONG = 28;

/** A value of a field, as a person reads it. */
export function shown(name, value, unitText = "") {
  if (value === null || value === undefined || value === "") return NONE;
  if (typeof value === "string") return name.endsWith("_utc") ? `${instant(value)} UTC` : value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") {
    const written = PROBABILITIES.has(name) ? probability : fixed;
    const several = Object.entries(value).map(([key, one]) => `${key} ${written(one)}`);
    return several.length ? several.join(", ") : NONE;
  }
  if (PROBABILITIES.has(name)) return probability(value);
  if (name === "delta_t_s" || name.startsWith("onset_")) return lapse(value);
  if (name === "separation_deg") return angle(value);
  if (name.startsWith("area_")) return area(value);
  return `${plain(value)}${unitText ? ` ${unit(unitText)}` : ""}`;
}

/**
 * A list of a record's fields: name, value, and what it means.
 *
 * @param {string} model its name in the interface's document.
 * @param {object} record the fields.
 * @param {string[]} names which of them, in this order; those that are unknown are left out.
 */
export async function explained(model, record, names) {
  const properties = await propertiesOf(model);
  const told = names.filter((name) => {
    const value = record[name];
    const isEmpty = typeof value === "object" && value !== null && !Object.keys(value).length;
    return value !== null && value !== undefined && value !== "" && !isEmpty;
  });
  return make("dl", { class: "explained" }, ...told.map((name) => {
    const property = properties[name] ?? {};
    const value = shown(name, record[name], property.unit);
    return make("div", { "data-field": name, class: value.length > LONG ? "long" : null },
      make("dt", {}, LABELS[name] ?? words(name)),
      make("dd", { class: "value" }, value),
      make("dd", { class: "meaning" }, property.description ?? "",
        property.source && make("cite", {}, ` ${property.source}`)));
  }));
}
