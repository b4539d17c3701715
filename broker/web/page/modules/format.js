// How numbers, times and positions are written. What is unknown is a dash.

export const NONE = "–";
const MINUS = "−";
const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const SPANS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const known = (value) => typeof value === "number" && Number.isFinite(value);
const signed = (text) => text.replace("-", MINUS);

/** With so many decimals. */
export function fixed(value, decimals = 2) {
  if (!known(value)) return NONE;
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : signed(text);
}

/** With three significant digits; far from 1 as a power of ten. */
export function plain(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return signed(String(Number(value.toPrecision(3))));
  const [digits, power] = value.toExponential(1).split("e");
  const raised = [...power.replace("+", "")].map((one) => SUPERSCRIPT[one]).join("");
  return `${signed(digits)} × 10${raised}`;
}

/** A probability: near 0 and near 1 no digit is lost. */
export function probability(value) {
  if (!known(value)) return NONE;
  if (value > 0 && value < 0.001) return plain(value);
  if (value < 1 && value > 0.999) return "> 0.999";
  return value.toFixed(3);
}

/** Seconds with a sign, in the unit that suits them. */
export function lapse(seconds) {
  if (!known(seconds)) return NONE;
  const size = Math.abs(seconds);
  const [length, unit] = SPANS.find(([one]) => size >= one) ?? SPANS.at(-1);
  const count = size / length;
  return `${seconds < 0 ? MINUS : "+"}${count < 10 ? count.toFixed(1) : count.toFixed(0)} ${unit}`;
}

/** An instant to the second. */
export function instant(iso) {
  return iso ? iso.slice(0, 19).replace("T", " ") : NONE;
}

/** Days between two instants. */
export function daysBetween(from, to) {
  return (Date.parse(to) - Date.parse(from)) / 86_400_000;
}

/** Degrees as an astronomer types them: hours for right ascension. */
export function sexagesimal(raDeg, decDeg) {
  const two = (count) => String(count).padStart(2, "0");
  const parts = (value, decimals) => {
    const unit = 10 ** decimals;
    const total = Math.round(value * 3600 * unit);
    const seconds = ((total % (60 * unit)) / unit).toFixed(decimals).padStart(decimals + 3, "0");
    return [Math.floor(total / (3600 * unit)), two(Math.floor(total / (60 * unit)) % 60), seconds];
  };
  const [hours, minutes, seconds] = parts((((raDeg % 360) + 360) % 360) / 15, 2);
  const [degrees, arcmin, arcsec] = parts(Math.abs(decDeg), 1);
  return `${two(hours % 24)}:${minutes}:${seconds} ${decDeg < 0 ? MINUS : "+"}${two(degrees)}:${arcmin}:${arcsec}`;
}

/** Square degrees, smaller ones in square arcminutes or arcseconds. */
export function area(deg2) {
  if (!known(deg2)) return NONE;
  if (deg2 >= 0.01) return `${deg2 >= 100 ? Math.round(deg2).toLocaleString("en") : plain(deg2)} deg²`;
  const arcmin2 = deg2 * 3600;
  return arcmin2 >= 0.01 ? `${plain(arcmin2)} arcmin²` : `${plain(arcmin2 * 3600)} arcsec²`;
}

/** An angle in the unit that suits it. */
export function angle(deg) {
  if (!known(deg)) return NONE;
  if (deg >= 1) return `${plain(deg)}°`;
  return deg >= 1 / 60 ? `${plain(deg * 60)}′` : `${plain(deg * 3600)}″`;
}

const UNITS = { d: "d", s: "s", "yr-1": "a year", "deg-2": "deg⁻²", deg2: "deg²", deg: "°", mag: "mag", "sr-1": "sr⁻¹",
  Mpc: "Mpc", Hz: "Hz", "mag.d-1": "mag/d", arcsec: "″" };

/** A unit of the notation of the CDS, for people. */
export function unit(text) {
  return text ? (UNITS[text] ?? text) : "";
}

/** A name of a field in words. */
export function words(name) {
  return name.replace(/_(utc|deg2|deg|mpc|us|s|d)$/, "").replaceAll("_", " ");
}
