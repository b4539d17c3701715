// Equatorial (ICRS) and galactic longitude and latitude, in degrees.

const DEG = 180 / Math.PI;
// IAU 1958, referred to ICRS (Hipparcos catalogue, volume 1, section 1.5.3).
const TO_GALACTIC = [
  [-0.0548755604162154, -0.873437090234885, -0.4838350155487132],
  [0.4941094278755837, -0.4448296299600112, 0.7469822444972189],
  [-0.8676661490190047, -0.1980763734312015, 0.4559837761750669],
];

function turned([longitude, latitude], matrix) {
  const [l, b] = [longitude / DEG, latitude / DEG];
  const point = [Math.cos(b) * Math.cos(l), Math.cos(b) * Math.sin(l), Math.sin(b)];
  const [x, y, z] = matrix.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2]);
  return [Math.atan2(y, x) * DEG, Math.asin(Math.max(-1, Math.min(1, z))) * DEG];
}

const transposed = TO_GALACTIC[0].map((_, column) => TO_GALACTIC.map((row) => row[column]));

/** By name: to the frame from equatorial, back, and what it is called. */
export const FRAMES = {
  equatorial: { from: (position) => position, back: (position) => position, label: "Equatorial" },
  galactic: {
    from: (position) => turned(position, TO_GALACTIC),
    back: (position) => turned(position, transposed),
    label: "Galactic",
  },
};
