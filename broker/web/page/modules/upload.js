// The upload form: a file dropped or chosen, or a position typed; progress, and what is wrong at the field that it is
// about. What a field means and its default are told by the interface's own document.

import { openApi, upload } from "./api.js";
import { make } from "./dom.js";
import { go, to } from "./router.js";

const MODEL = "PositionRequest";
const SETTINGS = [
  ["name", "Name", "text", { maxlength: 100 }],
  ["trigger_time", "Time of the event (UTC)", "text", { placeholder: "2026-10-05T04:30:00Z" }],
  ["messenger", "Messenger", "select"],
  ["before_s", "Window begins before the event, s", "number", { min: 0, step: "any" }],
  ["after_d", "Window ends after the event, days", "number", { min: 0, step: "any" }],
  ["level", "Credible level that is searched", "number", { min: 0, max: 1, step: "any" }],
];
const CHECKS = [["new_object", "Only objects that are new"], ["private", "Private: only you see it and what is found"]];
const POSITIONS = {
  file: ["Sky map", []],
  cone: ["Circle", [["ra_deg", "Right ascension, °"], ["dec_deg", "Declination, °"], ["radius_deg", "Radius, °"],
    ["containment", "Probability inside"]]],
  ellipse: ["Ellipse", [["ra_deg", "Right ascension, °"], ["dec_deg", "Declination, °"], ["semi_major_deg", "Semi-major axis, °"],
    ["semi_minor_deg", "Semi-minor axis, °"], ["position_angle_deg", "Position angle, °"], ["containment", "Probability inside"]]],
  url: ["URL", [["url", "Where the file is"]]],
};

