// Equatorial (ICRS) and galactic longitude and latitude, in degrees.

const DEG = 180 / Math.PI;
const SAME = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
// IAU 1958, referred to ICRS (Hipparcos catalogue, volume 1, section 1.5.3).
const TO_GALACTIC = [
  [-0.0548755604162154, -0.873437090234885, -0.4838350155487132],
  [0.4941094278755837, -0.4448296299600112, 0.7469822444972189],
  [-0.8676661490190047, -0.1980763734312015, 0.4559837761750669],
];
const transposed = TO_GALACTIC[0].map((_, column) => TO_GALACTIC.map((row) => row[column]));

/** The unit vector of a longitude and a latitude. */
export function vectorOf(longitude, latitude) {
  const [l, b] = [longitude / DEG, latitude / DEG];
  return [Math.cos(b) * Math.cos(l), Math.cos(b) * Math.sin(l), Math.sin(b)];
}

function turned(position, matrix) {
  const vector = vectorOf(...position);
  const [x, y, z] = matrix.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]);
  return [Math.atan2(y, x) * DEG, Math.asin(Math.max(-1, Math.min(1, z))) * DEG];
}

/** By name: the matrix that turns equatorial vectors into the frame, positions there and back, and what it is called. */
export const FRAMES = {
  equatorial: { matrix: SAME, from: (position) => position, back: (position) => position, label: "Equatorial" },
  galactic: {
    matrix: TO_GALACTIC,
    from: (position) => turned(position, TO_GALACTIC),
    back: (position) => turned(position, transposed),
    label: "Galactic",
  },
};
