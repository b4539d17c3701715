// What is drawn on the sky, one function a layer. Each is given a brush: the canvas's context, the `View`, `colour(name)`,
// the font, and whether the sky is moving, when less will do.

import { geoGraticule, geoPath } from "../vendor/d3-geo.js";
import { FRAMES, vectorOf } from "./frames.js";
import { cellOf } from "./healpix.js";
import { colourOf, patternOf } from "./messengers.js";

const STEP_PX = 1.5;
const PER_NAME_PX = 45;
const SIZES = 12;

/** The outline and the grid of the frame, with the plane of the other frame: the Milky Way or the celestial equator. */
export function drawGrid({ context, view, colour, font }) {
  const projection = view.d3();
  const path = geoPath(projection, context);
  const lined = (shape, name, thickness, dashes = []) => {
    context.beginPath();
    path(shape);
    context.setLineDash(dashes);
    context.strokeStyle = colour(name);
    context.lineWidth = thickness;
    context.stroke();
    context.setLineDash([]);
  };
  lined(graticuleOf(view.scale), "--grid", 0.6);
  lined(planes[view.frame], "--grid-strong", 1, [1.5, 4]);
  lined({ type: "Sphere" }, "--grid-strong", 1);
  if (view.zoom > 30) return;
  context.font = `10.5px ${font}`;
  context.fillStyle = colour("--muted");
  context.textAlign = "left";
  context.textBaseline = "top";
  const at = [0, 0];
  const written = (place, text) => {
    const seen = view.project(vectorOf(...FRAMES[view.frame].back(place)), 0, at);
    if (seen && at[0] > 0 && at[1] > 0 && at[0] < view.width - 20 && at[1] < view.height - 10) {
      context.fillText(text, at[0] + 3, at[1] + 2);
    }
  };
  const step = view.width < 500 ? 60 : 30;
  for (let longitude = 0; longitude < 360; longitude += step) {
    written([longitude, 0], view.frame === "equatorial" ? `${longitude / 15}ʰ` : `${longitude}°`);
  }
  for (const latitude of [-60, -30, 30, 60]) {
    written([view.centre[0], latitude], `${latitude > 0 ? "+" : "−"}${Math.abs(latitude)}°`);
  }
}

/** The disk or the oval itself. */
export function drawGround({ context, view, colour }) {
  context.beginPath();
  geoPath(view.d3(), context)({ type: "Sphere" });
  context.fillStyle = colour("--sky");
  context.fill();
}

/**
 * Density, pixel by pixel: what is not seen costs nothing, and nothing is drawn across the seam.
 *
 * @param {object} shades `order`, and `byCell`: opacity from 0 to 255.
 */
export function drawDensity({ context, view, colour, moving }, shades) {
  const step = moving ? 4 : 2;
  const [across, down] = [Math.ceil(view.width / step), Math.ceil(view.height / step)];
  const picture = context.createImageData(across, down);
  const { data } = picture;
  const [red, green, blue] = channels(colour("--density"));
  const { order, byCell } = shades;
  const found = [0, 0, 0];
  for (let row = 0, place = 0; row < down; row += 1) {
    for (let column = 0; column < across; column += 1, place += 4) {
      if (!view.unproject((column + 0.5) * step, (row + 0.5) * step, found)) continue;
      const shade = byCell[cellOf(order, found[0], found[1], found[2])];
      if (!shade) continue;
      data[place] = red;
      data[place + 1] = green;
      data[place + 2] = blue;
      data[place + 3] = shade;
    }
  }
  const small = new OffscreenCanvas(across, down);
  small.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, across * step, down * step);
}

/**
 * Contours, those of one look in one stroke.
 *
 * @param {object[]} outlines [{id, messenger, levels: [{level, lines: [Float64Array of vectors]}]}]
 */
export function drawContours({ context, view, colour, moving }, outlines, chosen) {
  const looks = new Map();
  for (const { id, messenger, levels } of outlines) {
    for (const { level, lines } of levels) {
      const look = `${messenger} ${level < 0.7} ${id === chosen}`;
      if (!looks.has(look)) looks.set(look, { messenger, inner: level < 0.7, chosen: id === chosen, lines: [] });
      looks.get(look).lines.push(...lines);
    }
  }
  // A step as long as this one goes across the seam.
  const far = view.projection === "orthographic" ? Infinity : view.width / 4;
  const least = moving ? STEP_PX * 3 : STEP_PX;
  const at = [0, 0];
  for (const { messenger, inner, chosen: isChosen, lines } of looks.values()) {
    context.beginPath();
    for (const line of lines) {
      let [x, y] = [NaN, NaN];
      const last = line.length - 3;
      for (let place = 0; place <= last; place += 3) {
        const seen = view.project(line, place, at);
        const across = Math.abs(at[0] - x);
        // Points that nobody can tell apart cost as much as others.
        if (seen && across + Math.abs(at[1] - y) < least && place < last) continue;
        if (seen && across < far) context.lineTo(at[0], at[1]);
        else if (seen) context.moveTo(at[0], at[1]);
        [x, y] = seen ? at : [NaN, NaN];
      }
    }
    context.setLineDash(moving ? [] : patternOf(messenger));
    context.strokeStyle = colour(colourOf(messenger));
    context.lineWidth = (inner ? 1.7 : 1.1) + (isChosen ? 1 : 0);
    context.globalAlpha = inner ? 1 : 0.75;
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/**
 * Coincidences, each a disk whose area grows with its weight.
 *
 * @param {Float64Array} vectors of the marks.
 * @param {Float64Array} places where to put the pixels of each, NaN for one that is not seen.
 */
export function drawMarks(brush, marks, vectors, places, isChosen) {
  const { context, view, colour } = brush;
  const at = [0, 0];
  const rings = [];
  for (let row = 0; row < marks.length; row += 1) {
    const mark = marks[row];
    const seen = view.project(vectors, 3 * row, at);
    places[2 * row] = seen ? at[0] : NaN;
    places[2 * row + 1] = at[1];
    if (!seen || at[0] < -9 || at[1] < -9 || at[0] > view.width + 9 || at[1] > view.height + 9) continue;
    const disk = sprite(brush, mark);
    const size = disk.width / brush.ratio;
    context.drawImage(disk, at[0] - size / 2, at[1] - size / 2, size, size);
    if (mark.fresh || mark.cross || isChosen(mark)) rings.push([mark, at[0], at[1]]);
  }
  context.strokeStyle = colour("--accent");
  for (const [mark, x, y] of rings) {
    context.lineWidth = 2;
    context.beginPath();
    if (mark.cross) {
      for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 10 * across, y + 10 * down);
        context.lineTo(x + 22 * across, y + 22 * down);
      }
    } else {
      context.arc(x, y, radiusOf(mark.weight) + 4, 0, 2 * Math.PI);
    }
    context.stroke();
  }
}

