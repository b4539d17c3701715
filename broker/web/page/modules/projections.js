// From the sky to the screen and back. Directions are unit vectors in equatorial coordinates, so that neither turning the
// sky nor another frame changes what is kept. d3 draws the grid; points by the ten thousand are projected here, as d3's
// streams take ten times as long, and drop points that are less than 0.2" apart.

import { geoAzimuthalEqualAreaRaw, geoOrthographic, geoProjection } from "../vendor/d3-geo.js";
import { FRAMES, vectorOf } from "./frames.js";

// Hammer's equal-area projection (often called after Aitoff): the azimuthal one, stretched.
function hammer(longitude, latitude) {
  const [x, y] = geoAzimuthalEqualAreaRaw(longitude / 2, latitude);
  return [2 * x, y];
}

/** What there is: how d3 makes it, its half extent at scale 1, and its name. */
export const PROJECTIONS = {
  hammer: { make: () => geoProjection(hammer), half: [2 * Math.SQRT2, Math.SQRT2], label: "Whole sky" },
  orthographic: { make: () => geoOrthographic().clipAngle(90), half: [1, 1], label: "Globe" },
};

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** One way to look at the sky; right ascension grows to the left, as one sees it from inside. */
export class View {
  /**
   * @param {object} told `frame`, `projection`, `centre` (longitude and latitude in the frame), `zoom` (1: all of it),
   *   `width` and `height` in pixels.
   */
  constructor({ frame, projection, centre, zoom, width, height }) {
    Object.assign(this, { frame, projection, centre, zoom, width, height });
    const [x, y] = PROJECTIONS[projection].half;
    this.scale = Math.min((width / 2 - 6) / x, (height / 2 - 6) / y) * zoom;
    const [l, b] = centre.map((degrees) => (degrees * Math.PI) / 180);
    const { matrix } = FRAMES[frame];
    const column = (vector) => [0, 1, 2].map((axis) => dot(vector, matrix.map((row) => row[axis])));
    this.towards = column(vectorOf(...centre));
    this.east = column([-Math.sin(l), Math.cos(l), 0]);
    this.north = column([-Math.sin(b) * Math.cos(l), -Math.sin(b) * Math.sin(l), Math.cos(b)]);
  }

  /** The same as a projection of d3, which takes longitude and latitude in the frame. */
  d3() {
    const { width, height, centre, scale, zoom } = this;
    const made = PROJECTIONS[this.projection].make()
      .reflectX(true).rotate([-centre[0], -centre[1]]).scale(scale).translate([width / 2, height / 2]).precision(0.7);
    return zoom > 1 ? made.clipExtent([[-20, -20], [width + 20, height + 20]]) : made;
  }

  /**
   * Where a direction is on the screen.
   *
   * @param {Float64Array} vectors x, y and z of each.
   * @param {number} place index of x.
   * @param {number[]} at where to put x and y.
   * @returns {boolean} whether it is seen.
   */
  project(vectors, place, at) {
    const [x, y, z] = [vectors[place], vectors[place + 1], vectors[place + 2]];
    const { towards, east, north, scale } = this;
    const front = x * towards[0] + y * towards[1] + z * towards[2];
    const left = x * east[0] + y * east[1] + z * east[2];
    const up = x * north[0] + y * north[1] + z * north[2];
    if (this.projection === "orthographic") {
      at[0] = this.width / 2 - scale * left;
      at[1] = this.height / 2 - scale * up;
      return front > 0;
    }
    // Cosine of the latitude, and sine and cosine of half the longitude, without an angle.
    const level = Math.sqrt(front * front + left * left); // five times as fast as Math.hypot
    let sine = 0;
    let cosine = 1;
    if (front > 0) {
      cosine = Math.sqrt((level + front) / (2 * level));
      sine = left / (2 * level * cosine);
    } else if (level > 0) {
      sine = (left < 0 ? -1 : 1) * Math.sqrt((level - front) / (2 * level));
      cosine = left / (2 * level * sine);
    }
    const stretch = scale * Math.sqrt(2 / (1 + level * cosine));
    at[0] = this.width / 2 - 2 * stretch * level * sine;
    at[1] = this.height / 2 - stretch * up;
    return true;
  }

  /**
   * The direction at a pixel.
   *
   * @param {number[]} found where to put x, y and z.
   * @returns {boolean} whether the sky is there.
   */
  unproject(x, y, found) {
    let left = (this.width / 2 - x) / this.scale;
    let up = (this.height / 2 - y) / this.scale;
    let front;
    if (this.projection === "orthographic") {
      const square = left * left + up * up;
      if (square > 1) return false;
      front = Math.sqrt(1 - square);
    } else {
      left /= 2;
      const square = left * left + up * up;
      if (square > 2) return false;
      const shrink = Math.sqrt(1 - square / 4);
      const [cosine, sine] = [1 - square / 2, left * shrink];
      const level = Math.sqrt(cosine * cosine + sine * sine) || 1e-300;
      up *= shrink;
      front = (cosine * cosine - sine * sine) / level;
      left = (2 * cosine * sine) / level;
    }
    const { towards, east, north } = this;
    for (let axis = 0; axis < 3; axis += 1) {
      found[axis] = front * towards[axis] + left * east[axis] + up * north[axis];
    }
    return true;
  }

  /** Longitude and latitude in the frame at a pixel; null where no sky is. */
  position(x, y) {
    const found = [0, 0, 0];
    if (!this.unproject(x, y, found)) return null;
    const { matrix } = FRAMES[this.frame];
    const [a, b, c] = matrix.map((row) => dot(row, found));
    return [(Math.atan2(b, a) * 180) / Math.PI, (Math.asin(Math.max(-1, Math.min(1, c))) * 180) / Math.PI];
  }
}
