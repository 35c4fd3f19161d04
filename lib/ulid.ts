/** ULIDs: ids that contain their creation time. https://github.com/ulid/spec */

/** The digits of ULIDs: https://www.crockford.com/base32.html */
export const ulidDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Milliseconds since the epoch. Undefined: not a ULID. */
export function ulidTime(ulid: string): number | undefined {
  if (!/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i.test(ulid)) return undefined;
  return [...ulid.slice(0, 10).toUpperCase()].reduce((time, digit) => time * 32 + ulidDigits.indexOf(digit), 0);
}
