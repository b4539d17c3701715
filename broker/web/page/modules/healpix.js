// Which cell of HEALPix's NESTED scheme holds a direction (Gorski et al. 2005, ApJ 622, 759).

/** A zero between every two bits. */
const spread = new Uint32Array(1 << 13);
for (let value = 0; value < spread.length; value += 1) {
  for (let bit = 0; value >> bit; bit += 1) spread[value] |= ((value >> bit) & 1) << (2 * bit);
}

/** The cell of a unit vector; orders to 13. */
export function cellOf(order, x, y, z) {
  const side = 1 << order;
  let turn = (Math.atan2(y, x) * 2) / Math.PI; // quarters of a turn, 0 to 4
  if (turn < 0) turn += 4;
  if (turn >= 4) turn = 0;
  const high = Math.abs(z);
  let face;
  let east;
  let north;
  if (high <= 2 / 3) {
    const middle = side * (0.5 + turn);
    const up = side * z * 0.75;
    const rising = Math.floor(middle - up);
    const falling = Math.floor(middle + up);
    const [one, other] = [rising >> order, falling >> order];
    face = one === other ? (one & 3) | 4 : one < other ? one & 3 : (other & 3) + 8;
    east = falling & (side - 1);
    north = side - 1 - (rising & (side - 1));
  } else {
    const quarter = Math.min(3, Math.floor(turn));
    const along = turn - quarter;
    // From the vector, as 1 - z loses its digits near the pole.
    const near = side * Math.sqrt((3 * (x * x + y * y)) / (1 + high));
    const rising = Math.min(side - 1, Math.floor(along * near));
    const falling = Math.min(side - 1, Math.floor((1 - along) * near));
    if (z >= 0) {
      face = quarter;
      east = side - 1 - falling;
      north = side - 1 - rising;
    } else {
      face = quarter + 8;
      east = rising;
      north = falling;
    }
  }
  return face * side * side + spread[east] + 2 * spread[north];
}
