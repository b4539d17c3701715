// The sky on a canvas: density of alerts, contours of triggers, coincidences as marks. Right ascension grows to the left,
// as one sees it from inside. Everything is kept in the coordinates of the frame; turning is the projection's work.

import { geoAzimuthalEqualAreaRaw, geoDistance, geoGraticule, geoOrthographic, geoPath, geoProjection }
  from "../vendor/d3-geo.js";
import { FRAMES } from "./frames.js";
import { corners } from "./healpix.js";
import { colourOf, patternOf } from "./messengers.js";

const CLOSEST = 3e6;
const REACH_PX = 11;
const SHADES = 7;
const TURN_DEG = 15;

// Hammer's equal-area projection (often called after Aitoff): the azimuthal one, stretched.
function hammer(longitude, latitude) {
  const [x, y] = geoAzimuthalEqualAreaRaw(longitude / 2, latitude);
  return [2 * x, y];
}
hammer.invert = (x, y) => {
  const [longitude, latitude] = geoAzimuthalEqualAreaRaw.invert(x / 2, y);
  return [2 * longitude, latitude];
};

/** What projections there are: how one is made, its extent at scale 1, and how it is called. */
export const PROJECTIONS = {
  hammer: { make: () => geoProjection(hammer), half: [2 * Math.SQRT2, Math.SQRT2], label: "Whole sky" },
  orthographic: { make: () => geoOrthographic().clipAngle(90), half: [1, 1], label: "Globe" },
};