/**
 * Names of triggers where there is room for them, the first ones first.
 *
 * @param {object[]} outlines with `name` and `peak` (a vector or null).
 * @returns {object[]} [{id, box}] of what was written.
 */
export function drawNames({ context, view, colour, font }, outlines, chosen) {
  const names = [];
  const at = [0, 0];
  context.font = `600 11px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  for (const { id, name, messenger, peak } of outlines) {
    if (!peak || !view.project(peak, 0, at)) continue;
    const [x, y] = at;
    if (x < 0 || y < 0 || x > view.width || y > view.height) continue;
    context.fillStyle = colour(colourOf(messenger));
    context.fillRect(x - 3.5, y - 0.75, 7, 1.5);
    context.fillRect(x - 0.75, y - 3.5, 1.5, 7);
    const half = context.measureText(name).width / 2 + 4;
    const middle = Math.max(half, Math.min(view.width - half, x));
    const box = [middle - half, y - 22, middle + half, y - 6];
    const meets = ({ box: one }) => box[0] < one[2] && one[0] < box[2] && box[1] < one[3] && one[1] < box[3];
    if (!name || (id !== chosen && (names.length >= view.width / PER_NAME_PX || names.some(meets)))) continue;
    names.push({ id, box });
    context.strokeStyle = colour("--sky");
    context.lineWidth = 4;
    context.strokeText(name, middle, y - 14);
    context.fillStyle = colour("--ink");
    context.fillText(name, middle, y - 14);
  }
  return names;
}

/** A bar that says how large it all is. */
export function drawScale({ context, view, colour, font }) {
  const arcsec = (180 / Math.PI) * 3600;
  const most = (view.width / 4 / view.scale) * arcsec;
  const length = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18_000, 36_000, 108_000].findLast((one) => one <= most) ?? 1;
  const pixels = (length / arcsec) * view.scale;
  const text = length >= 3600 ? `${length / 3600}°` : length >= 60 ? `${length / 60}′` : `${length}″`;
  const [left, y] = [14, view.height - 16];
  Object.assign(context, { strokeStyle: colour("--ink"), fillStyle: colour("--ink"), lineWidth: 1.5 });
  context.beginPath();
  context.moveTo(left, y - 4);
  context.lineTo(left, y);
  context.lineTo(left + pixels, y);
  context.lineTo(left + pixels, y - 4);
  context.stroke();
  Object.assign(context, { font: `11px ${font}`, textAlign: "center", textBaseline: "bottom" });
  context.fillText(text, left + pixels / 2, y - 4);
}

/** Opacity of each cell, so that one alert is seen and a thousand do not hide the rest. */
export function shadesOf({ order, cells, counts }) {
  const byCell = new Uint8Array(12 << (2 * order));
  const most = Math.log1p(Math.max(1, ...counts));
  cells.forEach((cell, row) => (byCell[cell] = 20 + (120 * Math.log1p(counts[row])) / most));
  return { order, byCell };
}

const radiusOf = (weight) => 2.4 + 4.2 * Math.sqrt(weight);

/** A disk, drawn once for all marks that look the same: five thousand circles are slow, five thousand copies are not. */
function sprite({ sprites, colour, ratio }, { weight, messenger, faded }) {
  const size = Math.round(Math.min(1, weight) * SIZES);
  const key = `${messenger} ${size} ${faded}`;
  const known = sprites.get(key);
  if (known) return known;
  const radius = radiusOf(size / SIZES);
  const half = Math.ceil(radius + 1);
  const made = new OffscreenCanvas(2 * half * ratio, 2 * half * ratio);
  const context = made.getContext("2d");
  context.scale(ratio, ratio);
  context.beginPath();
  context.arc(half, half, radius, 0, 2 * Math.PI);
  context.fillStyle = colour(colourOf(messenger));
  context.strokeStyle = colour(faded ? "--muted" : "--sky");
  if (!faded) context.fill();
  context.stroke();
  const bitmap = made.transferToImageBitmap();
  sprites.set(key, bitmap);
  return bitmap;
}

function channels(colour) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

const graticules = {};
function graticuleOf(scale) {
  const step = scale > 4000 ? 1 : scale > 900 ? 10 : 30;
  return (graticules[step] ??= geoGraticule().step([step, step]).precision(step > 10 ? 3 : step)());
}

const circle = [...Array(121).keys()].map((step) => [step * 3, 0]);
const planes = {
  equatorial: { type: "LineString", coordinates: circle.map(FRAMES.galactic.back) },
  galactic: { type: "LineString", coordinates: circle.map(FRAMES.galactic.from) },
};
