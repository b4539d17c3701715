// How messengers look: a colour (from the style, so that it follows the theme) and a pattern of dashes, so that no colour
// is needed to tell them apart.

const PATTERNS = {
  "gamma-ray": [],
  "x-ray": [1.5, 3],
  neutrino: [7, 3],
  "gravitational-wave": [12, 3, 2, 3],
  optical: [4, 4],
  radio: [2, 5],
  unknown: [2, 2],
};

/** All of them, in the order of the legend. */
export const MESSENGERS = Object.keys(PATTERNS);

export const patternOf = (messenger) => PATTERNS[messenger] ?? PATTERNS.unknown;

/** The name of the custom property with a messenger's colour. */
export const colourOf = (messenger) => `--${MESSENGERS.includes(messenger) ? messenger : "unknown"}`;

export const wordsOf = (messenger) => messenger.replace("-", messenger === "gravitational-wave" ? " " : "-");
