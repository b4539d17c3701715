// The page of a trigger: where it was, what its notices said, and what may be its counterpart. An uploaded map is a
// trigger too; its owner can put a better one in its place, or withdraw it.

import { get, withdraw } from "./api.js";
import { contoursOf, failed, linkedTriggers, loading, outwardLinks, smallSky } from "./detail.js";
import { make, pair, section } from "./dom.js";
import { area, instant, plain, probability, sexagesimal } from "./format.js";
import { triggerLinks } from "./links.js";
import { COLUMNS } from "./live.js";
import { wordsOf } from "./messengers.js";
import { byRank } from "./night.js";
import { go, to } from "./router.js";
import { Table } from "./table.js";

const WHOLE_DEG = 45;

export function triggerView(id, night) {
  const element = make("article", { class: "detail" }, loading());
  const panel = smallSky("Contours of the trigger with its coincidences");
  const table = new Table({
    caption: "Coincidences of this trigger, best first", sort: [null, false], compare: byRank,
    columns: COLUMNS.filter((column) => column.key !== "trigger_name"),
    row: (row) => ({ class: `${row.state}${night.fresh.has(row.id) ? " fresh" : ""}` }),
  });
  const none = make("p", { class: "state", role: "status" }, "None yet.");
  let version = "";
  let found = null;
  let newest = null;

  async function load() {
    let told;
    try {
      told = await get(`/triggers/${encodeURIComponent(id)}`);
    } catch (error) {
      if (!version || error.status) element.replaceChildren(failed(error, "trigger"));
      return;
    }
    const told_ = JSON.stringify([told, night.status?.owner]);
    if (told_ === version) return;
    const isFirst = version === "";
    version = told_;
    newest = told;
    show(told);
    await outline(told, isFirst);
  }

  function show(told) {
    const { trigger, position, windows, notices } = told;
    const name = trigger.names[0] ?? trigger.id;
    document.title = `${name} · Starcross`;
    const classes = Object.entries(trigger.classification);
    element.replaceChildren(
      make("header", { class: "head" },
        make("p", { class: "crumbs" }, make("a", { href: "/" }, "Live"), " / trigger"),
        make("h1", {}, name),
        make("p", { class: "lead" }, told.retracted && make("span", { class: "tag withdrawn" }, "retracted"),
          ` ${trigger.mission === "upload" ? "Uploaded" : trigger.mission} ${trigger.instrument} · `
          + `${wordsOf(trigger.messenger)} · ${instant(trigger.time_utc)} UTC${trigger.test ? " · test" : ""}`),
        make("dl", { class: "figures" },
          pair("50 % area", area(position?.area_50_deg2)), pair("90 % area", area(position?.area_90_deg2)),
          pair("revision", String(trigger.revision)),
          trigger.far_hz !== null && pair("reported FAR", `${plain(trigger.far_hz * 31_557_600)}/yr`))),
      make("div", { class: "columns" },
        section("Where", { class: "card" }, panel.element,
          make("dl", { class: "pairs" },
            pair("most probable", position ? sexagesimal(position.peak_ra_deg, position.peak_dec_deg) : "no position yet"),
            position && pair("model", position.model)),
          outwardLinks(triggerLinks(trigger))),
        section("Notices", { class: "card" },
          make("ol", { class: "history", reversed: true }, ...notices.toReversed().map((notice, place) =>
            make("li", { value: notices.length - place },
              make("p", {}, make("span", { class: "tag" }, notice.kind), ` ${notice.type}`,
                notice.localises && make("span", { class: "small" }, " · its position is in use")),
              make("p", { class: "small" }, notice.issued_utc ? `${instant(notice.issued_utc)} UTC · ` : "",
                make("span", { class: "ivorn" }, notice.ivorn))))),
          make("h3", {}, "Windows"),
          windows.length ? make("ul", {}, ...windows.map((window) => make("li", {},
            `${window.matcher}: ${instant(window.start_utc)} to ${instant(window.end_utc)} UTC${isOver(window) ? ", over" : ""}`)))
            : make("p", {}, "Nothing is searched."),
          classes.length > 0 && make("h3", {}, "Class"),
          classes.length > 0 && make("p", {}, classes.map(([one, part]) => `${one} ${probability(part)}`).join(", ")),
          trigger.linked.length > 0 && make("h3", {}, "The same event"),
          trigger.linked.length > 0 && linkedTriggers(trigger.linked),
          ownerCard(told))),
      section("Coincidences", { class: "card" }, none, table.element));
    update();
  }

  const isOver = (window) => Date.parse(window.end_utc) < (night.now() ?? -Infinity);

  function ownerCard({ trigger, retracted }) {
    const { status } = night;
    const isOwn = status && (trigger.instrument === status.owner || status.scopes.includes("admin"));
    if (trigger.mission !== "upload" || retracted || !isOwn) return null;
    const upload = trigger.id.split(":")[1];
    const trouble = make("p", { class: "field-error", role: "alert" });
    const button = make("button", {
      type: "button", class: "danger",
      onclick: async () => {
        if (button.dataset.asked === undefined) {
          button.dataset.asked = "";
          button.textContent = "Withdraw it and all its coincidences";
          return;
        }
        try {
          await withdraw(upload);
          await load();
        } catch (error) {
          trouble.textContent = error.message;
        }
      },
    }, "Withdraw");
    return [make("h3", {}, "Your map"), make("p", { class: "buttons" },
      make("a", { class: "button", href: `/upload?replace=${encodeURIComponent(upload)}` }, "Put a better map"), button), trouble];
  }

  async function outline({ trigger, position }, isFirst) {
    if (!position) return;
    const peak = [position.peak_ra_deg, position.peak_dec_deg];
    found = await contoursOf(id, peak).catch(() => null);
    update();
    if (isFirst || trigger.mission === "upload") panel.sky.around(peak, Math.min((found?.reachDeg ?? 5) * 1.1, WHOLE_DEG));
    panel.tell(`Most probable position ${sexagesimal(...peak)}; 90 percent lie within ${area(position.area_90_deg2)}.`);
  }

  function update() {
    const rows = [...night.coincidences.values()].filter((row) => row.trigger === id);
    none.hidden = rows.length > 0;
    none.textContent = !night.loaded ? "Loading …" : newest?.windows.every(isOver) ? "None; no window is open." : "None yet.";
    table.show(rows);
    if (!newest) return;
    const { trigger, position } = newest;
    panel.sky.show({
      outlines: found ? [{
        id, name: "", messenger: trigger.messenger, features: found.features,
        peak: [position.peak_ra_deg, position.peak_dec_deg],
      }] : [],
      marks: rows.sort((one, other) => byRank(other, one)).map((row) => ({
        id: row.id, ra_deg: row.ra_deg, dec_deg: row.dec_deg, messenger: row.messenger, row,
        weight: row.posterior ?? 0.1, faded: row.state === "withdrawn",
      })),
    });
  }

  panel.sky.describe = ({ mark }) => mark && [make("strong", {}, mark.row.object_id),
    make("span", {}, `posterior ${probability(mark.row.posterior)}`)];
  panel.sky.addEventListener("choose", ({ detail }) => detail.id && go(to.coincidence(detail.id)));
  const changed = () => {
    update();
    load();
  };
  night.addEventListener("change", changed);
  load();
  return {
    element,
    title: "Trigger · Starcross",
    keys: { s: () => panel.sky.canvas.focus() },
    restyle: () => panel.sky.restyle(),
    reload: load,
    close: () => {
      night.removeEventListener("change", changed);
      panel.sky.close();
    },
  };
}
