// The sky on a canvas: how one looks at it, what is on it, and what is chosen.

import { FRAMES, vectorOf } from "./frames.js";
import { listen } from "./sky_gestures.js";
import { drawContours, drawDensity, drawGrid, drawGround, drawMarks, drawNames, drawScale, shadesOf } from "./sky_layers.js";
import { View } from "./projections.js";

const CLOSEST = 3e6;
const REACH_PX = 11;
const STILL_MS = 160;

/** Vectors of GeoJSON's lines; kept, as the same features are shown again and again. */
const vectors = new WeakMap();
function linesOf(feature) {
  if (!vectors.has(feature)) {
    vectors.set(feature, feature.geometry.coordinates.map((line) =>
      Float64Array.from(line.flatMap(([longitude, latitude]) => vectorOf(longitude, latitude)))));
  }
  return vectors.get(feature);
}

/** Tells of "view" (it was turned), "hover", "select" (a mark, by keyboard) and "choose" (one is to be opened). */
export class Sky extends EventTarget {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} look any of `frame`, `projection`, `centre` (in the frame) and `zoom`.
   */
  constructor(canvas, look = {}) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.home = { frame: "equatorial", projection: "hammer", centre: [180, 0], zoom: 1, ...look };
    Object.assign(this, structuredClone(this.home));
    this.outlines = [];
    this.marks = [];
    this.directions = this.places = new Float64Array(0);
    this.names = [];
    this.selected = null;
    this.hovered = null;
    this.watching = new ResizeObserver(() => this.resize());
    this.watching.observe(canvas);
    listen(this);
    this.restyle();
    this.resize();
  }

  close() {
    this.watching.disconnect();
    clearTimeout(this.stilling);
  }

  /** Colours come from the style; called when the theme changes. */
  restyle() {
    const style = getComputedStyle(this.canvas);
    const known = new Map();
    this.colour = (name) => known.get(name) ?? known.set(name, style.getPropertyValue(name).trim()).get(name);
    this.sprites = new Map();
    this.font = "system-ui, sans-serif";
    this.paint();
  }

  /**
   * @param {object} news any of `outlines` ([{id, name, messenger, peak, features}]), `marks` ([{id, ra_deg, dec_deg,
   * messenger, weight, faded, fresh, cross}], best last) and `density` (as the interface has it).
   */
  show({ outlines, marks, density }) {
    if (outlines) {
      this.outlines = outlines.map(({ id, name, messenger, peak, features }) => ({
        id, name, messenger, peak: peak && Float64Array.from(vectorOf(...peak)),
        levels: features.map((feature) => ({ level: feature.properties.credible_level, lines: linesOf(feature) })),
      }));
    }
    if (marks) {
      this.marks = marks;
      this.directions = Float64Array.from(marks.flatMap((mark) => vectorOf(mark.ra_deg, mark.dec_deg)));
      this.places = new Float64Array(marks.length * 2);
    }
    if (density && density !== this.density) {
      this.density = density;
      this.shades = shadesOf(density);
    }
    this.paint();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(this, { width, height, ratio, sprites: new Map() });
    this.pictured();
  }

  // One picture a frame, however much changes.
  paint() {
    this.painting ??= requestAnimationFrame(() => {
      this.painting = null;
      if (this.width) this.pictured();
    });
  }

  /** Where to look from the beginning, if nobody has turned it meanwhile, and after each reset. */
  settle(centre) {
    this.home.centre = centre;
    if (!this.wasMoved) this.centre = [...centre];
    this.paint();
  }

  /** It is turned: less detail until it is still. */
  moved() {
    this.moving = this.wasMoved = true;
    clearTimeout(this.stilling);
    this.stilling = setTimeout(() => {
      this.moving = false;
      this.paint();
    }, STILL_MS);
    this.paint();
    this.dispatchEvent(new Event("view"));
  }

  get view() {
    return new View(this);
  }

  pictured() {
    const { context, ratio, width, height, hovered, selected, colour, font, sprites, moving } = this;
    const brush = { context, view: this.view, colour, font, sprites, ratio, moving };
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    drawGround(brush);
    if (this.shades) drawDensity(brush, this.shades);
    drawGrid(brush);
    drawContours(brush, this.outlines, hovered?.trigger);
    drawMarks(brush, this.marks, this.directions, this.places, (mark) => mark.id === selected || mark.id === hovered?.id);
    this.names = drawNames(brush, this.outlines, hovered?.trigger);
    if (this.scaleBar) drawScale(brush);
  }

  turn(longitude, latitude) {
    const [old, high] = this.centre;
    this.centre = [(((old + longitude) % 360) + 360) % 360, Math.max(-90, Math.min(90, high + latitude))];
    this.moved();
  }

  /** Zoom; what is under the pointer stays there. */
  magnify(factor, at) {
    const before = at && this.view.position(...at);
    this.zoom = Math.max(1, Math.min(CLOSEST, this.zoom * factor));
    const after = before && this.zoom > 1 && this.view.position(...at);
    if (after) {
      const across = ((before[0] - after[0] + 540) % 360) - 180;
      this.turn(Math.abs(across) < 90 ? across : 0, before[1] - after[1]);
    }
    this.moved();
  }

  into(frame) {
    const centre = FRAMES[this.frame].back(this.centre);
    this.frame = frame;
    this.centre = FRAMES[frame].from(centre);
    if (this.zoom === 1) this.centre = frame === this.home.frame ? [...this.home.centre] : [0, 0];
    this.moved();
  }

  as(projection) {
    this.projection = projection;
    this.moved();
  }

  reset() {
    Object.assign(this, structuredClone(this.home));
    this.moved();
  }

  /** Turn to a position (equatorial). */
  towards(position) {
    this.centre = FRAMES[this.frame].from(position);
    this.moved();
  }

  /** Show a circle about a position (equatorial) of so many degrees, now and after each reset. */
  around(position, radiusDeg) {
    const zoom = Math.max(1, Math.min(CLOSEST, 1 / Math.sin((Math.min(radiusDeg, 85) * Math.PI) / 180)));
    Object.assign(this.home, { frame: this.frame, projection: "orthographic", zoom, centre: FRAMES[this.frame].from(position) });
    this.reset();
  }

  /** The mark, or the trigger's name, at a pixel: {id, mark}, {trigger} or null. */
  at(x, y) {
    let best = null;
    let nearest = REACH_PX ** 2;
    for (let row = 0; row < this.marks.length; row += 1) {
      const apart = (this.places[2 * row] - x) ** 2 + (this.places[2 * row + 1] - y) ** 2;
      if (apart <= nearest) {
        nearest = apart;
        best = this.marks[row];
      }
    }
    if (best) return { id: best.id, mark: best };
    const name = this.names.find(({ box }) => x > box[0] && x < box[2] && y > box[1] && y < box[3] + 10);
    return name ? { trigger: name.id } : null;
  }

  hover(x, y) {
    const found = x === undefined ? null : this.at(x, y);
    this.canvas.style.cursor = found ? "pointer" : "grab";
    const same = found?.id === this.hovered?.id && found?.trigger === this.hovered?.trigger;
    this.hovered = found;
    if (same) return;
    this.dispatchEvent(new CustomEvent("hover", { detail: { found, x, y } }));
    this.paint();
  }

  choose(found) {
    if (found) this.dispatchEvent(new CustomEvent("choose", { detail: found }));
  }

  /** Select the next mark, from the best on. */
  step(by) {
    if (!this.marks.length) return;
    const place = this.marks.findIndex((mark) => mark.id === this.selected);
    const count = this.marks.length;
    const next = this.marks[place < 0 ? count - 1 : (((place - by) % count) + count) % count];
    this.selected = next.id;
    if (this.zoom > 1 || this.projection === "orthographic") this.towards([next.ra_deg, next.dec_deg]);
    this.dispatchEvent(new CustomEvent("select", { detail: next }));
    this.paint();
  }
}
