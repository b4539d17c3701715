// Where the cells of HEALPix's NESTED scheme lie (Gorski et al. 2005, ApJ 622, 759).

const RING = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
const TURN = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];
const DEG = 180 / Math.PI;

/** Every second bit. */
function squeezed(bits) {
  let found = 0;
  for (let place = 0; bits >> (2 * place); place += 1) found |= ((bits >> (2 * place)) & 1) << place;
  return found;
}

/** Longitude and latitude, degrees, of a point of a face; x and y from 0 to 1 grow to the north-east and north-west. */
function place(face, x, y) {
  const ring = RING[face] - x - y; // from the north pole, 0 to 4
  let turn = TURN[face] + x - y;
  let z;
  if (ring < 1 || ring > 3) {
    const near = ring < 1 ? ring : 4 - ring;
    z = (1 - (near * near) / 3) * (ring < 1 ? 1 : -1);
    turn = near > 1e-9 ? TURN[face] + (x - y) / near : TURN[face];
  } else {
    z = ((2 - ring) * 2) / 3;
  }
  return [turn * 45, Math.asin(Math.max(-1, Math.min(1, z))) * DEG];
}

/** The four corners of a cell: south, east, north, west. */
export function corners(order, cell) {
  const face = Math.floor(cell / 4 ** order);
  const within = cell % 4 ** order;
  const side = 2 ** order;
  const x = squeezed(within);
  const y = squeezed(within >> 1);
  return [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]].map(([a, b]) => place(face, a / side, b / side));
}
