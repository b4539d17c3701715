// The page as a whole: which view is shown, the bar above it, shortcuts, and news for who cannot see them.

import { coincidenceView } from "./coincidence.js";
import { make } from "./dom.js";
import { probability } from "./format.js";
import { liveView } from "./live.js";
import { Night } from "./night.js";
import { go, listen, route } from "./router.js";
import { Session } from "./session.js";
import { triggerView } from "./trigger.js";
import { uploadView } from "./upload.js";

const NEWS_MS = 2_000;
const SHORTCUTS = [
  ["1", "the live view"], ["u", "upload"], ["/", "find in the list"], ["w", "the condition"],
  ["j k", "next and previous row; Enter opens it"], ["s", "to the sky: arrows turn, + − zoom, [ ] step, 0 resets"],
  ["g", "equatorial or galactic"], ["p", "whole sky or globe"], ["t", "next theme"], ["Esc", "back to the live view"],
  ["?", "this list"],
];

const find = (id) => document.getElementById(id);
const night = new Night();
const session = new Session(night, find("who"));
const memory = {};
let view = null;

const VIEWS = {
  live: () => liveView(night, memory),
  coincidence: ({ id }) => coincidenceView(id, night),
  trigger: ({ id }) => triggerView(id, night),
  upload: ({ query }) => uploadView(night, session, query),
  missing: () => ({
    element: make("div", { class: "state" }, make("h1", {}, "No such page"), make("p", {}, make("a", { href: "/" }, "Back to the live view"))),
    title: "Starcross", keys: {}, close: () => null,
  }),
};

function show() {
  const asked = route(location);
  const isFirst = view === null;
  view?.close();
  view = VIEWS[asked.name](asked);
  document.title = view.title;
  document.body.dataset.view = asked.name;
  find("view").replaceChildren(view.element);
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isFirst) return;
  scrollTo(0, 0);
  find("view").focus({ preventScroll: true });
}

// The connection, and what hinders it.

const WORDS = { loading: "Loading", open: "Live", waiting: "Reconnecting", refused: "Not allowed" };

function connected() {
  const { state, reason, until } = night.connection;
  const lamp = find("connection");
  lamp.dataset.state = state;
  lamp.querySelector(".words").textContent = WORDS[state];
  const notice = find("notice");
  notice.hidden = state !== "waiting" && state !== "refused";
  if (state === "waiting") {
    const seconds = Math.round(Math.max(0, until - Date.now()) / 1000);
    notice.textContent = `Disconnected: ${reason}. What is shown may be old; trying again${seconds ? ` in ${seconds} s` : ""}.`;
  } else if (state === "refused") {
    notice.replaceChildren(`Not allowed: ${reason}. `, make("button", { type: "button", onclick: () => session.ask() }, "Sign in"));
  }
}

// One sentence for all that came within a while, so that a reader is not flooded.

const news = [];
function told({ detail: { row, before } }) {
  if (before && before.state === row.state) return;
  news.push({ row, isNew: !before });
  if (news.length > 1) return;
  setTimeout(() => {
    const some = news.splice(0);
    const fresh = some.filter((one) => one.isNew && one.row.state !== "withdrawn").map((one) => one.row);
    const gone = some.filter((one) => one.row.state === "withdrawn").map((one) => one.row);
    const best = fresh.toSorted((one, other) => (other.posterior ?? 0) - (one.posterior ?? 0))[0];
    find("news").textContent = [
      best && `${fresh.length} new ${fresh.length === 1 ? "coincidence" : "coincidences"}: ${best.object_id} with `
        + `${best.trigger_name}, posterior ${probability(best.posterior)}.`,
      gone.length && `${gone.length} withdrawn${gone.length === 1 ? `: ${gone[0].object_id}` : ""}.`,
    ].filter(Boolean).join(" ");
  }, NEWS_MS);
}

// The theme.

const themes = find("theme");
function dress(theme) {
  document.documentElement.dataset.theme = theme;
  themes.value = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch { /* storage may be forbidden */ }
  view?.restyle?.();
}
themes.addEventListener("change", () => dress(themes.value));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.restyle?.());
themes.value = document.documentElement.dataset.theme;

// The keyboard.

const help = make("dialog", { "aria-labelledby": "keys-title" }, make("form", { method: "dialog" },
  make("h2", { id: "keys-title" }, "Keyboard"),
  make("dl", { class: "keys" }, ...SHORTCUTS.map(([keys, what]) => make("div", {},
    make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))), make("dd", {}, what)))),
  make("p", { class: "buttons" }, make("button", { class: "primary" }, "Close"))));
document.body.append(help);
find("keys").addEventListener("click", () => help.showModal());

const KEYS = {
  "?": () => help.showModal(),
  1: () => go("/"),
  u: () => go("/upload"),
  t: () => dress([...themes.options][(themes.selectedIndex + 1) % themes.options.length].value),
  Escape: () => location.pathname !== "/" && go("/"),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isTyping = event.target.closest("input, select, textarea");
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const action = view.keys[event.key] ?? KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

// The service's clock.

setInterval(() => {
  const now = night.now();
  if (now === null) return;
  const iso = new Date(now).toISOString();
  find("clock").dateTime = iso;
  find("clock").textContent = `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}, 1000);

night.addEventListener("connection", connected);
night.addEventListener("coincidence", told);
let owner = "";
night.addEventListener("change", () => {
  if (owner === session.owner) return;
  owner = session.owner;
  view.reload?.();
});
listen(show);
show();
connected();
night.start();
