// The page of a coincidence: what it is worth and why, its light curve, where it lies, and how it came to be.

import { get } from "./api.js";
import { contoursOf, failed, linkedTriggers, loading, outwardLinks, smallSky } from "./detail.js";
import { make, pair, section } from "./dom.js";
import { explained, shown } from "./explained.js";
import { NONE, angle, fixed, instant, lapse, plain, probability, sexagesimal, words } from "./format.js";
import { lightCurve } from "./lightcurve.js";
import { objectLinks, triggerLinks } from "./links.js";
import { wordsOf } from "./messengers.js";
import { to } from "./router.js";

const POSITION = ["delta_t_s", "separation_deg", "credible_level", "probability_density_per_sr", "overlap", "area_90_deg2"];
const STATISTICS = ["posterior", "posterior_none", "class_posteriors", "rank", "weight", "chance_probability", "far_per_year",
  "expected_chance", "background_per_deg2_night", "background_model", "observed_fraction", "host_distance_mpc",
  "credible_level_3d"];
const EVIDENCE = ["decay_index", "decay_index_err", "colour_mag", "colour_err_mag", "colour_bands", "onset_after_s",
  "onset_before_s", "log_likelihood_ratio"];

export function coincidenceView(id, night) {
  const element = make("article", { class: "detail" }, loading());
  const panel = smallSky("Position of the object among the trigger's contours");
  let revision = 0;
  let objectPoints = null;

  async function load() {
    let told;
    try {
      told = await get(`/coincidences/${encodeURIComponent(id)}`);
    } catch (error) {
      if (!revision || error.status) element.replaceChildren(failed(error, "coincidence"));
      return;
    }
    if (told.newest.revision === revision) return;
    const isFirst = revision === 0;
    revision = told.newest.revision;
    const { newest } = told;
    const { object } = newest;
    try {
      objectPoints = await get(`/objects/${encodeURIComponent(`${object.survey}:${object.object_id}`)}`);
    } catch { /* what is stored with the coincidence itself is shown */ }
    await show(told, isFirst);
  }

  async function show({ newest, revisions }, isFirst) {
    const { object, trigger, statistics, evidence } = newest;
    const name = trigger.names[0] ?? trigger.id;
    document.title = `${object.object_id} · ${name} · Starcross`;
    const inside = new Set(object.light_curve.map((point) => point.time_utc));
    const points = objectPoints?.light_curve.length ? objectPoints.light_curve : object.light_curve;
    const open = [...element.querySelectorAll("details")].map((one) => one.open);
    const focus = document.activeElement === panel.sky.canvas;
    element.replaceChildren(
      heading(newest, name),
      make("div", { class: "columns" },
        section("Light curve", { class: "card" }, lightCurve({
          points, inside, triggerUtc: trigger.time_utc, missedUtc: object.last_non_detection_utc,
        })),
        section("Position", { class: "card" }, panel.element, make("dl", { class: "pairs" },
          pair("ICRS", sexagesimal(object.ra_deg, object.dec_deg)),
          pair("degrees", `${fixed(object.ra_deg, 5)} ${object.dec_deg < 0 ? "" : "+"}${fixed(object.dec_deg, 5)}`),
          pair("from the peak", angle(newest.separation_deg)),
          pair("credible level", fixed(newest.credible_level, 3))),
        outwardLinks(objectLinks(object)))),
      section("What it is worth", { class: "card" },
        statistics ? await explained("StatisticsDocument", statistics, STATISTICS) : make("p", {}, "Not assessed yet."),
        make("h3", {}, "Position and time"), await explained("CoincidenceDocument", newest, POSITION),
        hasAny(evidence) && make("h3", {}, "What the light curve tells"),
        hasAny(evidence) && ratesOf(evidence.rates),
        hasAny(evidence) && await explained("EvidenceDocument", evidence, EVIDENCE)),
      make("div", { class: "columns" },
        section("Trigger", { class: "card" }, triggerCard(trigger, name)),
        object.annotations.length > 0 && section("Catalogues", { class: "card" }, annotations(object.annotations))),
      section("History", { class: "card" }, history(revisions)),
      make("p", { class: "small" }, `${newest.provenance.software}, matcher ${newest.matcher}. `,
        make("a", { href: `/api/v1/coincidences/${encodeURIComponent(id)}`, "data-outside": true }, "JSON"), " · ",
        make("a", { href: `/api/v1/voevents/${encodeURIComponent(`${id}.r${newest.revision}`)}`, "data-outside": true },
          "VOEvent")));
    [...element.querySelectorAll("details")].forEach((one, place) => (one.open = open[place] ?? false));
    if (focus) panel.sky.canvas.focus();
    await position(newest, name, isFirst);
  }

  async function position({ object, trigger, separation_deg: separation }, name, isFirst) {
    const place = [object.ra_deg, object.dec_deg];
    const found = await contoursOf(trigger.id, place).catch(() => null);
    panel.sky.show({
      outlines: found ? [{ id: trigger.id, name, messenger: trigger.messenger, features: found.features }] : [],
      marks: [{ id, ra_deg: place[0], dec_deg: place[1], messenger: trigger.messenger, weight: 0.4, cross: true }],
    });
    if (isFirst) panel.sky.around(place, Math.max(found?.reachDeg ?? 5, separation * 1.1));
    panel.tell(`The object lies ${angle(separation)} from the most probable position of ${name}.`);
  }

  const changed = ({ detail }) => detail.row.id === id && load();
  const reconnected = () => night.connection.state === "open" && revision && load();
  night.addEventListener("coincidence", changed);
  night.addEventListener("connection", reconnected);
  load();
  return {
    element,
    title: "Coincidence · Starcross",
    keys: { s: () => panel.sky.canvas.focus() },
    restyle: () => panel.sky.restyle(),
    reload: load,
    close: () => {
      night.removeEventListener("coincidence", changed);
      night.removeEventListener("connection", reconnected);
      panel.sky.close();
    },
  };
}

