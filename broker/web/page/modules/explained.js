// Numbers with the sentence that explains each. The sentences are those of the interface's own document.

import { propertiesOf } from "./api.js";
import { make } from "./dom.js";
import { NONE, angle, area, fixed, instant, lapse, plain, probability, unit, words } from "./format.js";

const PROBABILITIES = new Set(["posterior", "posterior_none", "chance_probability", "observed_fraction",
  "credible_level", "credible_level_3d"]);

/** A value of a field, as a person reads it. */
export function shown(name, value, unitText = "") {
  if (value === null || value === undefined || value === "") return NONE;
  if (typeof value === "string") return name.endsWith("_utc") ? `${instant(value)} UTC` : value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") {
    const several = Object.entries(value).map(([key, one]) => `${key} ${fixed(one, 2)}`);
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
    return make("div", { "data-field": name },
      make("dt", {}, words(name)),
      make("dd", { class: "value" }, shown(name, record[name], property.unit)),
      make("dd", { class: "meaning" }, property.description ?? "",
        property.source && make("cite", {}, ` ${property.source}`)));
  }));
}
