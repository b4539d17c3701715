// The sky with what one needs to use it: buttons, a legend, a tip under the pointer, and words for who cannot see it.

import { make } from "./dom.js";
import { FRAMES } from "./frames.js";
import { PROJECTIONS } from "./projections.js";
import { Sky } from "./sky.js";

/**
 * @param {object} view see `Sky`; `label` is the canvas's name.
 * @returns the element, its `Sky`, and `tell(text)` for the words.
 */
export function skyPanel({ label, choices = true, ...view }) {
  const words = make("p", { class: "hidden", id: `words-${label.replace(/\W+/g, "-")}` });
  const canvas = make("canvas", {
    class: "sky", tabindex: "0", role: "application", "aria-roledescription": "sky map", "aria-label": label,
    "aria-describedby": words.id,
  });
  const tip = make("div", { class: "tip", hidden: true });
  const frame = make("div", { class: "sky-frame" }, canvas, tip);
  const sky = new Sky(canvas, view);
  const button = (text, title, action, attributes = {}) =>
    make("button", { type: "button", title, "aria-label": title, onclick: action, ...attributes }, text);
  const several = (name, choices_, current, choose) => {
    const buttons = Object.entries(choices_).map(([key, { label: text }]) =>
      make("button", { type: "button", "data-key": key, "aria-pressed": String(key === current()), onclick: () => choose(key) },
        text));
    sky.addEventListener("view", () => {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.key === current()));
    });
    return make("div", { class: "choice", role: "group", "aria-label": name }, ...buttons);
  };
  const bar = make("div", { class: "sky-bar" },
    choices && several("Projection", PROJECTIONS, () => sky.projection, (key) => sky.as(key)),
    several("Coordinates", FRAMES, () => sky.frame, (key) => sky.into(key)),
    make("div", { class: "choice", role: "group", "aria-label": "Zoom" },
      button("+", "Zoom in", () => sky.magnify(1.6)),
      button("−", "Zoom out", () => sky.magnify(1 / 1.6)),
      button("⟲", "Reset the view", () => sky.reset())),
  );
  const element = make("div", { class: "sky-panel" }, bar, frame, words);
  sky.describe = (found) => null;
  sky.addEventListener("hover", ({ detail: { found, x, y } }) => {
    const text = found && sky.describe(found);
    tip.hidden = !text;
    if (!text) return;
    tip.replaceChildren(...text);
    tip.style.left = `${Math.min(x + 14, Math.max(0, canvas.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + tip.offsetHeight + 18 > canvas.clientHeight ? y - tip.offsetHeight - 8 : y + 16}px`;
  });
  return { element, sky, tell: (text) => words.textContent !== text && (words.textContent = text) };
}