export class Sky extends EventTarget {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} view `frame`, `projection`, `centre` (in the frame) and `zoom` (1: all of it).
   */
  constructor(canvas, view = {}) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.home = { frame: "equatorial", projection: "hammer", centre: [180, 0], zoom: 1, ...view };
    Object.assign(this, structuredClone(this.home));
    this.outlines = [];
    this.marks = [];
    this.places = new Float64Array(0);
    this.density = null;
    this.selected = null;
    this.hovered = null;
    this.listen();
    this.watching = new ResizeObserver(() => this.resize());
    this.watching.observe(canvas);
    this.resize();
    this.restyle();
  }

  close() {
    this.watching.disconnect();
  }

  /** Colours come from the style; called when the theme changes. */
  restyle() {
    const style = getComputedStyle(this.canvas);
    this.colour = (name) => style.getPropertyValue(name).trim();
    this.font = style.fontFamily;
    this.paint();
  }

  /**
   * @param {object} news any of `outlines` ([{id, name, messenger, peak, features}]), `marks` ([{id, ra_deg, dec_deg,
   * messenger, weight, faded, label}], best last) and `density` (as the interface has it).
   */
  show(news) {
    Object.assign(this, news);
    this.prepare(Object.keys(news));
    this.paint();
  }

  /** Move everything into the frame. */
  prepare(what = ["outlines", "marks", "density"]) {
    const { from } = FRAMES[this.frame];
    if (what.includes("outlines")) {
      this.lines = this.outlines.map((one) => ({
        ...one,
        place: one.peak && from(one.peak),
        levels: one.features.map((feature) => ({
          level: feature.properties.credible_level,
          lines: feature.geometry.coordinates.map((line) => line.map(from)),
        })),
      }));
    }
    if (what.includes("marks")) this.spots = this.marks.map((mark) => from([mark.ra_deg, mark.dec_deg]));
    if (what.includes("density")) this.shades = this.density ? shaded(this.density, from) : [];
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(this, { width, height, ratio });
    this.paint();
  }

  // One picture a frame, however much changes.
  paint() {
    this.painting ??= requestAnimationFrame(() => {
      this.painting = null;
      if (this.width) this.pictured();
    });
  }

  /** Pixels of a radian at the centre. */
  get scale() {
    const [x, y] = PROJECTIONS[this.projection].half;
    return Math.min((this.width / 2 - 6) / x, (this.height / 2 - 6) / y) * this.zoom;
  }

  made() {
    const { width, height } = this;
    const [longitude, latitude] = this.centre;
    const projection = PROJECTIONS[this.projection].make()
      .reflectX(true).rotate([-longitude, -latitude]).scale(this.scale).translate([width / 2, height / 2])
      .precision(this.zoom > 1 ? 0.5 : 0.8);
    return this.zoom > 1 ? projection.clipExtent([[-20, -20], [width + 20, height + 20]]) : projection;
  }

  pictured() {
    const { context, ratio, width, height } = this;
    const projection = (this.current = this.made());
    const path = geoPath(projection, context);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const stroked = (shape, colour, thickness, dashes = []) => {
      context.beginPath();
      path(shape);
      context.setLineDash(dashes);
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.stroke();
      context.setLineDash([]);
    };
    const bare = this.made().precision(0);
    context.beginPath();
    path({ type: "Sphere" });
    context.fillStyle = this.colour("--sky");
    context.fill();
    this.drawDensity(bare);
    stroked(graticuleOf(this.scale), this.colour("--grid"), 0.6);
    stroked(this.plane(), this.colour("--grid-strong"), 1, [1.5, 4]);
    stroked({ type: "Sphere" }, this.colour("--grid-strong"), 1);
    this.drawNumbers(projection);
    for (const { messenger, levels, id } of this.lines ?? []) {
      for (const { level, lines } of levels) {
        context.beginPath();
        this.trace(lines, bare);
        context.setLineDash(patternOf(messenger));
        context.strokeStyle = this.colour(colourOf(messenger));
        context.lineWidth = (level < 0.7 ? 1.7 : 1.1) + (id === this.hovered?.trigger ? 1 : 0);
        context.globalAlpha = level < 0.7 ? 1 : 0.75;
        context.stroke();
      }
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
    this.drawMarks(bare);
    this.drawNames(projection);
    if (this.scaleBar) this.drawScale();
  }

  // Lines are of short steps already: d3 has nothing to put between their points, takes ten times as long, and drops
  // points that are less than 0.2" apart, of which the contours of small regions are made.
  trace(lines, projection) {
    const { context } = this;
    const far = this.projection === "orthographic" ? Infinity : this.width / 4;
    for (const line of lines) {
      let before = null;
      for (const point of line) {
        const at = this.isSeen(point) ? projection(point) : null;
        if (at && before && Math.abs(at[0] - before[0]) < far) context.lineTo(at[0], at[1]);
        else if (at) context.moveTo(at[0], at[1]);
        before = at;
      }
    }
  }

  drawDensity(projection) {
    const { context } = this;
    context.fillStyle = this.colour("--density");
    const far = this.width / 4;
    const reach = this.projection === "orthographic" ? Math.PI / 2 : Math.PI;
    for (const [shade, cells] of (this.shades ?? []).entries()) {
      if (!cells.length) continue;
      context.globalAlpha = 0.08 + (0.5 * (shade + 1)) / SHADES;
      context.beginPath();
      for (const cell of cells) {
        if (geoDistance(cell[0], this.centre) > reach - 0.06) continue;
        const at = cell.map((corner) => projection(corner));
        // A cell on the seam would be drawn across the whole sky.
        if (at.some((point) => !point || Math.abs(point[0] - at[0][0]) > far)) continue;
        context.moveTo(...at[0]);
        for (let corner = 1; corner < 4; corner += 1) context.lineTo(...at[corner]);
        context.closePath();
      }
      context.fill();
    }
    context.globalAlpha = 1;
  }

  drawMarks(projection) {
    const { context } = this;
    if (this.places.length !== this.marks.length * 2) this.places = new Float64Array(this.marks.length * 2);
    const half = this.projection === "orthographic" ? Math.PI / 2 : Math.PI;
    this.marks.forEach((mark, row) => {
      const seen = geoDistance(this.spots[row], this.centre) <= half;
      const at = seen ? projection(this.spots[row]) : null;
      this.places[2 * row] = at ? at[0] : NaN;
      this.places[2 * row + 1] = at ? at[1] : NaN;
      if (!at || at[0] < -9 || at[1] < -9 || at[0] > this.width + 9 || at[1] > this.height + 9) return;
      const radius = 2.4 + 4.2 * Math.sqrt(mark.weight);
      context.beginPath();
      context.arc(at[0], at[1], radius, 0, 2 * Math.PI);
      context.strokeStyle = this.colour("--sky");
      context.fillStyle = this.colour(colourOf(mark.messenger));
      context.lineWidth = 1;
      if (mark.faded) {
        context.strokeStyle = this.colour("--muted");
        context.stroke();
      } else {
        context.fill();
        context.stroke();
      }
      if (mark.id === this.selected || mark.id === this.hovered?.id || mark.fresh) {
        context.beginPath();
        context.arc(at[0], at[1], radius + 4, 0, 2 * Math.PI);
        context.strokeStyle = this.colour("--accent");
        context.lineWidth = 2;
        context.stroke();
      }
      if (mark.cross) {
        context.strokeStyle = this.colour("--accent");
        context.lineWidth = 1.5;
        context.beginPath();
        for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(at[0] + 10 * x, at[1] + 10 * y);
          context.lineTo(at[0] + 22 * x, at[1] + 22 * y);
        }
        context.stroke();
      }
    });
  }

  // Names where there is room for them: the first ones first.
  drawNames(projection) {
    const { context } = this;
    const taken = [];
    this.names = [];
    context.font = `600 11px ${this.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    for (const { id, name, messenger, place } of this.lines ?? []) {
      const at = place && this.isSeen(place) && projection(place);
      if (!at || at[0] < 0 || at[1] < 0 || at[0] > this.width || at[1] > this.height) continue;
      const half = context.measureText(name).width / 2 + 4;
      const x = Math.max(half, Math.min(this.width - half, at[0]));
      const box = [x - half, at[1] - 22, x + half, at[1] - 6];
      const chosen = id === this.hovered?.trigger;
      if (!chosen && taken.some((one) => box[0] < one[2] && one[0] < box[2] && box[1] < one[3] && one[1] < box[3])) {
        continue;
      }
      taken.push(box);
      this.names.push({ id, box });
      context.strokeStyle = this.colour("--sky");
      context.lineWidth = 4;
      context.strokeText(name, x, at[1] - 14);
      context.fillStyle = this.colour("--ink");
      context.fillText(name, x, at[1] - 14);
      context.fillStyle = this.colour(colourOf(messenger));
      context.fillRect(at[0] - 3.5, at[1] - 0.75, 7, 1.5);
      context.fillRect(at[0] - 0.75, at[1] - 3.5, 1.5, 7);
    }
  }

  drawNumbers(projection) {
    const { context } = this;
    context.font = `10.5px ${this.font}`;
    context.fillStyle = this.colour("--muted");
    context.textAlign = "left";
    context.textBaseline = "top";
    const written = (place, text) => {
      const at = this.isSeen(place) && projection(place);
      if (at && at[0] > 0 && at[1] > 0 && at[0] < this.width - 20 && at[1] < this.height - 10) {
        context.fillText(text, at[0] + 3, at[1] + 2);
      }
    };
    if (this.zoom > 30) return;
    const hours = this.frame === "equatorial";
    const step = this.width < 500 ? 60 : 30;
    for (let longitude = 0; longitude < 360; longitude += step) {
      written([longitude, 0], hours ? `${longitude / 15}ʰ` : `${longitude}°`);
    }
    for (const latitude of [-60, -30, 30, 60]) {
      const text = `${latitude > 0 ? "+" : "−"}${Math.abs(latitude)}°`;
      written([this.centre[0], latitude], text);
    }
  }

  /** A bar that says how large it is. */
  drawScale() {
    const { context } = this;
    const most = ((this.width / 4) / this.scale) * (180 / Math.PI) * 3600;
    const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 36000, 108000];
    const length = steps.findLast((step) => step <= most) ?? 1;
    const pixels = (length / 3600 / (180 / Math.PI)) * this.scale;
    const text = length >= 3600 ? `${length / 3600}°` : length >= 60 ? `${length / 60}′` : `${length}″`;
    const y = this.height - 16;
    context.strokeStyle = this.colour("--ink");
    context.fillStyle = this.colour("--ink");
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(14, y - 4);
    context.lineTo(14, y);
    context.lineTo(14 + pixels, y);
    context.lineTo(14 + pixels, y - 4);
    context.stroke();
    context.font = `11px ${this.font}`;
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(text, 14 + pixels / 2, y - 4);
  }

  /** The plane of the other frame: the Milky Way, or the celestial equator. */
  plane() {
    const { from } = FRAMES[this.frame];
    const { back } = FRAMES.galactic;
    const circle = [...Array(121).keys()].map((step) => [step * 3, 0]);
    const coordinates = this.frame === "equatorial" ? circle.map(back) : circle.map(from);
    return { type: "LineString", coordinates };
  }

  isSeen(place) {
    return this.projection !== "orthographic" || geoDistance(place, this.centre) < Math.PI / 2;
  }

  // What one does with it.

  turn(longitude, latitude) {
    const [old] = this.centre;
    this.centre = [(((old + longitude) % 360) + 360) % 360, Math.max(-90, Math.min(90, this.centre[1] + latitude))];
    this.paint();
  }

  magnify(factor, at) {
    const before = at && this.current?.invert(at);
    this.zoom = Math.max(1, Math.min(CLOSEST, this.zoom * factor));
    if (before && Number.isFinite(before[0]) && this.zoom > 1) {
      // What is under the pointer stays there.
      const after = this.made().invert(at);
      if (after && Number.isFinite(after[0])) {
        const across = ((before[0] - after[0] + 540) % 360) - 180;
        this.turn(Math.abs(across) < 90 ? across : 0, before[1] - after[1]);
      }
    }
    this.paint();
    this.dispatchEvent(new Event("view"));
  }

  into(frame) {
    const centre = FRAMES[this.frame].back(this.centre);
    this.frame = frame;
    this.centre = FRAMES[frame].from(centre);
    if (this.zoom === 1) this.centre = frame === this.home.frame ? [...this.home.centre] : [0, 0];
    this.prepare();
    this.paint();
    this.dispatchEvent(new Event("view"));
  }

  as(projection) {
    this.projection = projection;
    this.paint();
    this.dispatchEvent(new Event("view"));
  }

  reset() {
    this.zoom = this.home.zoom;
    this.projection = this.home.projection;
    this.frame = this.home.frame;
    this.centre = [...this.home.centre];
    this.prepare();
    this.paint();
    this.dispatchEvent(new Event("view"));
  }

  /** Turn to a position (equatorial). */
  towards(position) {
    this.centre = FRAMES[this.frame].from(position);
    this.paint();
  }

  /** Show a circle about a position (equatorial) of so many degrees. */
  around(position, radiusDeg) {
    this.projection = "orthographic";
    const radius = Math.min(radiusDeg, 85) / (180 / Math.PI);
    this.zoom = Math.max(1, Math.min(CLOSEST, 1 / Math.sin(radius)));
    Object.assign(this.home, {
      projection: "orthographic", zoom: this.zoom, centre: FRAMES[this.frame].from(position),
    });
    this.towards(position);
  }

  /** The mark (or the trigger's name) at a pixel. */
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
    const name = this.names?.find(({ box }) => x > box[0] && x < box[2] && y > box[1] && y < box[3] + 10);
    return name ? { trigger: name.id } : null;
  }

  listen() {
    const { canvas } = this;
    const pointers = new Map();
    let moved = 0;
    let spread = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
      moved = 0;
      spread = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        this.hover(event);
        return;
      }
      pointers.set(event.pointerId, event);
      if (pointers.size === 2) {
        const [one, other] = [...pointers.values()];
        const now = Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY);
        const middle = [(one.offsetX + other.offsetX) / 2, (one.offsetY + other.offsetY) / 2];
        if (spread) this.magnify(now / spread, middle);
        spread = now;
        moved = Infinity;
        return;
      }
      const [across, down] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
      moved += Math.abs(across) + Math.abs(down);
      if (moved < 4) return;
      const degrees = 180 / Math.PI / this.scale;
      const narrow = Math.max(0.2, Math.cos((this.centre[1] * Math.PI) / 180));
      this.turn((across * degrees) / narrow, down * degrees);
      this.dispatchEvent(new Event("view"));
    });
    const lifted = (event) => {
      if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved < 4) {
        const found = this.at(event.offsetX, event.offsetY);
        if (found) this.dispatchEvent(new CustomEvent("choose", { detail: found }));
      }
    };
    canvas.addEventListener("pointerup", lifted);
    canvas.addEventListener("pointercancel", lifted);
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", (event) => this.magnify(2, [event.offsetX, event.offsetY]));
    canvas.addEventListener("wheel", (event) => {
      // Whoever scrolls the page past the sky does not mean to zoom: the control key, or the focus, says so.
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      this.magnify(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressed(event));
  }

  hover(event) {
    const found = event ? this.at(event.offsetX, event.offsetY) : null;
    this.canvas.style.cursor = found ? "pointer" : "grab";
    const same = found?.id === this.hovered?.id && found?.trigger === this.hovered?.trigger;
    this.hovered = found;
    if (same) return;
    this.dispatchEvent(new CustomEvent("hover", { detail: { found, x: event?.offsetX, y: event?.offsetY } }));
    this.paint();
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = TURN_DEG / Math.max(1, this.zoom);
    const actions = {
      ArrowLeft: () => this.turn(step, 0),
      ArrowRight: () => this.turn(-step, 0),
      ArrowUp: () => this.turn(0, step),
      ArrowDown: () => this.turn(0, -step),
      "+": () => this.magnify(1.4),
      "=": () => this.magnify(1.4),
      "-": () => this.magnify(1 / 1.4),
      0: () => this.reset(),
      "]": () => this.step(1),
      "[": () => this.step(-1),
      Enter: () => {
        if (this.selected) this.dispatchEvent(new CustomEvent("choose", { detail: { id: this.selected } }));
      },
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
    this.dispatchEvent(new Event("view"));
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

function shaded({ order, cells, counts }, from) {
  const most = Math.log1p(Math.max(...counts, 1));
  const shades = [...Array(SHADES)].map(() => []);
  cells.forEach((cell, row) => {
    const shade = Math.min(SHADES - 1, Math.floor((Math.log1p(counts[row]) / most) * SHADES));
    shades[shade].push(corners(order, cell).map(from));
  });
  return shades;
}

function graticuleOf(scale) {
  const step = scale > 4000 ? 1 : scale > 900 ? 10 : 30;
  return (graticules[step] ??= geoGraticule().step([step, step]).precision(step > 10 ? 3 : step)());
}
const graticules = {};