function heading(newest, name) {
  const { object, trigger, state, reason, statistics, delta_t_s: deltaT, changed_utc: changed, revision } = newest;
  return make("header", { class: "head" },
    make("p", { class: "crumbs" }, make("a", { href: "/" }, "Live"), " / coincidence"),
    make("h1", {}, object.object_id, make("span", { class: "with" }, " with "), make("a", { href: to.trigger(trigger.id) }, name)),
    make("p", { class: "lead" },
      make("span", { class: `tag ${state}` }, state), ` Revision ${revision}, ${instant(changed)} UTC`,
      state === "withdrawn" && ` · ${words(reason)}`),
    make("dl", { class: "figures" },
      pair("posterior", probability(statistics?.posterior)),
      pair("after the trigger", lapse(deltaT)),
      pair(`latest, ${object.band || "magnitude"}`, fixed(object.mag)),
      pair("false alarms a year", plain(statistics?.far_per_year))));
}

function hasAny(evidence) {
  return evidence && (evidence.rates.length > 0 || EVIDENCE.some((name) => typeof evidence[name] === "number"));
}

function ratesOf(rates) {
  if (!rates.length) return null;
  return make("ul", { class: "rates" }, ...rates.map((rate) => make("li", {},
    `${rate.band}: ${rate.mag_per_d >= 0 ? "fades" : "rises"} ${fixed(Math.abs(rate.mag_per_d))} ± ${fixed(rate.mag_per_d_err)} `
    + `mag a day (${rate.points} points in ${plain(rate.span_d)} d)`)));
}

function triggerCard(trigger, name) {
  const classes = Object.entries(trigger.classification);
  return [
    make("p", {}, make("a", { href: to.trigger(trigger.id) }, name), `, ${trigger.mission} ${trigger.instrument}, `
      + `${wordsOf(trigger.messenger)}, ${instant(trigger.time_utc)} UTC${trigger.test ? ", a test" : ""}.`),
    make("p", { class: "small" }, trigger.localisation_model),
    classes.length > 0 && make("p", {}, classes.map(([one, part]) => `${one} ${probability(part)}`).join(", ")),
    trigger.significance !== null && make("p", {}, `Significance ${plain(trigger.significance)} ${trigger.significance_unit}`),
    trigger.linked.length > 0 && make("h3", {}, "The same event"),
    trigger.linked.length > 0 && linkedTriggers(trigger.linked),
    outwardLinks(triggerLinks(trigger)),
  ];
}

function annotations(found) {
  return make("ul", { class: "annotations" }, ...found.map((one) => make("li", {},
    make("strong", {}, one.catalogue), ` ${one.answer === "found" ? (one.name || "entry") : one.answer}`,
    one.answer === "found" && make("span", { class: "small" }, [
      one.separation_arcsec !== null && `${plain(one.separation_arcsec)}″`,
      one.kind,
      one.star_probability !== null && `star ${probability(one.star_probability)}`,
      one.redshift !== null && `z = ${plain(one.redshift)}`,
      one.distance_mpc !== null && `${plain(one.distance_mpc)} Mpc`,
      ...Object.entries(one.values).map(([key, value]) => `${key} ${value}`),
    ].filter(Boolean).map((text) => ` · ${text}`).join("")))));
}

// The numbers that people follow, so that each revision says how they moved.
const FOLLOWED = {
  posterior: (one) => one.statistics?.posterior, credible_level: (one) => one.credible_level, mag: (one) => one.object.mag,
  alerts: (one) => one.object.alert_ids.length, trigger: (one) => one.trigger.revision,
};

function history(revisions) {
  return make("ol", { class: "history", reversed: true }, ...revisions.toReversed().map((one) => {
    const before = revisions.find((other) => other.revision === one.revision - 1);
    const moved = before ? Object.entries(FOLLOWED).flatMap(([name, read]) => {
      const [from, till] = [read(before), read(one)];
      const [old, now] = name === "posterior" ? [probability(from), probability(till)] : [shown(name, from), shown(name, till)];
      return old === now ? [] : [`${name === "trigger" ? "trigger’s revision" : words(name)} ${old} → ${now}`];
    }) : [];
    return make("li", { value: one.revision },
      make("p", {}, make("span", { class: `tag ${one.state}` }, one.state), " ",
        make("time", { datetime: one.changed_utc }, `${instant(one.changed_utc)} UTC`), ` · ${words(one.reason)}`),
      one.changed.length > 0 && make("p", { class: "small" }, `changed: ${one.changed.map(words).join(", ")}`),
      moved.length > 0 && make("p", { class: "small" }, moved.join("; ")),
      !before && make("p", { class: "small" }, `posterior ${probability(one.statistics?.posterior) ?? NONE}, credible level `
        + fixed(one.credible_level, 3)));
  }));
}