export function uploadView(night, session, query) {
  const replaced = query.get("replace");
  const element = make("article", { class: "detail upload" });
  let kind = "file";
  let file = null;
  let models = {};

  const status = () => night.status;
  const mayUpload = () => status()?.scopes.some((scope) => scope === "upload" || scope === "admin");

  function field(name, label, type, attributes = {}, model = models[MODEL]) {
    const property = model?.properties?.[name] ?? {};
    const id = `field-${name}`;
    const choices = property.enum ?? models[property.$ref?.split("/").at(-1)]?.enum
      ?? models[property.allOf?.[0]?.$ref?.split("/").at(-1)]?.enum ?? [];
    const common = { id, name, "aria-describedby": `${id}-help ${id}-error` };
    const input = type === "select"
      ? make("select", common, ...choices.map((one) => make("option", { value: one, selected: one === property.default }, one)))
      : make("input", { ...common, type, value: property.default ?? null, autocomplete: "off", ...attributes });
    return make("div", { class: "field" }, make("label", { for: id }, label), input,
      make("p", { class: "help", id: `${id}-help` }, property.description ?? ""),
      make("p", { class: "field-error", id: `${id}-error` }));
  }

  function check([name, label]) {
    const property = models[MODEL]?.properties?.[name] ?? {};
    const id = `field-${name}`;
    return make("div", { class: "field check" },
      make("input", { type: "checkbox", id, name, checked: property.default === true, "aria-describedby": `${id}-help` }),
      make("label", { for: id }, label), make("p", { class: "help", id: `${id}-help` }, property.description ?? ""),
      make("p", { class: "field-error", id: `${id}-error` }));
  }

  const chooser = make("input", { type: "file", id: "field-skymap", class: "hidden", "aria-describedby": "field-skymap-error",
    onchange: () => take(chooser.files[0]) });
  const fileName = make("strong", { class: "file-name" });
  const drop = make("div", {
    class: "drop",
    ondragover: (event) => {
      event.preventDefault();
      drop.classList.add("over");
    },
    ondragleave: () => drop.classList.remove("over"),
    ondrop: (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      take(event.dataTransfer.files[0]);
    },
  }, chooser, make("p", {}, "Drop a FITS sky map or a MOC here, or ",
    make("label", { for: "field-skymap", class: "button" }, "choose a file"), "."),
  fileName, make("p", { class: "field-error", id: "field-skymap-error" }));
  const positionFields = make("div", { class: "fields" });
  const tabs = make("div", { class: "choice", role: "group", "aria-label": "What is uploaded" },
    ...Object.entries(POSITIONS).map(([key, [text]]) => make("button", {
      type: "button", "data-key": key, onclick: () => choose(key),
    }, text)));
  const progress = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  const told = make("p", { class: "told", role: "status" });
  const trouble = make("p", { class: "field-error", role: "alert", id: "upload-error" });
  const button = make("button", { type: "submit", class: "primary" }, replaced ? "Put in its place" : "Upload and search");
  const form = make("form", { novalidate: true, onsubmit: send });

  function take(chosen) {
    if (!chosen) return;
    file = chosen;
    fileName.textContent = `${chosen.name}, ${(chosen.size / 1e6).toFixed(chosen.size < 1e5 ? 3 : 1)} MB`;
    clear();
  }

  function choose(key) {
    kind = key;
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.key === key));
    drop.hidden = key !== "file";
    const model = models[{ cone: "ConeDocument", ellipse: "EllipseDocument" }[key]] ?? models[MODEL];
    positionFields.replaceChildren(...POSITIONS[key][1].map(([name, label]) =>
      field(name, label, key === "url" ? "url" : "number", key === "url" ? {} : { step: "any" }, model)));
  }

  function clear() {
    trouble.textContent = "";
    for (const one of form.querySelectorAll(".field-error")) one.textContent = "";
    for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
  }

  function wrong(name, text) {
    const input = form.querySelector(`#field-${CSS.escape(name)}`);
    const place = form.querySelector(`#field-${CSS.escape(name)}-error`);
    if (!place) return false;
    place.textContent = text;
    input?.setAttribute("aria-invalid", "true");
    return true;
  }

  function body() {
    const settings = {};
    for (const [name, , type] of SETTINGS) {
      const { value } = form.elements[name];
      if (value.trim() !== "") settings[name] = type === "number" ? Number(value) : value.trim();
    }
    for (const [name] of CHECKS) settings[name] = form.elements[name].checked;
    if (kind === "file") {
      const data = new FormData();
      for (const [name, value] of Object.entries(settings)) data.append(name, String(value));
      data.append("skymap", file, file.name);
      return data;
    }
    if (kind === "url") return { ...settings, url: form.elements.url.value.trim() };
    const position = Object.fromEntries(POSITIONS[kind][1].filter(([name]) => form.elements[name].value !== "")
      .map(([name]) => [name, Number(form.elements[name].value)]));
    return { ...settings, [kind]: position };
  }

  async function send(event) {
    event.preventDefault();
    clear();
    if (kind === "file" && !file) {
      wrong("skymap", "Choose a file first.");
      chooser.focus();
      return;
    }
    button.disabled = true;
    progress.hidden = false;
    progress.removeAttribute("value");
    told.textContent = "Sending …";
    try {
      const answer = await upload(body(), replaced, (part) => {
        if (part !== null) progress.value = part;
        if (part === 1) {
          progress.removeAttribute("value");
          told.textContent = "Sent. The map is read and searched …";
        }
      });
      go(to.trigger(answer.trigger));
    } catch (error) {
      told.textContent = "";
      // Each at its field; what has none is told below.
      const left = error.errors?.filter(({ place, detail }) => !wrong(place.split(".").at(-1), detail)) ?? [];
      const anywhere = error.errors?.length > left.length;
      trouble.textContent = anywhere && !left.length ? "Something above is wrong."
        : [error.message, ...left.map(({ place, detail }) => `${place}: ${detail}`)].join("; ");
      form.querySelector("[aria-invalid]")?.focus();
      if (error.status === 401) session.ask();
    } finally {
      button.disabled = false;
      progress.hidden = true;
    }
  }

  async function show() {
    const title = make("header", { class: "head" }, make("p", { class: "crumbs" }, make("a", { href: "/" }, "Live"), " / upload"),
      make("h1", {}, replaced ? "A better sky map" : "Upload a sky map"),
      make("p", { class: "lead" }, replaced
        ? "It takes the place of the map before. What was found is judged anew, and withdrawn where it lies outside."
        : "It is searched in all stored alerts at once, and from then on in each alert that comes until its window ends."));
    if (status() && !mayUpload()) {
      element.replaceChildren(title, make("div", { class: "card state" },
        make("p", {}, status().owner ? `The token of ${status().owner} does not allow uploads.` : "To upload you need a token with the scope “upload”."),
        make("p", {}, make("button", { type: "button", class: "primary", onclick: () => session.ask() }, "Sign in"))));
      return;
    }
    models = await openApi().then((document) => document.components.schemas, () => ({}));
    form.replaceChildren(
      make("fieldset", { class: "card" }, make("legend", {}, "Where"), tabs, drop, positionFields),
      make("fieldset", { class: "card" }, make("legend", {}, "When, and how to search"),
        make("div", { class: "fields" }, ...SETTINGS.map((one) => field(...one))),
        make("div", { class: "fields" }, ...CHECKS.filter(([name]) => !replaced || name !== "private").map(check))),
      make("p", { class: "buttons" }, button, progress, told), trouble);
    if (replaced) form.append(make("input", { type: "hidden", name: "private" }));
    element.replaceChildren(title, form);
    choose(kind);
  }

  let known = null;
  const changed = () => {
    const now = JSON.stringify([status()?.owner, status()?.scopes]);
    if (now === known) return;
    known = now;
    show();
  };
  night.addEventListener("change", changed);
  changed();
  return { element, title: "Upload · Starcross", keys: {}, close: () => night.removeEventListener("change", changed) };
}
