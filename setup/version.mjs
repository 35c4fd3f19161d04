/** Versions, compared by their numbers. */

/** The first dotted number in a text, as numbers: "go version go1.26.8 linux/amd64" is [1, 26, 8]. Undefined without one. */
export function parseVersion(text) {
  const found = /\d+(?:\.\d+)+/.exec(text);
  return found === null ? undefined : found[0].split(".").map(Number);
}

/** Whether `version` is `least` or newer; a missing part counts as 0. */
export function isAtLeast(version, least) {
  for (let i = 0; i < Math.max(version.length, least.length); i++) {
    const difference = (version[i] ?? 0) - (least[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
